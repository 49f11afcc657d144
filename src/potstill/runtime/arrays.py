"""Compare array arguments and fields with the types and shapes in their annotations.

An annotation such as ``Float[np.ndarray, "N S"]`` names the axes. Axes of the same name must have the same size in all
arguments of a call and in all fields of an object. JAX arrays are checked inside compiled functions too, because their
types and shapes are known during tracing.
"""

from __future__ import annotations

import functools
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, get_args, runtime_checkable

import numpy as np

from potstill.errors import PotstillError


@runtime_checkable
class AnyArray(Protocol):
    """An array of NumPy or JAX: the bound of type variables for functions of both."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        ...

    @property
    def dtype(self) -> Any:
        """The type of the numbers."""
        ...


NUMBERS = {"float32": "floating-point numbers", "int32": "whole numbers", "bool": "booleans"}
CASTS: dict[str, type[np.generic]] = {"float32": np.float32, "int32": np.int64, "bool": np.bool_}


def is_shape(hint: object) -> bool:
    """Whether a hint annotates the shape and type of an array, such as ``Float[np.ndarray, "N S"]``."""
    return type(hint).__module__.startswith("jaxtyping")


@functools.cache
def find_shape(hint: object) -> Any:
    """Find the array annotation in a hint such as a union; ``None`` unless there is exactly one."""
    found = [part for part in (hint, *get_args(hint)) if is_shape(part)]
    return found[0] if len(found) == 1 else None


def is_array(value: object) -> bool:
    """Whether a value is an array of any library. Its data are not read."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def is_array_like(value: object) -> bool:
    """Whether a value is an array or a sequence that may hold its numbers."""
    return is_array(value) or (isinstance(value, Sequence) and not isinstance(value, str | bytes))


def as_array(label: str, value: object, hint: Any) -> object:
    """Convert the value of a NumPy field to an array.

    Sequences become float32, int64 or boolean arrays, as ``hint`` requires. Integers for float fields become float32.

    Raises:
        PotstillError: the value cannot be converted to the type of number in ``hint``.
    """
    number = _find_number_type(hint)
    try:
        array = value if isinstance(value, np.ndarray) else np.asarray(value)  # keeps views of mapped files
        whole = number == "float32" and array.dtype.kind in "iu"
        if number and (whole or not array.size or not is_array(value)):
            return array.astype(CASTS[number], casting="same_kind" if array.size else "unsafe")
    except (TypeError, ValueError):
        raise PotstillError(f"{label} is {reprlib.repr(value)}: expected an array of numbers") from None
    return array


def check_numbers(label: str, array: Any, hint: Any) -> None:
    """Raise unless an array has the type of number in ``hint``."""
    number = _find_number_type(hint)
    if number and str(array.dtype) not in hint.dtypes:
        raise PotstillError(f"{label} is an array of {array.dtype}: expected an array of {NUMBERS[number]}")


def _find_number_type(hint: Any) -> str | None:
    """Find the key of :data:`NUMBERS` for an annotated array; ``None`` if several or none of them are allowed."""
    kinds = [number for number in NUMBERS if number in hint.dtypes]
    return kinds[0] if len(kinds) == 1 else None


def check_axes(label: str, values: Mapping[str, object], hints: Mapping[str, object]) -> None:
    """Raise unless the arrays among ``values`` have the axes in ``hints``.

    >>> from jaxtyping import Float
    >>> hints = {"states": Float[np.ndarray, "N S"], "actions": Float[np.ndarray, "N A"]}
    >>> check_axes("Pairs.", {"states": np.zeros((4, 3)), "actions": np.zeros((3, 2))}, hints)
    Traceback (most recent call last):
    potstill.errors.PotstillError: Pairs.actions has shape (3, 2): expected [N, A] with N = 4

    Args:
        label: prefix of the name of each value in messages.
        values: values by name. Those that are not arrays are not checked.
        hints: annotations by name.
    """
    sizes: dict[str, object] = {}
    for name in hints:  # in the order of the parameters, not of the arguments
        hint, value = find_shape(hints[name]), values.get(name)
        if hint is None or not is_array(value):
            continue
        axes, shape = hint.dim_str.split(), tuple(value.shape)  # type: ignore[attr-defined]
        found = list(_pair_axes(axes, shape))
        fits = bool(found) or not (axes or shape)
        wrong = [axis for axis, size in found if _is_named(axis) and sizes.setdefault(axis, size) != size]
        if not fits or wrong:
            known = " and ".join(f"{_describe_axis(axis)} = {sizes[axis]}" for axis in wrong)
            needed = f"{_describe_axes(axes)}{known and f' with {known}'}"
            raise PotstillError(f"{label}{name} has shape {shape}: expected {needed}")


def _pair_axes(axes: Sequence[str], shape: tuple[int, ...]) -> Iterator[tuple[str, object]]:
    """Pair each axis with its size, or with a shape for ``*B``. Empty if there are too few or too many axes."""
    spread = next((i for i, axis in enumerate(axes) if axis[0] == "*" or axis == "..."), None)
    if spread is None:
        return zip(axes, shape, strict=True) if len(axes) == len(shape) else iter(())
    after = len(axes) - spread - 1
    if len(shape) < len(axes) - 1:
        return iter(())
    middle = shape[spread : len(shape) - after]
    return iter([*zip(axes[:spread], shape, strict=False), (axes[spread], middle), *_take_last(axes, shape, after)])


def _take_last(axes: Sequence[str], shape: tuple[int, ...], count: int) -> Iterable[tuple[str, int]]:
    return zip(axes[len(axes) - count :], shape[len(shape) - count :], strict=True)


def _is_named(axis: str) -> bool:
    name = axis.removeprefix("*")
    return name.isidentifier() and not name.startswith("_")


def _describe_axis(axis: str) -> str:
    return "..." if axis[0] == "*" else axis


def _describe_axes(axes: Sequence[str]) -> str:
    """Format axes in brackets, as in the documentation: ``[..., S]``."""
    return f"[{', '.join(map(_describe_axis, axes))}]" if axes else "a single number"
