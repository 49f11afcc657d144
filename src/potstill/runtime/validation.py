"""Checks of settings when they are made: types, ranges, choices. Each error is one line that names the field."""

from __future__ import annotations

import types
from collections.abc import Collection
from dataclasses import Field, fields
from typing import Any, ClassVar, Literal, Protocol, Union, get_args, get_origin, get_type_hints, runtime_checkable

import numpy as np

from potstill.errors import PotstillError, unknown


@runtime_checkable
class Dataclass(Protocol):
    """An instance of any dataclass."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


def field_label(settings: Dataclass, name: str) -> str:
    """The name of a field in error messages: ``--batch-size`` for a command, ``Recipe.layers`` for other objects.

    >>> from potstill.students.recipe import Recipe
    >>> field_label(Recipe(), "layers")
    'Recipe.layers'
    """
    if getattr(type(settings), "is_command", False):
        return f"--{name.replace('_', '-')}"
    return f"{type(settings).__name__}.{name}"


def check_ranges(settings: Dataclass, **minimum: int | float) -> None:
    """Raise unless each named field is ``None`` or at least the given minimum."""
    for name, low in minimum.items():
        value = getattr(settings, name)
        if value is not None and not value >= low:
            raise PotstillError(f"{field_label(settings, name)} {value}: at least {low} is needed")


def check_finite(settings: Dataclass, *names: str) -> None:
    """Raise unless each named field is ``None`` or a finite number."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not np.isfinite(value):
            raise PotstillError(f"{field_label(settings, name)} {value}: a finite number is needed")


def check_choices(settings: Dataclass) -> None:
    """Raise unless each ``Literal`` field has one of its values."""
    for name, hint in get_type_hints(type(settings)).items():
        if get_origin(hint) is Literal and getattr(settings, name) not in get_args(hint):
            raise unknown(field_label(settings, name), str(getattr(settings, name)), get_args(hint))


def check_types(settings: Dataclass, skip: Collection[str] = ()) -> None:
    """Raise unless the value of each field has the field's type. Fields in ``skip`` are not checked.

    A whole number counts as a ``float``.
    """
    hints = get_type_hints(type(settings))
    for field in fields(settings):
        value, hint = getattr(settings, field.name), hints[field.name]
        if field.name not in skip and not has_type(value, hint):
            raise PotstillError(
                f"{field_label(settings, field.name)} is {value!r} ({type(value).__name__}): {spelled(hint)} is needed"
            )


def has_type(value: object, hint: object) -> bool:
    """Whether ``value`` has the type of a hint: a class, union, literal or tuple. Every value fits a protocol."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(has_type(value, part) for part in get_args(hint))
    if origin is Literal:
        return isinstance(value, str) or value in get_args(hint)  # check_choices reports a wrong string
    if origin is tuple:
        item = get_args(hint)[0]
        return isinstance(value, tuple | list) and all(has_type(part, item) for part in value)
    if hint in (int, float):
        numbers = (int, np.integer) if hint is int else (int, float, np.integer, np.floating)
        return isinstance(value, numbers) and not isinstance(value, bool | np.bool_)
    if isinstance(hint, type) and not getattr(hint, "_is_protocol", False):
        return isinstance(value, hint)
    return value is None if hint is None else True


def spelled(hint: object) -> str:
    """Describe a type hint in words.

    >>> spelled(int | None), spelled(tuple[int, ...])
    ('int or None', 'tuple of int')
    """
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(spelled(part) for part in get_args(hint))
    if origin is Literal:
        return " or ".join(map(str, get_args(hint)))
    if origin is tuple:
        return f"tuple of {spelled(get_args(hint)[0])}"
    return "None" if hint is type(None) else getattr(hint, "__name__", str(hint))


def check_fractions(settings: Dataclass, *names: str, one: bool = False) -> None:
    """Raise unless each named field lies inside (0, 1), or inside (0, 1] with ``one``. ``None`` is accepted."""
    for name in names:
        value = getattr(settings, name)
        if value is not None and not (0.0 < value < 1.0 or (one and value == 1.0)):
            raise PotstillError(f"{field_label(settings, name)} {value}: inside (0, 1{']' if one else ')'} is needed")
