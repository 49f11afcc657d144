"""ReBRAC: TD3 with behaviour-regularised actor and critic (Tarasov et al., NeurIPS 2023).

With β_π and β_Q the actor's and critic's coefficients, a the dataset's action and a′ its next one:

    y   = r + γ (1 − d) [ min_j Q̄_j(s′, ã) − β_Q ‖ã − a′‖² ],   ã = clip(π̄(s′) + ε)     (critic target)
    L_Q = Σ_j E (Q_j(s, a) − y)²                                                        (critic)
    L_π = E [ β_π ‖π(s) − a‖² − min_j Q_j(s, π(s)) / E|min_j Q_j(s, π(s))| ]            (actor)

The critics carry LayerNorm; the actor and the targets move on every second update.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import TeachConfig
from potstill.networks import Params, apply_critic, apply_mlp
from potstill.policies import Policy
from potstill.teachers.base import NetworkTeacher
from potstill.types import Transitions

HIDDEN = (256, 256, 256)
CRITICS = 2
ACTOR_EVERY = 2  # updates of the critics for one of the actor and the targets
TARGET_NOISE, TARGET_NOISE_CLIP = 0.2, 0.5
OUTPUT_RANGE = 3e-3  # of the last layers' uniform start, and HIDDEN_BIAS: the reference's choices
HIDDEN_BIAS = 0.1


class Rows(NamedTuple):
    """A batch of transitions as the losses want them: states standardised, actions in [−1, 1]."""

    states: Float[Array, "B S"]
    actions: Float[Array, "B A"]
    rewards: Float[Array, " B"]
    next_states: Float[Array, "B S"]
    next_actions: Float[Array, "B A"]
    alive: Float[Array, " B"]


class State(NamedTuple):
    """Networks, their slowly moving copies, and optimiser states."""

    actor: Params
    critics: Params
    target_actor: Params
    target_critics: Params
    actor_optimiser: Any
    critic_optimiser: Any


def prepare(data: Transitions) -> Rows:
    """All transitions whose next action is known, on the device.

    The next action is the next row's; a truncated episode's last row has none and is left out (about
    one in a thousand). After a termination it does not count.
    """
    keep = np.flatnonzero(~data.truncations)
    following = np.minimum(keep + 1, len(data) - 1)
    unit = (data.actions - data.action_low) / (data.action_high - data.action_low) * 2.0 - 1.0
    columns = (
        data.normaliser(data.observations[keep]),
        unit[keep],
        data.rewards[keep],
        data.normaliser(data.next_observations[keep]),
        unit[following],
        1.0 - data.terminations[keep],
    )
    return Rows(*(jnp.asarray(column, jnp.float32) for column in columns))


def init_network(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Params:
    """Uniform start by fan-in, biases 0.1, last layer within ±0.003."""
    params = []
    for i, (a, b) in enumerate(itertools.pairwise(sizes)):
        last = i == len(sizes) - 2
        weight_key, bias_key = jax.random.split(jax.random.fold_in(key, i))
        bound = OUTPUT_RANGE if last else a**-0.5
        bias = jax.random.uniform(bias_key, (b,), minval=-bound, maxval=bound) if last else jnp.full(b, HIDDEN_BIAS)
        params.append({"weight": jax.random.uniform(weight_key, (a, b), minval=-bound, maxval=bound), "bias": bias})
    return params


def action_values(critics: Params, states: Float[Array, "B S"], actions: Float[Array, "B A"]) -> Float[Array, "C B"]:
    """Every critic's value; critics are stacked on the first axis of every array."""
    return jax.vmap(apply_critic, (0, None, None))(critics, states, actions)


def critic_loss(
    critics: Params, target_critics: Params, target_actor: Params, rows: Rows, key: PRNGKeyArray, config: TeachConfig
) -> Float[Array, ""]:
    """L_Q."""
    noise = TARGET_NOISE * jax.random.normal(key, rows.actions.shape)
    noise = jnp.clip(noise, -TARGET_NOISE_CLIP, TARGET_NOISE_CLIP)
    chosen = jnp.clip(jnp.tanh(apply_mlp(target_actor, rows.next_states)) + noise, -1.0, 1.0)
    penalty = jnp.sum((chosen - rows.next_actions) ** 2, axis=-1)
    values = action_values(target_critics, rows.next_states, chosen).min(axis=0)
    target = rows.rewards + config.discount * rows.alive * (values - config.critic_penalty * penalty)
    target = jax.lax.stop_gradient(target)
    return jnp.sum(jnp.mean((action_values(critics, rows.states, rows.actions) - target) ** 2, axis=-1))


def actor_loss(actor: Params, critics: Params, rows: Rows, config: TeachConfig) -> Float[Array, ""]:
    """L_π."""
    chosen = jnp.tanh(apply_mlp(actor, rows.states))
    penalty = jnp.sum((chosen - rows.actions) ** 2, axis=-1)
    values = action_values(critics, rows.states, chosen).min(axis=0)
    scale = jax.lax.stop_gradient(jnp.abs(values).mean())
    return jnp.mean(config.actor_penalty * penalty - values / jnp.maximum(scale, 1e-8))


def begin(key: PRNGKeyArray, state_size: int, action_size: int, config: TeachConfig) -> State:
    """Fresh networks, the targets equal to them."""
    actor_key, critic_key = jax.random.split(key)
    actor = init_network(actor_key, (state_size, *HIDDEN, action_size))
    one = functools.partial(init_network, sizes=(state_size + action_size, *HIDDEN, 1))
    critics = jax.vmap(one)(jax.random.split(critic_key, CRITICS))
    adam = optax.adam(config.learning_rate)
    return State(actor, critics, actor, critics, adam.init(actor), adam.init(critics))


def update(state: State, rows: Rows, key: PRNGKeyArray, config: TeachConfig, *, move_actor: bool) -> tuple[State, Any]:
    """One update of the critics and, where ``move_actor``, of the actor and the targets."""
    adam = optax.adam(config.learning_rate)
    loss, gradient = jax.value_and_grad(critic_loss)(
        state.critics, state.target_critics, state.target_actor, rows, key, config
    )
    change, critic_optimiser = adam.update(gradient, state.critic_optimiser)
    critics = optax.apply_updates(state.critics, change)
    state = state._replace(critics=critics, critic_optimiser=critic_optimiser)
    if not move_actor:
        return state, (loss, jnp.zeros(()))
    of_actor, gradient = jax.value_and_grad(actor_loss)(state.actor, critics, rows, config)
    change, actor_optimiser = adam.update(gradient, state.actor_optimiser)
    actor = optax.apply_updates(state.actor, change)
    follow = functools.partial(optax.incremental_update, step_size=config.target_rate)
    state = state._replace(
        actor=actor,
        actor_optimiser=actor_optimiser,
        target_actor=follow(actor, state.target_actor),
        target_critics=follow(critics, state.target_critics),
    )
    return state, (loss, of_actor)


@functools.partial(jax.jit, static_argnames=("config", "updates"))
def run(state: State, table: Rows, key: PRNGKeyArray, *, config: TeachConfig, updates: int) -> tuple[State, Any]:
    """``updates`` updates as one compiled scan; returns the mean losses of critic and actor."""

    def body(state: State, key: PRNGKeyArray) -> tuple[State, Any]:
        losses = []
        for i, part in enumerate(jax.random.split(key, ACTOR_EVERY)):
            index_key, noise_key = jax.random.split(part)
            index = jax.random.randint(index_key, (config.batch,), 0, len(table.states))
            rows = Rows(*(column[index] for column in table))
            state, loss = update(state, rows, noise_key, config, move_actor=i == ACTOR_EVERY - 1)
            losses.append(loss)
        return state, (jnp.stack([loss[0] for loss in losses]).mean(), losses[-1][1])

    state, losses = jax.lax.scan(body, state, jax.random.split(key, updates // ACTOR_EVERY))
    return state, jax.tree.map(jnp.mean, losses)


def teacher_of(state: State, data: Transitions, metadata: dict[str, Any]) -> NetworkTeacher:
    """The trained networks as a teacher, in NumPy arrays."""
    actor, critics = jax.tree.map(np.asarray, (state.actor, state.critics))
    policy = Policy(actor, data.normaliser, data.action_low, data.action_high)
    return NetworkTeacher(policy, critics, metadata)
