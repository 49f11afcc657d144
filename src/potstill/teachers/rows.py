"""The dataset as the losses want it: standardised rows, all on the device or some read from a file."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from potstill.data.blocks import Reader, blocks, extremes
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError


class Rows(NamedTuple):
    """Transitions with standardised states and actions in [−1, 1]; a whole table or a batch of it."""

    states: Float[Array, "*B S"]
    actions: Float[Array, "*B A"]
    rewards: Float[Array, "*B"]
    next_states: Float[Array, "*B S"]
    next_actions: Float[Array, "*B A"]
    """The data's next action; arbitrary after a termination, and where an episode was cut."""
    alive: Float[Array, "*B"]
    """0 where the environment ended the episode, else 1."""
    returns: Float[Array, "*B"]
    """Discounted Monte-Carlo return from here to the end of the recorded episode."""
    weights: Float[Array, "*B"]
    """1; or 0 where the actor is not to learn from a row."""


@dataclass(frozen=True)
class Table:
    """The rows that an algorithm learns from, by their number; computed where they are looked at.

    So a mapped dataset stays on disk, and one in memory is brought to the device by :func:`on_device`.
    """

    data: Transitions

    left_out: Int[np.ndarray, " X"] = field(default_factory=lambda: np.zeros(0, np.int64))
    """Rows of the data that are no rows of the table, in order."""

    reward_scale: float = 1.0
    """What rewards are multiplied by."""

    episode_weights: Float[np.ndarray, " E"] | None = None
    """The weight of each episode's rows; 1 if there are none."""

    returns: Float[np.ndarray, " M"] | None = None
    """Discounted returns, from :func:`discounted_returns`; 0 if there are none."""

    def __len__(self) -> int:
        return len(self.data) - len(self.left_out)

    @functools.cached_property
    def largest_reward(self) -> float:
        """The greatest absolute reward."""
        return self.reward_scale * max(map(abs, extremes(self.data.rewards)))

    @functools.cached_property
    def _ends(self) -> Int[np.ndarray, " E"]:
        return np.flatnonzero(self.data.episode_ends)

    @functools.cached_property
    def _reader(self) -> Reader:
        return Reader(self.data.observations)

    @functools.cached_property
    def _before(self) -> Int[np.ndarray, " X"]:
        """Rows of the table before each one that is left out."""
        return self.left_out - np.arange(len(self.left_out))

    def at(self, index: Int[np.ndarray, " B"]) -> Rows:
        """The rows of these numbers, in NumPy arrays."""
        data = self.data
        rows = index + np.searchsorted(self._before, index, side="right")
        here, after = self._raw(rows)
        none = np.zeros(len(rows), np.float32)
        weights = none + 1 if self.episode_weights is None else self.episode_weights[np.searchsorted(self._ends, rows)]
        columns: tuple[Any, ...] = (
            data.normaliser(here["observations"]),
            data.action_bounds.to_unit(here["actions"]),
            here["rewards"] * np.float32(self.reward_scale),
            data.normaliser(here["next_observations"]),
            data.action_bounds.to_unit(after),
            1.0 - here["terminations"],
            none if self.returns is None else self.returns[rows],
            weights,
        )
        single: list[Any] = [np.asarray(column, np.float32) for column in columns]
        return Rows(*single)

    def _raw(self, rows: Int[np.ndarray, " B"]) -> tuple[Any, Float[np.ndarray, "B A"]]:
        """The columns of these rows of the data, and the actions in the rows after them."""
        if self.data.mapped:
            pairs = self._reader(rows)
            return pairs[:, 0], pairs[:, 1]["actions"]
        names = ("observations", "actions", "rewards", "next_observations", "terminations")
        following = np.minimum(rows + 1, len(self.data) - 1)
        return {name: getattr(self.data, name)[rows] for name in names}, self.data.actions[following]


def on_device(table: Table) -> Rows:
    """All rows of a table, on the device."""
    return Rows(*map(jnp.asarray, table.at(np.arange(len(table)))))


def prepare(data: Transitions, discount: float) -> Rows:
    """All transitions with their returns, on the device."""
    return on_device(Table(data, returns=discounted_returns(data, discount)))


def discounted_returns(data: Transitions, discount: float) -> Float[np.ndarray, " M"]:
    """The discounted return from each row to the end of its episode, float32 and in memory."""
    found, after = np.empty(len(data), np.float32), 0.0
    for rows in blocks(data.rewards, backwards=True):
        part = returns_to_go(data.rewards[rows], data.episode_ends[rows], discount, after)
        found[rows], after = part, float(part[0])
    return found


def returns_to_go(rewards: np.ndarray, ends: np.ndarray, discount: float, after: float = 0.0) -> np.ndarray:
    """Discounted sum of rewards from each row to the end of its episode; ``after`` is what follows the last row.

    >>> returns_to_go(np.array([1.0, 2.0, 4.0]), np.array([False, True, True]), 0.5).tolist()
    [2.0, 2.0, 4.0]
    """
    found = np.zeros(len(rewards), np.float64)
    for row in range(len(rewards) - 1, -1, -1):
        after = float(rewards[row]) + (0.0 if ends[row] else discount * after)
        found[row] = after
    return found


def breaks_of_order(data: Transitions) -> tuple[int, int]:
    """Rows inside episodes whose next state is not the next row's state: the first, and how many (0: none)."""
    first, count, last = 0, 0, len(data) - 1
    for rows in blocks(data.observations):
        inside = rows.start + np.flatnonzero(~data.episode_ends[rows.start : min(rows.stop, last)])
        after, following = data.next_observations[rows][inside - rows.start], data.observations[inside + 1]
        broken = inside[np.any(after != following, axis=1)]
        first, count = (first if count or not len(broken) else int(broken[0])), count + len(broken)
    return first, count


def need_order(data: Transitions, what: str, otherwise: str = ", or use iql or edac") -> None:
    """Raise unless rows lie in the order of their episodes: each next state is the next row's state."""
    first, count = breaks_of_order(data)
    if count:
        raise PotstillError(
            f"{data.name}: {what} needs rows in the order of their episodes, but the next state of row "
            f"{first} is not the state of the row after it ({count} such rows); "
            f"mark where episodes end (truncations){otherwise}"
        )
