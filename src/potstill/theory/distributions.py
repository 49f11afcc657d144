"""Conversion of arguments to arrays of numbers and of probabilities in float64."""

from __future__ import annotations

import contextlib

import numpy as np
from jaxtyping import Float64

from potstill.errors import PotstillError
from potstill.runtime.validation import as_numbers

SUM_TOLERANCE = 1e-6  # float32 probabilities sum to 1 with this error


def as_float64(label: str, values: object, axes: int) -> Float64[np.ndarray, "..."]:
    """Convert values to an array of finite float64 numbers with this number of axes.

    Raises:
        PotstillError: the values are not such numbers.
    """
    with contextlib.suppress(ValueError):  # lists of different lengths, which as_numbers reports
        values = np.asarray(values)
    return as_numbers(label, values, axes).astype(np.float64)


def as_distributions(label: str, values: object, axes: int) -> Float64[np.ndarray, "..."]:
    """Convert values to an array whose last axis holds probability distributions.

    Args:
        label: name of the array in messages.
        values: an array or nested lists.
        axes: the number of axes.

    Raises:
        PotstillError: the values are not numbers, not finite, negative, or do not sum to 1.

    >>> as_distributions("policy", np.array([[0.5, 0.4]]), axes=2)
    Traceback (most recent call last):
    potstill.errors.PotstillError: policy[0] sums to 0.9: expected probabilities that sum to 1
    """
    array = as_float64(label, values, axes)
    if (array < 0.0).any():
        where = tuple(np.argwhere(array < 0.0)[0].tolist())
        raise PotstillError(f"{label}[{_join(where)}] is {array[where]:g}: expected a probability, at least 0")
    sums = array.sum(axis=-1, keepdims=True)
    if (wrong := np.abs(sums - 1.0) > SUM_TOLERANCE).any():
        where = tuple(np.argwhere(wrong)[0].tolist())
        place = f"[{_join(where[:-1])}]" if axes > 1 else ""
        raise PotstillError(f"{label}{place} sums to {sums[where]:.6g}: expected probabilities that sum to 1")
    normalised: Float64[np.ndarray, "..."] = array / sums
    return normalised


def as_pair(
    teacher: object, student: object, states: object
) -> tuple[Float64[np.ndarray, "S A"], Float64[np.ndarray, "S A"], Float64[np.ndarray, " S"]]:
    """Convert two policies and a distribution of states to arrays of probabilities.

    Raises:
        PotstillError: one of them does not consist of distributions, or their shapes disagree.
    """
    found = as_distributions("teacher", teacher, axes=2)
    other = as_shaped("student", as_distributions("student", student, axes=2), found.shape)
    return found, other, as_shaped("states", as_distributions("states", states, axes=1), found.shape[:1])


def as_shaped(label: str, values: object, shape: tuple[int, ...]) -> Float64[np.ndarray, "..."]:
    """Convert values to an array of finite float64 numbers with this shape.

    Raises:
        PotstillError: the values are not such numbers.
    """
    array = as_float64(label, values, len(shape))
    if array.shape != shape:
        raise PotstillError(f"{label} has shape {array.shape}: expected {shape}")
    return array


def _join(where: tuple[int, ...]) -> str:
    return ", ".join(map(str, where))
