"""Checks that every dataset must pass before it is used. Each error is one line that gives the column and the row."""

from __future__ import annotations

from collections.abc import Mapping, Sized

import numpy as np
from jaxtyping import Bool, Float

from potstill.data.blocks import iterate_blocks
from potstill.data.bounds import ActionBounds, DiscreteActions
from potstill.data.columns import TABLES
from potstill.data.ends import FLAGS
from potstill.data.files import Column
from potstill.errors import PotstillError

WORDS = {"U": "text", "S": "text", "T": "text", "M": "times", "m": "durations", "c": "complex numbers", "O": "objects"}
"""What arrays hold that are not numbers, by NumPy's kind."""
TOGETHER = 2048  # numbers that are added to as many sums in one step
BOUND_TOLERANCE = 5e-5  # float32 rounding of actions at the bounds, as a fraction of the width between the bounds


def make_type_error(name: str, dtype: np.dtype[np.generic], *, source: str) -> PotstillError:
    """Return the error for a column that does not hold numbers."""
    what = WORDS.get(dtype.kind, str(dtype))
    return PotstillError(f"{source}: column '{name}' holds {what}, expected numbers")


def check_type_and_shape(key: str, column: Column, *, source: str) -> None:
    """Check the type and the shape of a column, without reading its values.

    Raises:
        PotstillError: the values are not numbers, or the number of axes is wrong.
    """
    shape: tuple[int, ...] = column.shape or ()
    axes = 2 if key in TABLES else 1
    if column.dtype.kind not in "fiub":
        raise make_type_error(key, column.dtype, source=source)
    squeezable = axes == 1 and len(shape) == 2 and shape[1] == 1
    if not shape or not (squeezable or len(shape) == axes) or not shape[-1]:
        raise PotstillError(f"{source}: column '{key}' has shape {shape}, expected {axes} axes, none empty")


def as_column(key: str, array: np.ndarray, *, source: str) -> np.ndarray:
    """Convert a raw column to float32, or flags to bool, and squeeze rewards and flags of shape (M, 1).

    Args:
        key: the column's role.
        array: its values.
        source: name of the data in error messages.

    Raises:
        PotstillError: the column is not numeric or has the wrong number of axes, or a flag is neither 0 nor 1.
    """
    check_type_and_shape(key, array, source=source)
    if key not in TABLES and array.ndim == 2:
        array = array[:, 0]
    return as_flags(key, array, source=source) if key in FLAGS else array.astype(np.float32, copy=False)


def as_flags(key: str, array: np.ndarray, *, source: str) -> Bool[np.ndarray, " M"]:
    """Convert flags of any type of number to bool.

    Raises:
        PotstillError: a flag is neither 0 nor 1.
    """
    if array.dtype.kind == "b":
        return array
    flags: np.ndarray = array != 0
    wrong = np.flatnonzero(array != flags)
    if len(wrong):
        raise PotstillError(f"{source}: {array[wrong[0]]} in column {key}, row {wrong[0]}: expected 0 or 1")
    return flags


def check_equal_rows(columns: Mapping[str, Sized], *, source: str) -> None:
    """Check that all columns have the same number of rows.

    Raises:
        PotstillError: they do not. The message gives the number of rows of each column.
    """
    rows = {key: len(array) for key, array in columns.items()}
    if len(set(rows.values())) > 1:
        counts = ", ".join(f"{key} {count}" for key, count in rows.items())
        raise PotstillError(f"{source}: columns with unequal numbers of rows: {counts}")


def is_finite(array: np.ndarray) -> bool:
    """Whether all values are finite. No temporary array is needed.

    A sum is finite only if all its terms are. ``TOGETHER`` sums are computed at once, in half the time of the minimum
    and the maximum. These decide if a sum overflows.
    """
    if not array.size:
        return True
    if array.flags.c_contiguous and array.dtype.kind == "f":
        flat = array.reshape(-1)
        whole = array.size // TOGETHER * TOGETHER
        with np.errstate(over="ignore", invalid="ignore"):
            sums = flat[:whole].reshape(-1, TOGETHER).sum(axis=0)
            if np.isfinite(sums.sum() + flat[whole:].sum()):
                return True
    return bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def describe_location(name: str, where: tuple[int, ...]) -> str:
    """Describe the place of a value in a message: its column, component and row."""
    return f"column {name}{[where[1]] if len(where) > 1 else ''}, row {where[0]}"


def check_finite(name: str, array: np.ndarray, *, source: str) -> None:
    """Check that no value of a column is NaN or infinite.

    Raises:
        PotstillError: a value is not finite. The message gives the first row and component, and the number of values.
    """
    first: tuple[int, ...] = ()
    count = 0
    for rows in iterate_blocks(array):
        part = np.ascontiguousarray(array[rows])
        if not is_finite(part):
            bad = ~np.isfinite(part)
            row, *others = (int(i) for i in np.argwhere(bad)[0])
            first, count = first or (row + rows.start, *others), count + int(bad.sum())
    if first:
        raise PotstillError(
            f"{source}: {array[first]} in {describe_location(name, first)} ({count} such values): repair or remove them"
        )


def check_bounds(actions: Float[np.ndarray, "M A"], bounds: ActionBounds, *, source: str) -> None:
    """Check that actions lie inside their bounds, up to float32 rounding.

    Raises:
        PotstillError: an action is outside. The message gives the first row and component, and the number of values.
    """
    found = find_outside(actions, bounds)
    if found:
        (row, column), count = found
        raise PotstillError(describe_outside(float(actions[row, column]), bounds, (row, column), count, source=source))


def find_outside(actions: Float[np.ndarray, "M A"], bounds: ActionBounds) -> tuple[tuple[int, int], int] | None:
    """Find the row and component of the first value outside its bounds, and count all such values."""
    lowest, highest = widen_bounds(bounds)
    first: tuple[int, int] | None = None
    count = 0
    for rows in iterate_blocks(actions):
        part = np.ascontiguousarray(actions[rows])
        if part.min() >= lowest.max() and part.max() <= highest.min():
            continue  # a fast test for the common case: all actions lie inside the narrowest bounds
        bad = (part < lowest) | (part > highest)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            first, count = first or (int(row) + rows.start, int(column)), count + int(bad.sum())
    return None if first is None else (first, count)


def widen_bounds(bounds: ActionBounds) -> tuple[Float[np.ndarray, " A"], Float[np.ndarray, " A"]]:
    """Return the lowest and highest actions that count as inside: the bounds, widened by float32 rounding errors."""
    low, high = bounds.low, bounds.high
    room = BOUND_TOLERANCE * (high - low) + 4 * np.spacing(np.maximum(np.abs(low), np.abs(high)))
    return low - room, high + room


def describe_outside(value: float, bounds: ActionBounds, where: tuple[int, int], count: int, *, source: str) -> str:
    """Describe the first of ``count`` values outside the bounds, at the row and component ``where``."""
    row, column = where
    return (
        f"{source}: action {value:.4g} outside its bounds [{bounds.low[column]:.4g}, {bounds.high[column]:.4g}] in "
        f"column actions[{column}], row {row} ({count} such values)"
    )


def check_hard(actions: Float[np.ndarray, "M A"], bounds: DiscreteActions, *, source: str) -> None:
    """Check that each row is the vector of one action of a finite set.

    Raises:
        PotstillError: a row is something else.
    """
    for rows in iterate_blocks(actions):
        wrong = np.flatnonzero(~bounds.is_hard(actions[rows]))
        if len(wrong):
            raise PotstillError(
                f"{source}: column actions, row {wrong[0] + rows.start}: expected 1 for the action that was taken and "
                f"0 for the {len(bounds) - 1} others (DiscreteActions.to_vectors makes such rows)"
            )


def check_transitions(
    columns: Mapping[str, np.ndarray], bounds: ActionBounds, *, source: str, finite: bool = False
) -> None:
    """Check the invariants of :class:`~potstill.data.transitions.Transitions`.

    Args:
        columns: its six columns.
        bounds: its action bounds.
        source: name of the data in error messages.
        finite: whether the values are known to be finite and the actions inside their bounds. If so, values are not
            checked.

    Raises:
        PotstillError: shapes disagree, there are no rows, a value is not finite, or an action is outside its bounds or
            not one of the finite set.
    """
    rows = len(columns["observations"])
    for key, array in columns.items():
        axes = 2 if key in TABLES else 1
        if array.ndim != axes or len(array) != rows:
            raise PotstillError(f"{source}: {key} has shape {array.shape}, expected {axes} axes of {rows} rows")
        if array.dtype.kind == "f" and not finite:
            check_finite(key, array, source=source)
    if rows == 0:
        raise PotstillError(f"{source}: no transitions")
    for key in ("observations", "actions"):
        if not columns[key].shape[1]:
            raise PotstillError(f"{source}: {key} have no components")
    own, after = columns["observations"].shape, columns["next_observations"].shape
    if own != after:
        raise PotstillError(f"{source}: observations {own} and next_observations {after} differ in shape")
    if not finite or len(bounds) != columns["actions"].shape[1]:
        check_bounds(columns["actions"], bounds, source=source)
        if isinstance(bounds, DiscreteActions):
            check_hard(columns["actions"], bounds, source=source)
