"""EDAC: SAC with an ensemble of diversified critics (An et al., NeurIPS 2021); SAC-N without the diversity.

With N critics and w the entropy's weight:

    y   = r + γ (1 − d) [ min_j Q̄_j(s′, a′) − w log π(a′ | s′) ],   a′ ~ π(· | s′)      (1, critic target)
    D   = 1/(N − 1) E Σ_{i≠j} ⟨ g_i, g_j ⟩,   g_j = ∇_a Q_j(s, a) / ‖∇_a Q_j(s, a)‖     (2, diversity)
    L_Q = Σ_j E (Q_j(s, a) − y)² + η D                                                  (3, critics)
    L_π = E [ w log π(ã | s) − min_j Q_j(s, ã) ],   ã ~ π(· | s)                        (4, actor)
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import TeachConfig
from potstill.networks import Params, apply_critics, init_stack, init_uniform
from potstill.teachers import rows as rows_
from potstill.teachers.calql import actor_loss
from potstill.teachers.gaussian import draw, entropy_loss
from potstill.teachers.rows import Rows
from potstill.teachers.training import Algorithm, Figures, Parts, begin_adam, descend, first, follow
from potstill.types import Transitions

HIDDEN = (256, 256, 256)
NORM_FLOOR = 1e-10


class State(NamedTuple):
    """Networks, the critics' slowly moving copies, the entropy's weight, and optimiser states."""

    actor: Params
    critics: Params
    target_critics: Params
    log_weight: Array
    optimisers: dict[str, Any]


def prepare(data: Transitions, config: TeachConfig) -> Rows:
    """All rows."""
    return rows_.prepare(data, config.discount)


def begin(key: PRNGKeyArray, state_size: int, action_size: int, config: TeachConfig) -> State:
    """Fresh networks."""
    actor_key, critic_key = jax.random.split(key)
    actor = init_uniform(actor_key, (state_size, *HIDDEN, 2 * action_size))
    critics = init_stack(init_uniform, critic_key, (state_size + action_size, *HIDDEN, 1), config.edac.critics)
    weight = jnp.zeros(())
    optimisers = {"actor": begin_adam(actor), "critics": begin_adam(critics), "weight": begin_adam(weight)}
    return State(actor, critics, critics, weight, optimisers)


def diversity(gradients: Float[Array, "C B A"]) -> Float[Array, ""]:
    """Equation 2, from ∇_a Q_j(s, a)."""
    unit = gradients / (jnp.sqrt(jnp.sum(gradients**2, axis=-1, keepdims=True) + NORM_FLOOR**2) + NORM_FLOOR)
    # Σ_{i≠j} ⟨g_i, g_j⟩ = ‖Σ g_j‖² − Σ ‖g_j‖²: no N × N matrix is formed
    pairs = jnp.sum(unit.sum(axis=0) ** 2, axis=-1) - jnp.sum(unit**2, axis=(0, -1))
    return jnp.mean(pairs) / (len(gradients) - 1)


def critic_loss(
    critics: Params, target: Float[Array, " B"], rows: Rows, config: TeachConfig
) -> tuple[Float[Array, ""], Figures]:
    """Equation 3."""
    values = apply_critics(critics, rows.states, rows.actions, normed=False)
    errors = jnp.sum(jnp.mean((values - target) ** 2, axis=-1))
    figures = {"critic_loss": errors, "value": values.mean()}
    if config.edac.diversity == 0.0:
        return errors, figures
    likeness = diversity(action_gradients(critics, rows))
    return errors + config.edac.diversity * likeness, {**figures, "likeness": likeness}


def action_gradients(critics: Params, rows: Rows) -> Float[Array, "C B A"]:
    """∇_a Q_j(s, a) of every critic."""

    def total(actions: Float[Array, "B A"], one: Params) -> Float[Array, ""]:
        stacked = jax.tree.map(lambda x: x[None], one)
        return apply_critics(stacked, rows.states, actions, normed=False).sum()

    return jax.vmap(lambda one: jax.grad(total)(rows.actions, one))(critics)


def update(state: State, rows: Rows, key: PRNGKeyArray, config: TeachConfig) -> tuple[State, Figures]:
    """One step of the entropy's weight, the actor, the critics and their targets."""
    rows, optimisers, rate = first(rows), dict(state.optimisers), config.edac.learning_rate
    actor_key, target_key = jax.random.split(key)
    weight = jnp.exp(state.log_weight)
    actor, optimisers["actor"], (density, of_actor) = descend(
        lambda p: actor_loss(p, state.critics, weight, rows, actor_key), state.actor, optimisers["actor"], rate
    )
    log_weight, optimisers["weight"], _ = descend(
        lambda w: (entropy_loss(w, density, rows.actions.shape[-1]), None),
        state.log_weight,
        optimisers["weight"],
        rate,
    )
    chosen, density = draw(actor, rows.next_states, target_key, 1)
    values = apply_critics(state.target_critics, rows.next_states, chosen[0], normed=False).min(axis=0)
    target = rows.rewards + config.discount * rows.alive * (values - jnp.exp(log_weight) * density[0])
    critics, optimisers["critics"], of_critics = descend(
        lambda p: critic_loss(p, target, rows, config), state.critics, optimisers["critics"], rate
    )
    target_critics = follow(critics, state.target_critics, config)
    return State(actor, critics, target_critics, log_weight, optimisers), {**of_critics, **of_actor}


def parts(state: State, data: Transitions, config: TeachConfig) -> Parts:
    """The actor and all critics."""
    return Parts(state.actor, "tanh_gaussian", state.critics, False)


ALGORITHM = Algorithm("edac", prepare, begin, update, parts)
