"""ReBRAC: TD3 with behaviour-regularised actor and critic (Tarasov et al., NeurIPS 2023).

With β_π and β_Q the actor's and critic's coefficients, a the dataset's action and a′ its next one:

    y   = r + γ (1 − d) [ min_j Q̄_j(s′, ã) − β_Q ‖ã − a′‖² ],   ã = clip(π̄(s′) + ε)     (1, critic target)
    L_Q = Σ_j E (Q_j(s, a) − y)²                                                        (2, critic)
    L_π = E [ β_π ‖π(s) − a‖² − min_j Q_j(s, π(s)) / E|min_j Q_j(s, π(s))| ]            (3, actor)

The critics carry LayerNorm; the actor and the targets move on every second update. TD3+BC (Fujimoto &
Gu, NeurIPS 2021) is the special case β_Q = 0, β_π = 0.4 / A, without LayerNorm.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import Settings
from potstill.data.blocks import gather
from potstill.data.transitions import Transitions
from potstill.networks.mlp import Params, apply_critics, apply_mlp, init_stack, init_uniform
from potstill.teachers.algorithms.values import bootstrapped, critic_loss
from potstill.teachers.rows import Rows, Table, need_order
from potstill.teachers.training import Algorithm, Figures, Parts, begin_adam, descend, follow

WIDTH = 256
CRITICS = 2
ACTOR_EVERY = 2  # updates of the critics for one of the actor and the targets
TARGET_NOISE, TARGET_NOISE_CLIP = 0.2, 0.5


class State(NamedTuple):
    """Networks, their slowly moving copies, and optimiser states."""

    actor: Params
    critics: Params
    target_actor: Params
    target_critics: Params
    actor_optimiser: Any
    critic_optimiser: Any


def prepare(data: Transitions, settings: Settings) -> Table:
    """All rows whose next action is known: the last one of a truncated episode has none."""
    need_order(data, "rebrac")
    ends = np.flatnonzero(data.episode_ends)
    (truncated,) = gather([data.truncations], ends)
    return Table(data, left_out=ends[truncated])


def begin(key: PRNGKeyArray, state_size: int, action_size: int, settings: Settings, updates: int) -> State:
    """Fresh networks, the targets equal to them."""
    hidden = [WIDTH] * settings.own.hidden_layers
    actor_key, critic_key = jax.random.split(key)
    actor = init_uniform(actor_key, (state_size, *hidden, action_size))
    critics = init_stack(init_uniform, critic_key, (state_size + action_size, *hidden, 1), CRITICS)
    return State(actor, critics, actor, critics, begin_adam(actor), begin_adam(critics))


def critic_target(
    target_critics: Params, target_actor: Params, rows: Rows, key: PRNGKeyArray, settings: Settings
) -> Float[Array, " B"]:
    """Equation 1."""
    noise = TARGET_NOISE * jax.random.normal(key, rows.actions.shape)
    noise = jnp.clip(noise, -TARGET_NOISE_CLIP, TARGET_NOISE_CLIP)
    chosen = jnp.clip(jnp.tanh(apply_mlp(target_actor, rows.next_states)) + noise, -1.0, 1.0)
    penalty = jnp.sum((chosen - rows.next_actions) ** 2, axis=-1)
    values = apply_critics(target_critics, rows.next_states, chosen, normed=settings.own.layer_norm).min(axis=0)
    return bootstrapped(rows, values - settings.own.critic_penalty * penalty, settings.discount)


def actor_loss(actor: Params, critics: Params, rows: Rows, settings: Settings) -> tuple[Float[Array, ""], Figures]:
    """Equation 3."""
    chosen = jnp.tanh(apply_mlp(actor, rows.states))
    penalty = jnp.sum((chosen - rows.actions) ** 2, axis=-1)
    values = apply_critics(critics, rows.states, chosen, normed=settings.own.layer_norm).min(axis=0)
    scale = jax.lax.stop_gradient(jnp.abs(values).mean())
    loss = jnp.mean(settings.own.actor_penalty * penalty - values / jnp.maximum(scale, 1e-8))
    return loss, {"actor_loss": loss, "action_distance": penalty.mean()}


def update_critics(state: State, rows: Rows, key: PRNGKeyArray, settings: Settings) -> tuple[State, Figures]:
    """One step of the critics."""
    target = critic_target(state.target_critics, state.target_actor, rows, key, settings)
    critics, optimiser, figures = descend(
        lambda p: critic_loss(p, target, rows, normed=settings.own.layer_norm),
        state.critics,
        state.critic_optimiser,
        settings.own.learning_rate,
    )
    return state._replace(critics=critics, critic_optimiser=optimiser), figures


def update_actor(state: State, rows: Rows, settings: Settings) -> tuple[State, Figures]:
    """One step of the actor and of all targets."""
    actor, optimiser, figures = descend(
        lambda p: actor_loss(p, state.critics, rows, settings),
        state.actor,
        state.actor_optimiser,
        settings.own.learning_rate,
    )
    target_actor = follow(actor, state.target_actor, settings)
    target_critics = follow(state.critics, state.target_critics, settings)
    return State(actor, state.critics, target_actor, target_critics, optimiser, state.critic_optimiser), figures


def update(state: State, rows: Rows, key: PRNGKeyArray, settings: Settings) -> tuple[State, Figures]:
    """Two updates of the critics, on a batch each, and one of the actor."""
    for i, part in enumerate(jax.random.split(key, ACTOR_EVERY)):
        batch = jax.tree.map(lambda column: column[i], rows)  # noqa: B023
        state, of_critics = update_critics(state, batch, part, settings)
    state, of_actor = update_actor(state, batch, settings)
    return state, {**of_critics, **of_actor}


def parts(state: State, data: Transitions, settings: Settings) -> Parts:
    """The actor and both critics."""
    return Parts(state.actor, "tanh", state.critics, settings.own.layer_norm)


ALGORITHM = Algorithm("rebrac", prepare, begin, update, parts, batches=ACTOR_EVERY)
