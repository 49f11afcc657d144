"""Checks that every dataset passes before it is used: one line says what is wrong and where."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from potstill.errors import PotstillError

if TYPE_CHECKING:
    from potstill.types import Transitions

BOUND_TOLERANCE = 1e-4  # float32 rounding of actions at the bounds, in action units


def as_columns(raw: dict[str, np.ndarray], *, source: str) -> dict[str, np.ndarray]:
    """Give raw columns their type and shape: float32 or bool, (N, 1) squeezed, equal rows.

    Raises:
        PotstillError: for a column that is not numeric, of a wrong rank, or of another length.
    """
    columns = {}
    for key, values in raw.items():
        array = np.asarray(values)
        flat = key not in ("observations", "actions", "next_observations")
        if array.dtype.kind not in "fiub":
            raise PotstillError(f"{source}: column '{key}' holds {array.dtype}, numbers are needed")
        if key == "actions" and array.dtype.kind in "iub":
            raise PotstillError(
                f"{source}: actions are integers, a discrete action space: only continuous ones are supported yet"
            )
        if flat and array.ndim == 2 and array.shape[1] == 1:
            array = array[:, 0]
        if array.ndim != (1 if flat else 2):
            raise PotstillError(f"{source}: column '{key}' has shape {array.shape}, {1 if flat else 2} axes are needed")
        boolean = key in ("terminals", "timeouts", "terminations", "truncations")
        columns[key] = array.astype(np.bool_ if boolean else np.float32)
    rows = {key: len(array) for key, array in columns.items()}
    if len(set(rows.values())) > 1:
        raise PotstillError(f"{source}: rows of unequal number: " + ", ".join(f"{k} {n}" for k, n in rows.items()))
    return columns


def check_finite(name: str, array: np.ndarray, *, source: str) -> None:
    """Raise, naming the first row and column, if ``array`` holds NaN or infinity."""
    bad = ~np.isfinite(array)
    if bad.any():
        row, *column = np.argwhere(bad)[0]
        where = f"column {name}[{column[0]}]" if column else f"column {name}"
        raise PotstillError(f"{source}: {array[row][tuple(column)]} in {where}, row {row} ({bad.sum()} such values)")


def check_bounds(actions: np.ndarray, low: np.ndarray, high: np.ndarray, *, source: str) -> None:
    """Raise, naming the first row and column, if an action lies outside [low, high]."""
    bad = (actions < low - BOUND_TOLERANCE) | (actions > high + BOUND_TOLERANCE)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise PotstillError(
            f"{source}: action {actions[row, column]:.4g} outside its bounds "
            f"[{low[column]:.4g}, {high[column]:.4g}] in column actions[{column}], row {row} ({bad.sum()} such values)"
        )


def resolve_bounds(env_id: str | None, columns: dict[str, np.ndarray], *, source: str) -> tuple[np.ndarray, np.ndarray]:
    """The action bounds: the environment's if it is known, else ±1, for a policy that ends in tanh."""
    size = columns["actions"].shape[1]
    if env_id is None:
        return -np.ones(size, np.float32), np.ones(size, np.float32)
    from potstill.environments import make

    env = make(env_id)
    for what, space in (("observations", env.observation_space), ("actions", env.action_space)):
        if columns[what].shape[1] != space.shape[0]:
            raise PotstillError(f"{source}: {columns[what].shape[1]} {what} columns, but {env_id} has {space.shape[0]}")
    env.close()
    return env.action_space.low.astype(np.float32), env.action_space.high.astype(np.float32)


def check_transitions(data: Transitions) -> None:
    """Raise unless ``data`` satisfies the invariants of :class:`~potstill.types.Transitions`."""
    rows, source = len(data.observations), data.name
    two_axes = ("observations", "actions", "next_observations")
    for key in (*two_axes, "rewards", "terminations", "truncations"):
        array = getattr(data, key)
        wanted = 2 if key in two_axes else 1
        if array.ndim != wanted or len(array) != rows:
            raise PotstillError(f"{source}: {key} has shape {array.shape}, {wanted} axes of {rows} rows are needed")
        if array.dtype.kind == "f":
            check_finite(key, array, source=source)
    if rows == 0:
        raise PotstillError(f"{source}: no transitions")
    if data.next_observations.shape != data.observations.shape:
        raise PotstillError(
            f"{source}: observations {data.observations.shape} and next {data.next_observations.shape} differ"
        )
    check_bounds(data.actions, data.action_low, data.action_high, source=source)
