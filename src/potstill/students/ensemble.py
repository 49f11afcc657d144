"""Students: K policies cloned from the same pairs, as one batch of networks."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser
from potstill.networks.mlp import Params
from potstill.networks.policy import Policy
from potstill.runtime import devices
from potstill.students import training as clone
from potstill.students.recipe import Recipe


@functools.partial(jax.jit, static_argnames="size")
def _act(params: Params, states: Float[Array, "K E S"], size: int) -> Float[Array, "K E A"]:
    return jax.vmap(lambda p, s: clone.mean_actions(p, s, size))(params, states)


@dataclass(frozen=True)
class Students:
    """K trained students; arrays of ``params`` have a leading axis K."""

    params: Params
    normaliser: Normaliser
    action_bounds: ActionBounds

    def __len__(self) -> int:
        return len(self.params[0]["bias"])

    def policy(self, index: int) -> Policy:
        """Student ``index`` as a policy of its own."""
        size = len(self.action_bounds)
        layers = jax.tree.map(lambda x: np.asarray(x[index]), self.params)
        layers[-1] = {k: v[..., :size] for k, v in layers[-1].items()}
        return Policy(layers, self.normaliser, self.action_bounds)

    def _scaled(self, unit: Array) -> np.ndarray:
        return self.action_bounds.from_unit(np.asarray(unit))

    def each(self, observations: Float[np.ndarray, "L S"]) -> Float[np.ndarray, "L A"]:
        """Mean actions, the L observations shared out evenly: the first L/K to student 0, and so on."""
        states = self.normaliser(observations).reshape(len(self), -1, observations.shape[-1])
        return self._scaled(_act(self.params, states, len(self.action_bounds))).reshape(len(observations), -1)

    def ensemble(self, observations: Float[np.ndarray, "L S"]) -> Float[np.ndarray, "L A"]:
        """The students' mean actions, averaged."""
        states = jnp.broadcast_to(self.normaliser(observations), (len(self), *observations.shape))
        return self._scaled(_act(self.params, states, len(self.action_bounds)).mean(axis=0))


def train_students(
    states: Float[np.ndarray, "N S"],
    actions: Float[np.ndarray, "N A"],
    seeds: list[int],
    recipe: Recipe,
    normaliser: Normaliser,
    action_bounds: ActionBounds,
    weights: Float[np.ndarray, " N"] | None = None,
) -> Students:
    """Train one student a seed on standardised states and actions in [−1, 1], all by one compiled call."""
    counted = None if weights is None else jnp.asarray(weights, jnp.float32)
    pairs = clone.Pairs(jnp.asarray(states, jnp.float32), jnp.asarray(actions, jnp.float32), counted)
    keys = jax.vmap(jax.random.key)(jnp.asarray(seeds))
    return Students(devices.gathered(clone.train_students(keys, pairs, recipe)), normaliser, action_bounds)
