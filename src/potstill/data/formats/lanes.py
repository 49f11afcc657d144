"""Replay buffers with an axis of parallel environments, as stable-baselines3 stores them.

Their arrays have the axes (time, environment, …) and are ring buffers: ``pos`` is the index of the next row to be
written, and ``full`` states whether older rows follow it. Actions are in [−1, 1] for all action bounds. ``dones`` mark
all ends of episodes, and ``timeouts`` mark the time-outs among them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from potstill.data.files import Column
from potstill.errors import PotstillError

STATE = ("pos", "full")  # the state of a ring buffer


def has_lanes(columns: Mapping[str, Column]) -> bool:
    """Whether columns have an axis of environments: observations have three axes or more, rewards two."""
    shapes = [columns[key].shape if key in columns else () for key in ("observations", "rewards")]
    return len(shapes[0]) >= 3 and len(shapes[1]) == 2 and shapes[0][:2] == shapes[1]


def unstack_lanes(columns: Mapping[str, Column], state: Mapping[str, object], *, source: str) -> dict[str, Column]:
    """Put the rows of all environments one after the other, each in the order of time.

    Args:
        columns: columns with the axes (time, environment, …).
        state: ``pos`` and ``full``, if they are known. Without them, all rows are used in their order.
        source: name of the data in error messages.

    Raises:
        PotstillError: a column has other axes, or ``pos`` is not the index of a row.
    """
    steps, lanes = columns["rewards"].shape
    order = _order_rows(steps, state, source)
    found: dict[str, Column] = {}
    for key, column in columns.items():
        array = np.asarray(column)
        if array.shape[:2] != (steps, lanes):
            raise PotstillError(f"{source}: '{key}' has shape {array.shape}, expected ({steps}, {lanes}, …)")
        found[key] = np.moveaxis(array[order], 1, 0).reshape(len(order) * lanes, *array.shape[2:])
    found["ends"] = np.arange(len(order) * lanes) % len(order) == len(order) - 1
    return found


def _order_rows(steps: int, state: Mapping[str, object], source: str) -> np.ndarray:
    """Return the rows of a ring buffer in the order of time."""
    if state.get("pos") is None:
        return np.arange(steps)
    place, full = np.asarray(state["pos"]), bool(np.asarray(state.get("full", False)))
    if place.ndim or place.dtype.kind not in "iu" or not 0 <= place <= steps:
        raise PotstillError(f"{source}: pos is {place}, expected the number of a row")
    rows = (np.arange(steps) + int(place)) % steps if full else np.arange(int(place))
    if not len(rows):
        raise PotstillError(f"{source}: the replay buffer is empty")
    return rows


def read_buffer_columns(buffer: object) -> tuple[dict[str, np.ndarray], dict[str, object]]:
    """Read the arrays of a stable-baselines3 replay buffer, its state and its action space.

    With ``optimize_memory_usage``, next observations are the observations in the following row of the ring buffer.

    Raises:
        PotstillError: observations are dictionaries, or actions are not numbered from 0.
    """
    values = dict(vars(buffer))
    if isinstance(values.get("observations"), Mapping):
        raise PotstillError(
            "the replay buffer holds dictionaries, which are not read from a DictReplayBuffer: pass a mapping of arrays"
        )
    arrays = {key: value for key, value in values.items() if isinstance(value, np.ndarray)}
    stated: dict[str, object] = {key: values.get(key) for key in STATE}
    space = values.get("action_space")
    for key, attribute in {"action_low": "low", "action_high": "high", "action_count": "n"}.items():
        stated[key] = getattr(space, attribute, None)
    if getattr(space, "start", 0) != 0:
        raise PotstillError(f"the replay buffer has actions numbered from {space.start}: expected numbers from 0")  # type: ignore[union-attr]
    states = arrays.get("observations")
    if "next_observations" not in arrays and states is not None:
        arrays["next_observations"] = np.roll(states, -1, axis=0)
        if stated["full"]:  # the oldest row was overwritten by the newest next observation
            last = (np.asarray(values["pos"]) + np.arange(1, len(states))) % len(states)
            arrays = {key: value[last] for key, value in arrays.items()}
            stated |= {"pos": len(last), "full": False}
    return arrays, stated
