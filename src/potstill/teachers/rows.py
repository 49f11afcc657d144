"""The dataset in the form that the losses use: standardised rows, all on the device or read from a file."""

from __future__ import annotations

import functools
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from potstill.data.blocks import Reader, find_extremes, iterate_blocks
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.pytrees import register_named_tuple
from potstill.runtime.validation import check_finite


@check_arguments
@register_named_tuple
class TrainingRows(NamedTuple):
    """Transitions with standardised states and actions in [−1, 1]: a whole table or a batch.

    Example:
        >>> import potstill
        >>> table = TrainingTable(potstill.load_dataset("hopper-medium-replay"))
        >>> rows = table.read(np.array([0, 7]))
        >>> rows.states.shape, rows.actions.shape, rows.alive.tolist()
        ((2, 11), (2, 3), [1.0, 1.0])
    """

    states: Float[Array, "*B S"]
    """Standardised states."""
    actions: Float[Array, "*B A"]
    """The data's actions, in [−1, 1]."""
    rewards: Float[Array, "*B"]
    """The data's rewards times the table's ``reward_scale``."""
    next_states: Float[Array, "*B S"]
    """Standardised next states."""
    next_actions: Float[Array, "*B A"]
    """The data's next action. It is arbitrary after a termination and after a truncation."""
    alive: Float[Array, "*B"]
    """0 if the environment terminated the episode after this row, else 1."""
    returns: Float[Array, "*B"]
    """Discounted Monte-Carlo return from here to the end of the recorded episode."""
    weights: Float[Array, "*B"]
    """1 if the actor learns from the row, else 0."""


@check_arguments
@dataclass(frozen=True)
class TrainingTable:
    """The rows that an algorithm learns from, by row number. A row is computed when it is read.

    A mapped dataset therefore stays on disk. :func:`load_rows` copies all rows to the device.

    Raises:
        PotstillError: a field has a wrong type, or does not fit the data.

    Example:
        >>> import potstill
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(100))
        >>> table = TrainingTable(data, excluded=np.array([0, 99]), reward_scale=0.1)
        >>> len(table), bool(table.read(np.array([0])).rewards[0] == np.float32(0.1) * data.rewards[1])
        (98, True)
    """

    data: Transitions
    """The transitions, in the units of the environment."""

    excluded: Int[np.ndarray, " X"] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows of the data that the table does not contain, in ascending order."""

    reward_scale: float = 1.0
    """Factor on the rewards."""

    episode_weights: Float[np.ndarray, " E"] | None = None
    """The weight of each episode's rows. ``None``: 1."""

    returns: Float[np.ndarray, " M"] | None = None
    """Discounted returns, from :func:`discounted_returns`. ``None``: 0."""

    def __post_init__(self) -> None:
        rows, last = len(self.data), self.excluded[-1:]
        if (np.diff(self.excluded, prepend=-1) <= 0).any() or (last >= rows).any():
            raise PotstillError(
                f"TrainingTable.excluded {reprlib.repr(self.excluded.tolist())}: expected row numbers below {rows} in "
                "ascending order"
            )
        episodes = len(self.data.episode_bounds) - 1 if self.episode_weights is not None else 0
        for name, count in {"episode_weights": episodes, "returns": rows}.items():
            column = getattr(self, name)
            if column is not None and len(column) != count:
                raise PotstillError(f"TrainingTable.{name} has {len(column)} numbers: expected {count}")
        check_finite(self, "reward_scale")

    def __len__(self) -> int:
        """The number of rows."""
        return len(self.data) - len(self.excluded)

    @functools.cached_property
    def largest_reward(self) -> float:
        """The greatest absolute reward."""
        return self.reward_scale * max(map(abs, find_extremes(self.data.rewards)))

    @functools.cached_property
    def _ends(self) -> Int[np.ndarray, " E"]:
        return np.flatnonzero(self.data.episode_ends)

    @functools.cached_property
    def _reader(self) -> Reader:
        return Reader(self.data.observations)

    @functools.cached_property
    def _rows_before(self) -> Int[np.ndarray, " X"]:
        """The number of table rows before each excluded row."""
        return self.excluded - np.arange(len(self.excluded))

    def read(self, index: Int[np.ndarray, " B"]) -> TrainingRows:
        """The rows with these numbers, as NumPy arrays."""
        data = self.data
        rows = index + np.searchsorted(self._rows_before, index, side="right")
        raw, next_actions = self._read_raw(rows)
        zeros = np.zeros(len(rows), np.float32)
        by_episode = self.episode_weights
        weights = zeros + 1 if by_episode is None else by_episode[np.searchsorted(self._ends, rows)]
        columns = {
            "states": data.normaliser(raw["observations"]),
            "actions": data.action_bounds.to_unit(raw["actions"]),
            "rewards": raw["rewards"] * np.float32(self.reward_scale),
            "next_states": data.normaliser(raw["next_observations"]),
            "next_actions": data.action_bounds.to_unit(next_actions),
            "alive": 1.0 - raw["terminations"],
            "returns": zeros if self.returns is None else self.returns[rows],
            "weights": weights,
        }
        return TrainingRows(**{name: np.asarray(column, np.float32) for name, column in columns.items()})  # type: ignore[arg-type]

    def _read_raw(self, rows: Int[np.ndarray, " B"]) -> tuple[Mapping[str, np.ndarray], Float[np.ndarray, "B A"]]:
        """The columns of these rows of the data, and the actions in the rows after them."""
        names = ("observations", "actions", "rewards", "next_observations", "terminations")
        if self.data.mapped:
            pairs = self._reader(rows)
            return {name: pairs[:, 0][name] for name in names}, pairs[:, 1]["actions"]
        following = np.minimum(rows + 1, len(self.data) - 1)
        return {name: getattr(self.data, name)[rows] for name in names}, self.data.actions[following]


def rewards_differ(data: Transitions) -> bool:
    """Whether some rewards are not equal."""
    low, high = find_extremes(data.rewards)
    return bool(low != high)


def has_returns(data: Transitions) -> bool:
    """Whether returns can tell policies apart: rewards differ, or are equal and not 0 and some episode terminates."""
    if rewards_differ(data):
        return True
    return bool(data.rewards[0] != 0.0) and any(
        data.terminations[rows].any() for rows in iterate_blocks(data.terminations)
    )


def load_rows(table: TrainingTable) -> TrainingRows:
    """All rows of a table, on the device."""
    return TrainingRows(*map(jnp.asarray, table.read(np.arange(len(table)))))


def load_with_returns(data: Transitions, discount: float) -> TrainingRows:
    """All transitions with their discounted returns, on the device."""
    return load_rows(TrainingTable(data, returns=discounted_returns(data, discount)))


def discounted_returns(data: Transitions, discount: float) -> Float[np.ndarray, " M"]:
    """The discounted return from each row to the end of its episode, float32 and in memory."""
    returns, following = np.empty(len(data), np.float32), 0.0
    for rows in iterate_blocks(data.rewards, backwards=True):
        part = returns_to_go(data.rewards[rows], data.episode_ends[rows], discount, following)
        returns[rows], following = part, float(part[0])
    return returns


def returns_to_go(rewards: np.ndarray, ends: np.ndarray, discount: float, following: float = 0.0) -> np.ndarray:
    """Discounted sum of rewards from each row to the end of its episode.

    Args:
        rewards: the reward of each row.
        ends: True on the last row of each episode.
        discount: γ.
        following: the return after the last row, if its episode continues.

    >>> returns_to_go(np.array([1.0, 2.0, 4.0]), np.array([False, True, True]), 0.5).tolist()
    [2.0, 2.0, 4.0]
    """
    returns = np.zeros(len(rewards), np.float64)
    for row in range(len(rewards) - 1, -1, -1):
        following = float(rewards[row]) + (0.0 if ends[row] else discount * following)
        returns[row] = following
    return returns


def find_order_breaks(data: Transitions) -> tuple[int, int]:
    """Find rows inside episodes whose next state is not the state of the next row.

    Returns:
        The first such row, and their number. If the number is 0, the first is meaningless.
    """
    first, count, last = 0, 0, len(data) - 1
    for rows in iterate_blocks(data.observations):
        inside = rows.start + np.flatnonzero(~data.episode_ends[rows.start : min(rows.stop, last)])
        after, following = data.next_observations[rows][inside - rows.start], data.observations[inside + 1]
        broken = inside[np.any(after != following, axis=1)]
        first, count = (first if count or not len(broken) else int(broken[0])), count + len(broken)
    return first, count


def check_order(data: Transitions, what: str, alternative: str = ", or use iql or edac") -> None:
    """Raise unless the rows are in the order of their episodes: each next state is the next row's state.

    Args:
        data: the transitions.
        what: the part that requires the order, for the message.
        alternative: the end of the message.
    """
    first, count = find_order_breaks(data)
    if count:
        raise PotstillError(
            f"{data.name}: {what} requires rows in the order of their episodes, but the next state of row "
            f"{first} is not the state of the row after it ({count} such rows): "
            f"mark the ends of episodes in truncations{alternative}"
        )
