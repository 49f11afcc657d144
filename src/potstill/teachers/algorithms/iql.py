"""IQL: implicit Q-learning (Kostrikov, Nair & Levine, ICLR 2022). No action outside the data is valued.

With L₂^τ(u) = |τ − 1(u < 0)| u²:

    L_V = E L₂^τ( min_j Q̄_j(s, a) − V(s) )                                              (paper's 5)
    L_Q = Σ_j E ( r + γ (1 − d) V(s′) − Q_j(s, a) )²                                    (paper's 6)
    L_π = −E min(e^{β A}, 100) log π(a | s),   A = min_j Q̄_j(s, a) − V(s)               (paper's 7)

π(· | s) is Gaussian about tanh f(s) with one deviation per action component. Rewards are scaled to a
span of 1,000 between the worst and the best episode, which gives β its meaning; the teacher's action
values are scaled back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import Settings
from potstill.data.transitions import Transitions
from potstill.networks.mlp import Params, apply_critics, apply_mlp, init_mlp, init_stack
from potstill.networks.policy import LOG_STD_RANGE
from potstill.teachers.algorithms.values import bootstrapped, critic_loss
from potstill.teachers.rows import Rows, Table
from potstill.teachers.training import Algorithm, Figures, Parts, begin_adam, descend, first, follow

HIDDEN = (256, 256)
CRITICS = 2
LARGEST_WEIGHT = 100.0
REWARD_SPAN = 1000.0
OUTPUT_SCALE = 0.01  # of the actor's last layer at the start


class State(NamedTuple):
    """Networks, the critics' slowly moving copies, and optimiser states."""

    actor: Any
    """{"layers": mean, "log_std": [A]}."""
    value: Params
    critics: Params
    target_critics: Params
    optimisers: dict[str, Any]
    updates: Array
    horizon: Array
    """Updates done and in all, for the actor's learning rate."""


def reward_scale(data: Transitions) -> float:
    """What rewards are multiplied by."""
    returns = data.episode_returns()
    span = float(returns.max() - returns.min())
    return REWARD_SPAN / span if span > 0.0 else 1.0


def prepare(data: Transitions, settings: Settings) -> Table:
    """All rows, with scaled rewards."""
    return Table(data, reward_scale=reward_scale(data))


def begin(key: PRNGKeyArray, state_size: int, action_size: int, settings: Settings, updates: int) -> State:
    """Fresh networks."""
    keys = jax.random.split(key, 3)
    *layers, last = init_mlp(keys[0], (state_size, *HIDDEN, action_size))
    last = jax.tree.map(lambda x: OUTPUT_SCALE * x, last)
    actor = {"layers": [*layers, last], "log_std": jnp.zeros(action_size)}
    value = init_mlp(keys[1], (state_size, *HIDDEN, 1))
    critics = init_stack(init_mlp, keys[2], (state_size + action_size, *HIDDEN, 1), CRITICS)
    optimisers = {"actor": begin_adam(actor), "value": begin_adam(value), "critics": begin_adam(critics)}
    return State(actor, value, critics, critics, optimisers, jnp.zeros(()), jnp.asarray(float(updates)))


def expectile(difference: Float[Array, "*B"], settings: Settings) -> Float[Array, "*B"]:
    """L₂^τ."""
    return jnp.abs(settings.own.expectile - (difference < 0)) * difference**2


def value_loss(
    value: Params, wanted: Float[Array, " B"], rows: Rows, settings: Settings
) -> tuple[Float[Array, ""], Figures]:
    """Paper's 5, with ``wanted`` = min_j Q̄_j(s, a)."""
    loss = expectile(wanted - apply_mlp(value, rows.states)[..., 0], settings).mean()
    return loss, {"value_loss": loss}


def actor_loss(
    actor: Any, advantage: Float[Array, " B"], rows: Rows, settings: Settings
) -> tuple[Float[Array, ""], Figures]:
    """Paper's 7."""
    weight = jnp.minimum(jnp.exp(settings.own.temperature * advantage), LARGEST_WEIGHT)
    log_std = jnp.clip(actor["log_std"], *LOG_STD_RANGE)
    offset = (rows.actions - jnp.tanh(apply_mlp(actor["layers"], rows.states))) / jnp.exp(log_std)
    log_density = jnp.sum(-0.5 * offset**2 - log_std - 0.5 * jnp.log(2.0 * jnp.pi), axis=-1)
    loss = -jnp.mean(weight * log_density)
    return loss, {"actor_loss": loss}


def update(state: State, rows: Rows, key: PRNGKeyArray, settings: Settings) -> tuple[State, Figures]:
    """One step of the value, the actor and the critics, in the reference's order."""
    rows, optimisers, rate = first(rows), dict(state.optimisers), settings.own.learning_rate
    wanted = apply_critics(state.target_critics, rows.states, rows.actions, normed=False).min(axis=0)
    next_values = apply_mlp(state.value, rows.next_states)[..., 0]
    advantage = wanted - apply_mlp(state.value, rows.states)[..., 0]
    target = bootstrapped(rows, next_values, settings.discount)
    value, optimisers["value"], of_value = descend(
        lambda p: value_loss(p, wanted, rows, settings), state.value, optimisers["value"], rate
    )
    fading = 0.5 * rate * (1.0 + jnp.cos(jnp.pi * state.updates / state.horizon))
    actor, optimisers["actor"], of_actor = descend(
        lambda p: actor_loss(p, advantage, rows, settings), state.actor, optimisers["actor"], fading
    )
    critics, optimisers["critics"], of_critics = descend(
        lambda p: critic_loss(p, target, rows, normed=False), state.critics, optimisers["critics"], rate
    )
    target_critics = follow(critics, state.target_critics, settings)
    figures = {**of_critics, **of_actor, **of_value}
    return State(actor, value, critics, target_critics, optimisers, state.updates + 1, state.horizon), figures


def parts(state: State, data: Transitions, settings: Settings) -> Parts:
    """The actor with its deviations as a constant output, and the critics in the data's own units."""
    *layers, last = state.actor["layers"]
    weight = jnp.concatenate([last["weight"], jnp.zeros_like(last["weight"])], axis=-1)
    bias = jnp.concatenate([last["bias"], state.actor["log_std"]])
    *hidden, head = state.critics
    head = jax.tree.map(lambda x: x / reward_scale(data), head)
    return Parts([*layers, {"weight": weight, "bias": bias}], "gaussian", [*hidden, head], False)


ALGORITHM = Algorithm("iql", prepare, begin, update, parts)
