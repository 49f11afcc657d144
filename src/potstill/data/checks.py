"""Checks that every dataset must pass before it is used. Each error is one line that gives the column and the row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sized

import numpy as np
from jaxtyping import Float

from potstill.data.blocks import blocks
from potstill.data.bounds import ActionBounds
from potstill.data.files import Column
from potstill.environments.making import make
from potstill.errors import PotstillError

BOUND_TOLERANCE = 1e-4  # float32 rounding of actions at the bounds, in the environment's units
CHUNK = 65_536  # rows read at once, a few MB: the chunk stays in the processor's cache while it is checked and copied
TABLES = ("observations", "actions", "next_observations")  # the columns with two axes
FLAGS = ("terminals", "timeouts", "terminations", "truncations")


def as_columns(raw: Mapping[str, object], *, source: str) -> dict[str, np.ndarray]:
    """Convert raw columns to float32, flags to bool, and squeeze rewards and flags of shape (M, 1).

    Args:
        raw: arrays or HDF5 datasets by column name.
        source: name of the data in error messages.

    Raises:
        PotstillError: a column is not numeric or has the wrong number of axes, a flag is neither 0 nor 1, or a number
            exceeds float32.
    """
    return {key: _as_column(key, np.asarray(values), source) for key, values in raw.items()}


def check_type_and_shape(key: str, column: Column, *, source: str) -> None:
    """Check the type and the shape of a column, without reading its values.

    Raises:
        PotstillError: the values are not numbers, actions are integers, or the number of axes is wrong.
    """
    shape: tuple[int, ...] = column.shape or ()
    axes = 2 if key in TABLES else 1
    if column.dtype.kind not in "fiub":
        raise PotstillError(f"{source}: column '{key}' holds {column.dtype}, expected numbers")
    if key == "actions" and column.dtype.kind in "iub":
        raise PotstillError(
            f"{source}: actions are integers, a discrete action space: only continuous actions are supported"
        )
    squeezable = axes == 1 and len(shape) == 2 and shape[1] == 1
    if not shape or not (squeezable or len(shape) == axes) or not shape[-1]:
        raise PotstillError(f"{source}: column '{key}' has shape {shape}, expected {axes} axes, none empty")


def _as_column(key: str, array: np.ndarray, source: str) -> np.ndarray:
    check_type_and_shape(key, array, source=source)
    if key not in TABLES and array.ndim == 2:
        array = array[:, 0]
    if key in FLAGS:
        return _as_flags(key, array, source)
    with np.errstate(over="ignore"):
        column = array.astype(np.float32, copy=False)
    if column.dtype != array.dtype and not _all_finite(column):
        check_finite(key, array, source=source)
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(column))[0])
        raise PotstillError(f"{source}: {array[where]} in {_location(key, where)} is beyond float32")
    return column


def read_chunks(key: str, column: Column, *, source: str) -> Iterator[tuple[int, np.ndarray]]:
    """Read a column in chunks of a few MB, and check each for NaN and infinity while it is in the processor's cache.

    Args:
        key: the column's name.
        column: an array or an HDF5 dataset.
        source: name of the data in error messages.

    Yields:
        The index of the chunk's first row, and the chunk's rows as float32.

    Raises:
        PotstillError: a value is NaN or infinite, or exceeds float32.
    """
    compressed_together = (getattr(column, "chunks", None) or (1,))[0]  # rows in one chunk of the HDF5 file
    step = max(CHUNK // compressed_together, 1) * compressed_together
    for first in range(0, len(column), step):
        with np.errstate(over="ignore"):
            chunk = np.asarray(column[first : first + step]).astype(np.float32, copy=False)
        if not _all_finite(chunk):
            check_finite(key, _as_column(key, np.asarray(column), source), source=source)  # raises with the exact row
        yield first, chunk if key in TABLES else chunk.reshape(len(chunk))


def _as_flags(key: str, array: np.ndarray, source: str) -> np.ndarray:
    flags: np.ndarray = array.astype(np.bool_, copy=False) if array.dtype.kind != "f" else array != 0
    wrong = np.flatnonzero(array != flags)
    if len(wrong):
        raise PotstillError(f"{source}: {array[wrong[0]]} in column {key}, row {wrong[0]}: flags are 0 or 1")
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


def _all_finite(array: np.ndarray) -> bool:
    """Whether all values are finite. NaN and infinity show in the minimum or maximum, which need no temporary array."""
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _location(name: str, where: tuple[int, ...]) -> str:
    return f"column {name}{[where[1]] if len(where) > 1 else ''}, row {where[0]}"


def check_finite(name: str, array: np.ndarray, *, source: str) -> None:
    """Check that no value of a column is NaN or infinite.

    Raises:
        PotstillError: a value is not finite. The message gives the first row and component, and the number of values.
    """
    first: tuple[int, ...] = ()
    count = 0
    for rows in blocks(array):
        part = np.ascontiguousarray(array[rows])
        if not _all_finite(part):
            bad = ~np.isfinite(part)
            row, *others = (int(i) for i in np.argwhere(bad)[0])
            first, count = first or (row + rows.start, *others), count + int(bad.sum())
    if first:
        raise PotstillError(
            f"{source}: {array[first]} in {_location(name, first)} ({count} such values): repair or remove them"
        )


def check_bounds(actions: Float[np.ndarray, "M A"], bounds: ActionBounds, *, source: str) -> None:
    """Check that actions lie inside their bounds, up to float32 rounding.

    Raises:
        PotstillError: an action is outside. The message gives the first row and component, and the number of values.
    """
    low, high = bounds.low, bounds.high
    lowest, highest = low - BOUND_TOLERANCE, high + BOUND_TOLERANCE
    first: tuple[int, ...] = ()
    count = 0
    for rows in blocks(actions):
        part = np.ascontiguousarray(actions[rows])
        if part.min() >= lowest.max() and part.max() <= highest.min():
            continue  # all actions are inside the narrowest bounds: the common case, and a fast test
        bad = (part < lowest) | (part > highest)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            first, count = first or (int(row) + rows.start, int(column)), count + int(bad.sum())
    if first:
        row, column = first
        raise PotstillError(
            f"{source}: action {actions[row, column]:.4g} outside its bounds "
            f"[{low[column]:.4g}, {high[column]:.4g}] in column actions[{column}], row {row} ({count} such values)"
        )


def check_scale(actions: Float[np.ndarray, "M A"], bounds: ActionBounds, *, source: str) -> None:
    """Raise as :func:`check_bounds` does, with :func:`scaling_advice` added to the message."""
    try:
        check_bounds(actions, bounds, source=source)
    except PotstillError as error:
        raise PotstillError(f"{error}: {scaling_advice(actions, bounds)}") from None


def scaling_advice(actions: Float[np.ndarray, "M A"], bounds: ActionBounds) -> str:
    """Describe how to bring actions inside their bounds: by the largest factor with two digits, if there is one.

    >>> scaling_advice(np.array([[-5.0], [4.0]]), ActionBounds.unit(1))
    'scale with --action-scale 0.2, or name the environment that they belong to'
    """
    low, high = bounds.low, bounds.high
    lowest, highest = np.nanmin(actions, axis=0), np.nanmax(actions, axis=0)
    factors = np.append(high[highest > 0] / highest[highest > 0], low[lowest < 0] / lowest[lowest < 0])
    if not len(factors) or not 0 < factors.min() < 1:
        return "shift and scale them, or name the environment that they belong to"
    step = 10.0 ** (np.floor(np.log10(factors.min())) - 1)
    factor = np.floor(factors.min() / step + 1e-6) * step  # rounded down to two digits
    return f"scale with --action-scale {factor:g}, or name the environment that they belong to"


def resolve_bounds(env_id: str | None, columns: Mapping[str, Column], *, source: str) -> ActionBounds:
    """Return the action bounds of a dataset: those of its environment, or ±1 without an environment.

    Args:
        env_id: Gymnasium id, or ``None``.
        columns: ``observations`` and ``actions``.
        source: name of the data in error messages.

    Raises:
        PotstillError: the environment is unknown or not supported, or its sizes differ from those of the columns.
    """
    size = columns["actions"].shape[1]
    if env_id is None:
        return ActionBounds.unit(size)
    if ":" in env_id:  # Gymnasium would import the module before the colon: a data file must not run code
        raise PotstillError(f"{source}: environment '{env_id}' names a module: expected a plain Gymnasium id")
    env = make(env_id)
    for what, space in (("observations", env.observation_space), ("actions", env.action_space)):
        if columns[what].shape[1] != space.shape[0]:
            raise PotstillError(f"{source}: {columns[what].shape[1]} {what} columns, but {env_id} has {space.shape[0]}")
    env.close()
    return ActionBounds(env.action_space.low.astype(np.float32), env.action_space.high.astype(np.float32))


def check_transitions(
    columns: Mapping[str, np.ndarray], bounds: ActionBounds, *, source: str, finite: bool = False
) -> None:
    """Check the invariants of :class:`~potstill.data.transitions.Transitions`.

    Args:
        columns: its six columns.
        bounds: its action bounds.
        source: name of the data in error messages.
        finite: whether the values are known to be finite. If so, they are not checked for NaN and infinity.

    Raises:
        PotstillError: shapes disagree, there are no rows, a value is not finite, or an action is outside its bounds.
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
    check_bounds(columns["actions"], bounds, source=source)
