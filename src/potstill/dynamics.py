"""A model of the environment, learned from the data alone: what a policy would earn, without playing.

One network maps a state and an action to the change of the state, the reward, and the logit of an end:

    L = E [ ‖Δ̂ − Δ‖² / S + w (r̂ − r)² + w CE(d̂, d) ],    Δ = s′ − s, w = 0.2                        (1)

with Δ and r standardised. A policy is then rolled out from the starts of the data's episodes, for as long as
the longest of them lasted, while no end is predicted (d̂ < 1/2):

    R(π) = E_{s₀} Σ_{t < H} 1[no end before t] r̂(s_t, π(s_t)),    s_{t+1} = s_t + Δ̂(s_t, π(s_t))       (2)

States are kept within the range of the data. R says how a policy fares where *it* goes, which no average over
the data's states can: by those a policy that leaves them looks as good as one that stays.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.networks import Params, apply_mlp, init_mlp
from potstill.teachers.rows import to_unit
from potstill.teachers.training import begin_adam, descend
from potstill.types import Normaliser, Transitions

HIDDEN = (256, 256)
UPDATES, BATCH = 20_000, 512
LEARNING_RATE = 1e-3  # Adam's, falling to 0 along a cosine
OTHER_WEIGHT = 0.2  # w
LAST_LAYER = 0.1  # factor on its start: at first nothing moves
STARTS = 20  # episodes of each student
LONGEST = 1000  # steps, however long the data's episodes are

Act = Callable[[Float[Array, "L S"]], Float[Array, "L A"]]


class Moves(NamedTuple):
    """Transitions as the network learns them: standardised states, actions in [−1, 1], standardised targets."""

    states: Float[Array, "*B S"]
    actions: Float[Array, "*B A"]
    changes: Float[Array, "*B S"]
    rewards: Float[Array, "*B"]
    ends: Float[Array, "*B"]


class Dynamics(NamedTuple):
    """The learned model, a pytree: the network, the units of what it puts out, and how far states may go."""

    network: Params
    change_scale: Float[Array, " S"]
    reward_mean: Float[Array, ""]
    reward_scale: Float[Array, ""]
    low: Float[Array, " S"]
    high: Float[Array, " S"]

    def step(
        self, states: Float[Array, "L S"], actions: Float[Array, "L A"]
    ) -> tuple[Float[Array, "L S"], Float[Array, " L"], Float[Array, " L"]]:
        """The next states (standardised), the rewards (the data's), and the probability of an end."""
        change, reward, end = _outputs(self.network, states, actions)
        after = jnp.clip(states + self.change_scale * change, self.low, self.high)
        return after, self.reward_mean + self.reward_scale * reward, jax.nn.sigmoid(end)


def _outputs(network: Params, states: Array, actions: Array) -> tuple[Array, Array, Array]:
    output = apply_mlp(network, jnp.concatenate([states, actions], axis=-1))
    return output[..., :-2], output[..., -2], output[..., -1]


def losses(network: Params, moves: Moves) -> dict[str, Float[Array, ""]]:
    """The terms of (1) without their weights; ``change`` and ``reward`` are shares of the variance unexplained."""
    change, reward, end = _outputs(network, moves.states, moves.actions)
    return {
        "change": jnp.mean((change - moves.changes) ** 2),
        "reward": jnp.mean((reward - moves.rewards) ** 2),
        "end": optax.sigmoid_binary_cross_entropy(end, moves.ends).mean(),
    }


@functools.partial(jax.jit, static_argnames="updates")
def _trained(network: Params, moves: Moves, key: PRNGKeyArray, updates: int) -> Params:
    """``updates`` steps of Adam on (1)."""

    def loss(network: Params, batch: Moves) -> tuple[Array, None]:
        terms = losses(network, batch)
        return terms["change"] + OTHER_WEIGHT * (terms["reward"] + terms["end"]), None

    def body(place: Array, carry: tuple[Params, Any]) -> tuple[Params, Any]:
        index = jax.random.randint(jax.random.fold_in(key, place), (BATCH,), 0, len(moves.states))
        batch = jax.tree.map(lambda column: column[index], moves)
        rate = 0.5 * LEARNING_RATE * (1.0 + jnp.cos(jnp.pi * place / updates))
        network, optimiser, _ = descend(lambda p: loss(p, batch), *carry, rate)
        return network, optimiser

    return jax.lax.fori_loop(0, updates, body, (network, begin_adam(network)))[0]


def fit(data: Transitions, normaliser: Normaliser, key: PRNGKeyArray, updates: int = UPDATES) -> Dynamics:
    """Learn the model from all rows of ``data``, which fit into memory.

    Args:
        data: in any order; :meth:`~potstill.types.Transitions.take` makes a sample of a large dataset.
        normaliser: the standardisation of the policies that are to be rolled out.
        key: draws the network and the batches.
        updates: steps of Adam, each on 512 rows.
    """
    states, after = (jnp.asarray(normaliser(x)) for x in (data.observations, data.next_observations))
    rewards, changes = jnp.asarray(data.rewards, jnp.float32), after - states
    scale = jnp.maximum(changes.std(axis=0), 1e-6)
    mean, spread = rewards.mean(), jnp.maximum(rewards.std(), 1e-6)
    actions = jnp.asarray(to_unit(data.actions, data), jnp.float32)
    ends = jnp.asarray(data.terminations, jnp.float32)
    moves = Moves(states, actions, changes / scale, (rewards - mean) / spread, ends)
    start_key, batch_key = jax.random.split(key)
    *hidden, last = init_mlp(start_key, (data.state_size + data.action_size, *HIDDEN, data.state_size + 2))
    network = [*hidden, jax.tree.map(lambda x: LAST_LAYER * x, last)]
    network = _trained(network, moves, batch_key, updates)
    return Dynamics(network, scale, mean, spread, states.min(axis=0), states.max(axis=0))


def rollout(dynamics: Dynamics, act: Act, starts: Float[Array, "L S"], steps: int) -> Float[Array, " L"]:
    """The undiscounted return (2) of a policy from each start, as the model has it; pure."""

    def body(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], None]:
        states, alive, returns = carry
        after, reward, end = dynamics.step(states, act(states))
        return (after, alive * (end < 0.5), returns + alive * reward), None

    begun = (starts, jnp.ones(len(starts)), jnp.zeros(len(starts)))
    return jax.lax.scan(body, begun, None, length=steps)[0][2]


class Imagination(NamedTuple):
    """A model with the starts and the length of the episodes that are played in it."""

    dynamics: Dynamics
    starts: Float[Array, "L S"]
    steps: int


def imagine(data: Transitions, normaliser: Normaliser, train: Transitions, seed: int) -> Imagination:
    """The model of ``train``, rows of ``data``, and how episodes of ``data`` start and how long they last."""
    begun = np.flatnonzero(np.append(True, data.episode_ends[:-1]))
    lengths = np.diff(np.append(begun, len(data)))
    drawn = np.random.default_rng(seed).choice(begun, STARTS)
    starts = jnp.asarray(normaliser(data.observations[np.sort(drawn)]))
    dynamics = fit(train, normaliser, jax.random.key(seed))
    return Imagination(dynamics, starts, min(int(lengths.max()), LONGEST))
