"""Checks of settings where they are made: types, ranges, choices. Each error is one line that names the field."""

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
    """What error messages call a field: ``--batch-size`` of a command, ``Recipe.layers`` of any other object.

    >>> from potstill.students.recipe import Recipe
    >>> field_label(Recipe(), "layers")
    'Recipe.layers'
    """
    if getattr(type(settings), "is_command", False):
        return f"--{name.replace('_', '-')}"
    return f"{type(settings).__name__}.{name}"


def check_ranges(settings: Dataclass, **least: int | float) -> None:
    """Raise unless each named field is at least its least value (or ``None``)."""
    for name, low in least.items():
        value = getattr(settings, name)
        if value is not None and not value >= low:
            raise PotstillError(f"{field_label(settings, name)} {value}: at least {low} is needed")


def check_choices(settings: Dataclass) -> None:
    """Raise unless each ``Literal`` field has one of its values."""
    for name, hint in get_type_hints(type(settings)).items():
        if get_origin(hint) is Literal and getattr(settings, name) not in get_args(hint):
            raise unknown(field_label(settings, name), str(getattr(settings, name)), get_args(hint))


def check_types(settings: Dataclass, skip: Collection[str] = ()) -> None:
    """Raise unless the value of each field, except for those to ``skip``, has the field's type.

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
    """Whether ``value`` fits a type hint of a setting: classes, unions, literals, tuples; protocols always do."""
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return any(has_type(value, part) for part in get_args(hint))
    if origin is Literal:
        return isinstance(value, str) or value in get_args(hint)  # a wrong string is the business of check_choices
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
    """A type hint in words.

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
