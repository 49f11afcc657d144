"""The dataset as the losses want it: columns on the device, and batches of their rows."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from potstill.errors import PotstillError
from potstill.types import Transitions


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


def prepare(data: Transitions, discount: float) -> Rows:
    """All transitions, on the device."""
    following = np.minimum(np.arange(len(data)) + 1, len(data) - 1)
    unit = (data.actions - data.action_low) / (data.action_high - data.action_low) * 2.0 - 1.0
    columns = (
        data.normaliser(data.observations),
        unit,
        data.rewards,
        data.normaliser(data.next_observations),
        unit[following],
        1.0 - data.terminations,
        returns_to_go(data.rewards, data.episode_ends, discount),
        np.ones(len(data)),
    )
    return Rows(*(jnp.asarray(column, jnp.float32) for column in columns))


def returns_to_go(rewards: np.ndarray, ends: np.ndarray, discount: float) -> np.ndarray:
    """Discounted sum of rewards from each row to the end of its episode.

    >>> returns_to_go(np.array([1.0, 2.0, 4.0]), np.array([False, True, True]), 0.5).tolist()
    [2.0, 2.0, 4.0]
    """
    found = np.zeros(len(rewards), np.float64)
    after = 0.0
    for row in range(len(rewards) - 1, -1, -1):
        after = float(rewards[row]) + (0.0 if ends[row] else discount * after)
        found[row] = after
    return found


def need_order(data: Transitions, what: str, otherwise: str = ", or use iql or edac") -> None:
    """Raise unless rows lie in the order of their episodes: each next state is the next row's state."""
    inside = np.flatnonzero(~data.episode_ends[:-1])
    broken = np.any(data.next_observations[inside] != data.observations[inside + 1], axis=1)
    if broken.any():
        raise PotstillError(
            f"{data.name}: {what} needs rows in the order of their episodes, but the next state of row "
            f"{inside[broken.argmax()]} is not the state of the row after it ({broken.sum()} such rows); "
            f"mark where episodes end (truncations){otherwise}"
        )
