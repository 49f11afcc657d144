"""Checks that every dataset passes before it is used: one line says what is wrong and where."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.data.blocks import blocks, gather
from potstill.data.bounds import ActionBounds
from potstill.errors import PotstillError

if TYPE_CHECKING:
    from potstill.data.transitions import Transitions

BOUND_TOLERANCE = 1e-4  # float32 rounding of actions at the bounds, in action units
USUAL_LIMIT = 1000  # steps of an episode, where no environment is known
CHUNK = 65_536  # rows that are read at once: some MB, so that checking and copying them find them in the cache
SAMPLE = 4096  # rows in which next observations are compared
TABLES = ("observations", "actions", "next_observations")
FLAGS = ("terminals", "timeouts", "terminations", "truncations")


def as_columns(raw: dict[str, Any], *, source: str) -> dict[str, np.ndarray]:
    """Give raw columns their type and shape: float32 or bool, (N, 1) squeezed.

    Raises:
        PotstillError: for a column that is not numeric or of a wrong rank, for a flag other than 0 and 1,
            and for a number beyond float32.
    """
    return {key: _as_column(key, np.asarray(values), source) for key, values in raw.items()}


def check_kind(key: str, column: Any, *, source: str) -> None:
    """Raise unless type and shape are those of a column: all that is known of an HDF5 dataset before it is read."""
    shape: tuple[int, ...] = column.shape or ()
    axes = 2 if key in TABLES else 1
    if column.dtype.kind not in "fiub":
        raise PotstillError(f"{source}: column '{key}' holds {column.dtype}, numbers are needed")
    if key == "actions" and column.dtype.kind in "iub":
        raise PotstillError(
            f"{source}: actions are integers, a discrete action space: only continuous ones are supported yet"
        )
    single = axes == 1 and len(shape) == 2 and shape[1] == 1
    if not shape or not (single or len(shape) == axes) or not shape[-1]:
        raise PotstillError(f"{source}: column '{key}' has shape {shape}, {axes} axes are needed, none empty")


def _as_column(key: str, array: np.ndarray, source: str) -> np.ndarray:
    check_kind(key, array, source=source)
    if key not in TABLES and array.ndim == 2:
        array = array[:, 0]
    if key in FLAGS:
        return _as_flags(key, array, source)
    with np.errstate(over="ignore"):
        column = array.astype(np.float32, copy=False)
    if column.dtype != array.dtype and not _all_finite(column):
        check_finite(key, array, source=source)
        where = tuple(np.argwhere(~np.isfinite(column))[0])
        raise PotstillError(f"{source}: {array[where]} in {_place(key, where)} is beyond float32")
    return column


def checked_chunks(key: str, column: Any, *, source: str) -> Iterator[tuple[int, np.ndarray]]:
    """The rows of a column some MB at a time, each chunk checked for NaN and infinity while the cache holds it.

    Args:
        key: the column's name.
        column: an array or an HDF5 dataset, of which no more than a chunk is read at once.
        source: what error lines call the data.

    Yields:
        the number of a chunk's first row, and its rows as float32.
    """
    stored = (getattr(column, "chunks", None) or (1,))[0]  # rows that HDF5 compresses together
    step = max(CHUNK // stored, 1) * stored
    for first in range(0, len(column), step):
        with np.errstate(over="ignore"):
            chunk = np.asarray(column[first : first + step]).astype(np.float32, copy=False)
        if not _all_finite(chunk):
            check_finite(key, _as_column(key, np.asarray(column), source), source=source)  # names the place
        yield first, chunk if key in TABLES else chunk.reshape(len(chunk))


def _as_flags(key: str, array: np.ndarray, source: str) -> np.ndarray:
    flags = array.astype(np.bool_, copy=False) if array.dtype.kind != "f" else array != 0
    wrong = np.flatnonzero(array != flags)
    if len(wrong):
        raise PotstillError(f"{source}: {array[wrong[0]]} in column {key}, row {wrong[0]}: flags are 0 or 1")
    return flags


def check_rows(columns: dict[str, Any], *, source: str) -> None:
    """Raise, with the number of rows of each column, unless they are equal."""
    rows = {key: len(array) for key, array in columns.items()}
    if len(set(rows.values())) > 1:
        counts = ", ".join(f"{key} {count}" for key, count in rows.items())
        raise PotstillError(f"{source}: rows of unequal number: {counts}: as many in each are needed")


def _all_finite(array: np.ndarray) -> bool:
    """Whether no value is NaN or infinite: both show in the extremes, which cost no memory."""
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _place(name: str, where: tuple[Any, ...]) -> str:
    return f"column {name}{[int(where[1])] if len(where) > 1 else ''}, row {where[0]}"


def check_finite(name: str, array: np.ndarray, *, source: str) -> None:
    """Raise, naming the first row and column, if ``array`` holds NaN or infinity."""
    first: tuple[Any, ...] = ()
    count = 0
    for rows in blocks(array):
        part = np.ascontiguousarray(array[rows])
        if not _all_finite(part):
            bad = ~np.isfinite(part)
            row, *others = np.argwhere(bad)[0]
            first, count = first or (row + rows.start, *others), count + int(bad.sum())
    if first:
        raise PotstillError(
            f"{source}: {array[first]} in {_place(name, first)} ({count} such values): repair or remove them"
        )


def check_bounds(actions: np.ndarray, bounds: ActionBounds, *, source: str) -> None:
    """Raise, naming the first row and column, if an action lies outside [low, high]."""
    low, high = bounds.low, bounds.high
    least, most = low - BOUND_TOLERANCE, high + BOUND_TOLERANCE
    first: tuple[int, ...] = ()
    count = 0
    for rows in blocks(actions):
        part = np.ascontiguousarray(actions[rows])
        if part.min() >= least.max() and part.max() <= most.min():
            continue  # all actions lie inside the narrowest bounds: the usual case, and fast
        bad = (part < least) | (part > most)
        if bad.any():
            row, column = np.argwhere(bad)[0]
            first, count = first or (int(row) + rows.start, int(column)), count + int(bad.sum())
    if first:
        row, column = first
        raise PotstillError(
            f"{source}: action {actions[row, column]:.4g} outside its bounds "
            f"[{low[column]:.4g}, {high[column]:.4g}] in column actions[{column}], row {row} ({count} such values)"
        )


def check_scale(actions: np.ndarray, bounds: ActionBounds, *, source: str) -> None:
    """Raise as :func:`check_bounds` does, and say which option brings all actions inside."""
    try:
        check_bounds(actions, bounds, source=source)
    except PotstillError as error:
        raise PotstillError(f"{error}: {scaling_advice(actions, bounds)}") from None


def scaling_advice(actions: np.ndarray, bounds: ActionBounds) -> str:
    """What to do about actions outside their bounds.

    >>> scaling_advice(np.array([[-5.0], [4.0]]), ActionBounds.unit(1))
    'scale with --action-scale 0.2, or name the environment that they belong to'
    """
    low, high = bounds.low, bounds.high
    least, most = np.nanmin(actions, axis=0), np.nanmax(actions, axis=0)
    room = np.append(high[most > 0] / most[most > 0], low[least < 0] / least[least < 0])
    if not len(room) or not 0 < room.min() < 1:
        return "shift and scale them, or name the environment that they belong to"
    step = 10.0 ** (np.floor(np.log10(room.min())) - 1)
    factor = np.floor(room.min() / step + 1e-6) * step  # rounded down to two digits
    return f"scale with --action-scale {factor:g}, or name the environment that they belong to"


def resolve_bounds(env_id: str | None, columns: dict[str, Any], *, source: str) -> ActionBounds:
    """The action bounds: the environment's if it is known, else ±1, for a policy that ends in tanh."""
    size = columns["actions"].shape[1]
    if env_id is None:
        return ActionBounds.unit(size)
    if ":" in env_id:  # Gymnasium would import the module before the colon: nothing that a file names is run
        raise PotstillError(f"{source}: environment '{env_id}' names a module: a plain Gymnasium id is needed")
    from potstill.environments.making import make

    env = make(env_id)
    for what, space in (("observations", env.observation_space), ("actions", env.action_space)):
        if columns[what].shape[1] != space.shape[0]:
            raise PotstillError(f"{source}: {columns[what].shape[1]} {what} columns, but {env_id} has {space.shape[0]}")
    env.close()
    return ActionBounds(env.action_space.low.astype(np.float32), env.action_space.high.astype(np.float32))


def check_transitions(data: Transitions, *, finite: bool = False) -> None:
    """Raise unless ``data`` satisfies the invariants of :class:`~potstill.data.transitions.Transitions`.

    With ``finite`` its numbers are known to be so, and are not read again.
    """
    rows, source = len(data.observations), data.name
    for key in (*TABLES, "rewards", "terminations", "truncations"):
        array = getattr(data, key)
        wanted = 2 if key in TABLES else 1
        if array.ndim != wanted or len(array) != rows:
            raise PotstillError(f"{source}: {key} has shape {array.shape}, {wanted} axes of {rows} rows are needed")
        if array.dtype.kind == "f" and not finite:
            check_finite(key, array, source=source)
    if rows == 0:
        raise PotstillError(f"{source}: no transitions")
    for key in ("observations", "actions"):
        if not getattr(data, key).shape[1]:
            raise PotstillError(f"{source}: {key} have no components")
    if data.next_observations.shape != data.observations.shape:
        raise PotstillError(
            f"{source}: observations {data.observations.shape} and next {data.next_observations.shape} differ"
        )
    check_bounds(data.actions, data.action_bounds, source=source)


def suspicions(data: Transitions) -> list[str]:
    """What looks wrong in ``data`` without being surely so, one line each; nothing is changed.

    Time-outs recorded as terminations, ends that are missing, next observations that are not the following
    row's. The last is looked for in 4,096 rows, drawn with a fixed seed.

    Returns:
        One line for each suspicion; an empty list if there is none.
    """
    limit, known = _time_limit(data.env_id)
    ends = np.flatnonzero(data.episode_ends)
    if not len(ends) or ends[-1] != len(data) - 1:
        ends = np.append(ends, len(data) - 1)
    lengths = np.diff(ends, prepend=-1)
    found = [_late_terminations(data, ends, lengths, limit), *_unfollowed(data)]
    row = ends[lengths.argmax()] - lengths.max() + 1
    if known and lengths.max() > limit:
        found.append(f"an episode of {lengths.max()} rows from row {row}, but {data.env_id} stops after {limit}")
    elif not known and len(ends) == 1 and len(data) > limit:
        found.append(f"no episode ends in {len(data)} rows: are terminations or time-outs missing?")
    return [line for line in found if line]


def _time_limit(env_id: str | None) -> tuple[int, bool]:
    """Steps after which the environment cuts an episode, and whether it is known; else D4RL's 1,000."""
    if env_id is not None:
        import gymnasium

        spec = gymnasium.registry.get(env_id)
        if spec is not None and spec.max_episode_steps:
            return spec.max_episode_steps, True
    return USUAL_LIMIT, False


def _late_terminations(data: Transitions, ends: np.ndarray, lengths: np.ndarray, limit: int) -> str:
    (terminated,) = gather([data.terminations], ends)
    late = terminated & (lengths == limit)
    cut = ~terminated & (lengths >= limit - 1)  # D4RL's rule drops a time-out's own row
    if late.sum() < 2 or late.sum() <= cut.sum():
        return ""
    return (
        f"{late.sum()} episodes terminate exactly at step {limit}, the first in row {ends[late][0]}: "
        "time-outs taken for terminations? They belong in truncations (timeouts)"
    )


def _unfollowed(data: Transitions) -> list[str]:
    """Suspicions about next observations, in a sample of the rows that end no episode."""
    count = max(0, len(data) - 2)
    rows = np.arange(min(count, SAMPLE))
    if count > SAMPLE:
        rows = np.sort(np.random.default_rng(0).integers(0, count, SAMPLE))
    if len(rows) and data.truncations[rows].mean() > 0.5 and len(rows) >= 100:
        return ["most rows are cut off from the next: rows out of order? Returns of episodes mean nothing then"]
    rows = rows[~data.episode_ends[rows]]
    if not len(rows):
        return []
    after = data.next_observations[rows]
    own, second = (np.all(after == data.observations[rows + step], axis=1) for step in (0, 2))
    broken = ~np.isclose(after, data.observations[rows + 1], rtol=1e-3, atol=1e-5).all(axis=1)
    for wrong, what in ((own, "their own observations"), (second & broken, "those of the second row after")):
        if wrong.mean() > 0.5:
            return [
                f"next_observations are {what} in {wrong.mean():.0%} of rows, the first row {rows[wrong][0]}: shifted?"
            ]
    if not broken.any():
        return []
    return [
        f"next_observations are not the following row's in {broken.mean():.2%} of rows, the first seen row "
        f"{rows[broken][0]}, though no episode ends there: truncations missing, or rows out of order?"
    ]
