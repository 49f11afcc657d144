"""EDAC: SAC with an ensemble of diversified critics (An et al., NeurIPS 2021); SAC-N without the diversity.

With N critics and w the entropy's weight:

    y   = r + γ (1 − d) [ min_j Q̄_j(s′, a′) − w log π(a′ | s′) ],   a′ ~ π(· | s′)      (1, critic target)
    D   = 1/(N − 1) E Σ_{i≠j} ⟨ g_i, g_j ⟩,   g_j = ∇_a Q_j(s, a) / ‖∇_a Q_j(s, a)‖     (2, diversity)
    L_Q = Σ_j E (Q_j(s, a) − y)² + η D                                                  (3, critics)

The actor is the entropy-regularised one of :mod:`potstill.teachers.algorithms.gaussian`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import Settings
from potstill.data.transitions import Transitions
from potstill.networks.mlp import Params, apply_critic, apply_critics, init_stack, init_uniform
from potstill.teachers.algorithms import gaussian
from potstill.teachers.algorithms.gaussian import State, draw
from potstill.teachers.algorithms.values import bootstrapped
from potstill.teachers.algorithms.values import critic_loss as squared_errors
from potstill.teachers.rows import Rows, Table
from potstill.teachers.training import Algorithm, Figures, first

HIDDEN = (256, 256, 256)
NORM_FLOOR = 1e-10


def prepare(data: Transitions, settings: Settings) -> Table:
    """All rows."""
    return Table(data)


def begin(key: PRNGKeyArray, state_size: int, action_size: int, settings: Settings, updates: int) -> State:
    """Fresh networks."""
    actor_key, critic_key = jax.random.split(key)
    actor = init_uniform(actor_key, (state_size, *HIDDEN, 2 * action_size))
    critics = init_stack(init_uniform, critic_key, (state_size + action_size, *HIDDEN, 1), settings.own.critics)
    return gaussian.begin(actor, critics)


def diversity(gradients: Float[Array, "C B A"]) -> Float[Array, ""]:
    """Equation 2, from ∇_a Q_j(s, a)."""
    unit = gradients / (jnp.sqrt(jnp.sum(gradients**2, axis=-1, keepdims=True) + NORM_FLOOR**2) + NORM_FLOOR)
    # Σ_{i≠j} ⟨g_i, g_j⟩ = ‖Σ g_j‖² − Σ ‖g_j‖²: no N × N matrix is formed
    pairs = jnp.sum(unit.sum(axis=0) ** 2, axis=-1) - jnp.sum(unit**2, axis=(0, -1))
    return jnp.mean(pairs) / (len(gradients) - 1)


def critic_loss(
    critics: Params, target: Float[Array, " B"], rows: Rows, settings: Settings
) -> tuple[Float[Array, ""], Figures]:
    """Equation 3."""
    errors, figures = squared_errors(critics, target, rows, normed=False)
    if settings.own.diversity == 0.0:
        return errors, figures
    likeness = diversity(action_gradients(critics, rows))
    return errors + settings.own.diversity * likeness, {**figures, "likeness": likeness}


def action_gradients(critics: Params, rows: Rows) -> Float[Array, "C B A"]:
    """∇_a Q_j(s, a) of every critic."""
    value = lambda actions, one: apply_critic(one, rows.states, actions, normed=False).sum()  # noqa: E731
    return jax.vmap(lambda one: jax.grad(value)(rows.actions, one))(critics)


def update(state: State, rows: Rows, key: PRNGKeyArray, settings: Settings) -> tuple[State, Figures]:
    """One step of the actor, its entropy's weight, the critics and their targets."""
    rows = first(rows)
    actor_key, target_key = jax.random.split(key)
    state, of_actor = gaussian.update_actor(state, rows, actor_key, settings.own.learning_rate)
    chosen, density = draw(state.actor, rows.next_states, target_key, 1)
    values = apply_critics(state.target_critics, rows.next_states, chosen[0], normed=False).min(axis=0)
    target = bootstrapped(rows, values - jnp.exp(state.log_weight) * density[0], settings.discount)
    state, of_critics = gaussian.update_critics(state, lambda p: critic_loss(p, target, rows, settings), settings)
    return state, {**of_critics, **of_actor}


ALGORITHM = Algorithm("edac", prepare, begin, update, gaussian.parts)
