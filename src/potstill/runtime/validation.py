"""Check types, ranges and choices of settings when they are made. Each error is one line that names the field."""

from __future__ import annotations

import math
import reprlib
import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import Field, InitVar, fields
from typing import (
    Any,
    ClassVar,
    Literal,
    Protocol,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    runtime_checkable,
)

import numpy as np

from potstill.errors import PotstillError, make_unknown_name_error, name_option
from potstill.runtime.arrays import AnyArray, check_axes, is_array_like, is_shape

LONGEST = 120  # characters of a wrong value in a message


@runtime_checkable
class Dataclass(Protocol):
    """An instance of any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def name_field(settings: Dataclass, name: str) -> str:
    """Name a field in error messages: ``batch_size`` for a command, ``Recipe.layers`` for other objects.

    On the command line, the field of a command is the option ``--batch-size``.

    >>> from potstill.students.recipe import Recipe
    >>> name_field(Recipe(), "layers")
    'Recipe.layers'
    """
    if getattr(type(settings), "is_command", False):
        return name_option(name).removesuffix("=")
    return f"{type(settings).__name__}.{name}"


def check_ranges(settings: Dataclass, **minimum: int | float) -> None:
    """Raise unless each named field is ``None`` or at least the given minimum. Whole numbers must not be too large.

    Larger seeds than 2³² − 1 would give the numbers of smaller ones, and arrays have at most 2³¹ − 1 rows.
    """
    for name, low in minimum.items():
        label, value = name_field(settings, name), getattr(settings, name)
        check_least(label, value, low)
        largest = {"seed": 2**32 - 1, "secret": math.inf}.get(name, 2**31 - 1)
        if isinstance(value, int) and isinstance(low, int) and value > largest:
            raise PotstillError(f"{label} {value}: expected at most {largest}")


def check_least(label: str, value: int | float | None, low: int | float) -> None:
    """Raise unless ``value`` is ``None`` or at least ``low``.

    >>> check_least("ActionBounds.unit: size", 0, 1)
    Traceback (most recent call last):
    potstill.errors.PotstillError: ActionBounds.unit: size 0: expected at least 1
    """
    if value is not None and not value >= low:
        raise PotstillError(f"{label} {value}: expected at least {low}")


def check_finite(settings: Dataclass, *names: str) -> None:
    """Raise unless each named field is ``None`` or a finite number."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not _is_finite(value):
            raise PotstillError(f"{name_field(settings, name)} {value}: expected a finite number")


def _is_finite(value: float) -> bool:
    """Whether a float can hold a number: Python's whole numbers can be larger."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def check_types(settings: Dataclass, skip: Collection[str] = ()) -> None:
    """Raise unless the value of each field has the field's type. Fields in ``skip`` are not checked.

    An ``int`` is accepted for a ``float``. A ``Literal`` field must have one of its values.
    """
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        if field.name not in skip:
            check_type(name_field(settings, field.name), getattr(settings, field.name), hints[field.name])


def check_type(label: str, value: object, hint: object) -> None:
    """Raise unless ``value`` has the type of a hint and is among its literals. ``label`` names it in the message.

    >>> check_type("Recipe.layers", "three", int)
    Traceback (most recent call last):
    potstill.errors.PotstillError: Recipe.layers is 'three' (str): expected int
    """
    if not has_type(value, hint):
        text = reprlib.repr(value)
        text = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
        described = f"{text} ({type(value).__name__})"
        shown = f"the class {value.__name__}, not an instance" if isinstance(value, type) else described
        raise PotstillError(f"{label} is {shown}: expected {describe_type(hint)}{_show_named(value, hint)}")
    if get_origin(hint) is Literal and value not in get_args(hint):
        where, colon, what = label.rpartition(": ")
        raise PotstillError(f"{where}{colon}{make_unknown_name_error(what, str(value), get_args(hint))}")


def _show_named(value: object, hint: object) -> str:
    """Show where the named objects of a type are, if ``value`` is text in place of one; else an empty string."""
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    places = [part.named_in for part in parts if isinstance(part, type) and hasattr(part, "named_in")]
    return f", such as {places[0]}[{value!r}]" if places and isinstance(value, str) else ""


def check_values(label: str, values: Mapping[str, object], hints: Mapping[str, object]) -> None:
    """Raise unless all values have the types, and all arrays the axes, in ``hints``.

    Args:
        label: prefix of the name of each value in messages.
        values: values by name. Those without a hint are not checked.
        hints: type hints by name.
    """
    for name, value in values.items():
        if name in hints:
            check_type(label + name, value, hints[name])
    check_axes(label, values, hints)


def has_type(value: object, hint: object) -> bool:
    """Whether ``value`` has the type of a hint: a class, union, literal, tuple or collection.

    Arrays and sequences are interchangeable here. Protocols that cannot be checked at run time accept every value.
    """
    hint = _resolve(hint)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(has_type(value, part) for part in get_args(hint))
    if origin is Literal:
        return isinstance(value, str) or value in get_args(hint)  # check_type reports a wrong string, with the choices
    if origin is tuple:
        item = get_args(hint)[0]
        return isinstance(value, tuple | list) and all(has_type(part, item) for part in value)
    return _has_plain_type(value, origin if isinstance(origin, type) else hint)


def _resolve(hint: object) -> object:
    """Return the bound of a type variable, the type of an ``InitVar``, or else the hint itself."""
    if isinstance(hint, TypeVar):
        return hint.__bound__ or object
    return hint.type if isinstance(hint, InitVar) else hint


def _has_plain_type(value: object, hint: object) -> bool:
    """Whether ``value`` has the type of a hint without parameters, such as ``int``, ``Mapping`` or ``np.ndarray``."""
    if is_shape(hint) or hint is AnyArray:
        return is_array_like(value)
    if hint is Any:
        return True
    if hint in (np.ndarray, Sequence) and (hasattr(value, "__array__") or isinstance(value, str | bytes)):
        return not isinstance(value, str | bytes)
    if hint in (int, float):
        numbers = (int, np.integer) if hint is int else (int, float, np.integer, np.floating)
        return isinstance(value, numbers) and not isinstance(value, bool | np.bool_)
    if isinstance(hint, type) and getattr(hint, "_is_runtime_protocol", not getattr(hint, "_is_protocol", False)):
        return isinstance(value, hint)
    return value is None if hint is None else True


def describe_type(hint: object) -> str:
    """Describe a type hint in words.

    >>> describe_type(int | None), describe_type(tuple[int, ...]), describe_type(Literal["sgd", "adam"])
    ('int or None', 'tuple of int', "'sgd' or 'adam'")
    """
    hint = _resolve(hint)
    origin = get_origin(hint)
    if origin in (Union, types.UnionType, Literal):
        describe = repr if origin is Literal else describe_type
        *parts, last = (describe(part) for part in get_args(hint))
        return f"{', '.join(parts)} or {last}" if parts else last
    if origin is tuple:
        return f"tuple of {describe_type(get_args(hint)[0])}"
    if is_shape(hint) or hint in (np.ndarray, AnyArray):
        return "array"
    return "None" if hint is type(None) else getattr(origin or hint, "__name__", str(hint))


def as_numbers(label: str, values: object, axes: int) -> np.ndarray:
    """Convert values to an array of finite floating-point numbers; lists become float32, arrays keep their type.

    >>> as_numbers("ActionBounds.low", [0, 1], axes=1).tolist()
    [0.0, 1.0]

    Raises:
        PotstillError: the values are not numbers or not finite, or the array is empty or not ``axes``-dimensional.
    """
    try:
        array = np.asarray(values)
        array = array if array.dtype.kind == "f" else array.astype(np.float32, casting="same_kind")
    except (TypeError, ValueError):
        raise PotstillError(f"{label} is {reprlib.repr(values)}: expected an array of numbers") from None
    if not isinstance(values, np.ndarray):
        array = array.astype(np.float32)
    if array.ndim != axes or not array.size:
        raise PotstillError(f"{label} has shape {array.shape}: expected a non-empty {axes}-dimensional array")
    if not np.isfinite(array).all():
        place = ", ".join(map(str, np.argwhere(~np.isfinite(array))[0]))
        raise PotstillError(f"{label}[{place}] is not finite")
    return array


def check_fractions(settings: Dataclass, *names: str, one: bool = False) -> None:
    """Raise unless each named field lies in (0, 1), or in (0, 1] with ``one``. ``None`` is accepted."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not (0.0 < value < 1.0 or (one and value == 1.0)):
            interval = "(0, 1]" if one else "(0, 1)"
            raise PotstillError(f"{name_field(settings, name)} {value}: expected a value in {interval}")
