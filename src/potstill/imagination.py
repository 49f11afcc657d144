"""Imagined states: where the teacher would go, by a model of the dynamics learned from the data.

A student acts in states near the teacher's own path, which sub-optimal data hardly hold: two sets of pairs
that are equally good on the data can stand and fall in the environment. A network f learns one step,

    s′ ≈ s + σ ⊙ f(s, a),      L = E ‖ f(s, a) − (s′ − s) / σ ‖²,      σ the deviation of s′ − s,

and the teacher acts in it from random states of the data. A rollout ends where a component of the state
leaves the range that the data keep: the model knows nothing beyond. No environment is touched.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from potstill.errors import PotstillError
from potstill.networks import Params, apply_mlp, init_mlp
from potstill.teachers.base import Teacher
from potstill.types import Transitions

HIDDEN = (256, 256)
UPDATES, BATCH, LEARNING_RATE = 8_000, 256, 1e-3
ROLLOUTS = 8_192
KEPT = (0.003, 0.997)  # quantiles of each component of the state, between which a rollout goes on


class Dynamics(NamedTuple):
    """One step of the environment, as learned."""

    params: Params
    scale: Float[Array, " S"]
    """σ."""


def advance(model: Dynamics, states: Float[Array, "B S"], actions: Float[Array, "B A"]) -> Float[Array, "B S"]:
    """The states that follow, standardised as ``states`` are."""
    return states + model.scale * apply_mlp(model.params, jnp.concatenate([states, actions], axis=-1))


@functools.partial(jax.jit, static_argnames="updates")
def fit(
    states: Float[Array, "M S"],
    actions: Float[Array, "M A"],
    next_states: Float[Array, "M S"],
    key: PRNGKeyArray,
    updates: int,
) -> Dynamics:
    """Learn f by Adam with cosine decay, on standardised states and actions in [−1, 1]."""
    change = next_states - states
    scale = jnp.maximum(change.std(axis=0), 1e-6)
    start_key, rows_key = jax.random.split(key)
    params = init_mlp(start_key, (states.shape[1] + actions.shape[1], *HIDDEN, states.shape[1]))
    rule = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, updates))

    def loss(params: Params, index: Array) -> Array:
        found = apply_mlp(params, jnp.concatenate([states[index], actions[index]], axis=-1))
        return jnp.mean((found - change[index] / scale) ** 2)

    def body(carry: tuple[Params, optax.OptState], i: Array) -> tuple[tuple[Params, optax.OptState], None]:
        params, optimiser = carry
        index = jax.random.randint(jax.random.fold_in(rows_key, i), (BATCH,), 0, len(states))
        step, optimiser = rule.update(jax.grad(loss)(params, index), optimiser)
        return (optax.apply_updates(params, step), optimiser), None

    return Dynamics(jax.lax.scan(body, (params, rule.init(params)), jnp.arange(updates))[0][0], scale)


def roll_out(
    model: Dynamics,
    teacher: Teacher,
    starts: Float[Array, "L S"],
    low: Float[Array, " S"],
    high: Float[Array, " S"],
    horizon: int,
) -> tuple[Float[Array, "H L S"], Bool[Array, "H L"]]:
    """The teacher's path in the model from each start: states, and whether all until there lie in [low, high]."""

    def body(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        states, inside = carry
        states = advance(model, states, teacher.act(states))
        inside &= jnp.all((states >= low) & (states <= high), axis=-1)
        states = jnp.clip(states, low, high)  # paths that have ended stay finite
        return (states, inside), (states, inside)

    return jax.lax.scan(body, (starts, jnp.ones(len(starts), bool)), None, length=horizon)[1]


def imagined_states(
    data: Transitions, teacher: Teacher, count: int, horizon: int, seed: int
) -> Float[np.ndarray, "n S"]:
    """``count`` states, standardised as the teacher's are, from its paths in a model of ``data``.

    Raises:
        PotstillError: when every path leaves the data's range at its first step.
    """
    states, next_states = (jnp.asarray(teacher.normaliser(x)) for x in (data.observations, data.next_observations))
    unit = (data.actions - data.action_low) / (data.action_high - data.action_low) * 2.0 - 1.0
    model = fit(states, jnp.asarray(unit, jnp.float32), next_states, jax.random.key(seed), UPDATES)
    low, high = jnp.quantile(states, jnp.array(KEPT), axis=0)
    rng = np.random.default_rng(seed)
    starts = states[rng.integers(len(states), size=ROLLOUTS)]
    found, inside = jax.jit(functools.partial(roll_out, model, teacher, horizon=horizon))(starts, low, high)
    kept = np.asarray(found)[np.asarray(inside)]
    if not len(kept):
        raise PotstillError(
            f"{data.name}: the teacher's imagined paths leave the data's states at once: --imagined 0 does without"
        )
    return kept[rng.integers(len(kept), size=count)]
