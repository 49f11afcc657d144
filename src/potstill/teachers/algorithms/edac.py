"""EDAC: SAC with an ensemble of diversified critics (An et al., NeurIPS 2021); without the diversity term, SAC-N.

With N critics and entropy weight w:

    y   = r + γ (1 − d) [ min_j Q̄_j(s′, a′) − w log π(a′ | s′) ],   a′ ~ π(· | s′)      (1, critic target)
    D   = 1/(N − 1) E Σ_{i≠j} ⟨ g_i, g_j ⟩,   g_j = ∇_a Q_j(s, a) / ‖∇_a Q_j(s, a)‖     (2, diversity)
    L_Q = Σ_j E (Q_j(s, a) − y)² + η D                                                  (3, critics)

The actor is the entropy-regularised one of :mod:`potstill.teachers.algorithms.gaussian`.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.data.transitions import Transitions
from potstill.networks.mlp import Params, apply_critic, apply_critics, init_stack, init_uniform
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.teachers.algorithms import gaussian
from potstill.teachers.algorithms.base import Algorithm, Metrics, TeacherParts
from potstill.teachers.algorithms.critics import bootstrap
from potstill.teachers.algorithms.critics import critic_loss as bellman_loss
from potstill.teachers.algorithms.gaussian import GaussianState, sample_actions
from potstill.teachers.optimisation import take_single_batch
from potstill.teachers.rows import TrainingRows, TrainingTable
from potstill.teachers.settings import UpdateSettings

HIDDEN = (256, 256, 256)
NORM_FLOOR = 1e-10


def gradient_similarity(gradients: Float[Array, "C B A"]) -> Float[Array, ""]:
    """Equation 2, from ∇_a Q_j(s, a)."""
    unit = gradients / (jnp.sqrt(jnp.sum(gradients**2, axis=-1, keepdims=True) + NORM_FLOOR**2) + NORM_FLOOR)
    # Σ_{i≠j} ⟨g_i, g_j⟩ = ‖Σ g_j‖² − Σ ‖g_j‖² avoids an N × N matrix
    pairs = jnp.sum(unit.sum(axis=0) ** 2, axis=-1) - jnp.sum(unit**2, axis=(0, -1))
    return jnp.mean(pairs) / (len(gradients) - 1)


def action_gradients(critics: Params, rows: TrainingRows) -> Float[Array, "C B A"]:
    """∇_a Q_j(s, a) of every critic."""

    def summed_values(actions: Float[Array, "B A"], critic: Params) -> Float[Array, ""]:
        return apply_critic(critic, rows.states, actions, normed=False).sum()

    gradients: Array = jax.vmap(lambda critic: jax.grad(summed_values)(rows.actions, critic))(critics)
    return gradients


def critic_loss(
    critics: Params, target: Float[Array, " B"], rows: TrainingRows, *, diversity: float
) -> tuple[Float[Array, ""], Metrics]:
    """Equation 3, with η = ``diversity``."""
    errors, metrics = bellman_loss(critics, target, rows, normed=False)
    if diversity == 0.0:
        return errors, metrics
    similarity = gradient_similarity(action_gradients(critics, rows))
    return errors + diversity * similarity, {**metrics, "likeness": similarity}


@check_arguments
@dataclass(frozen=True)
class Edac(Algorithm[GaussianState]):
    """EDAC. With ``diversity=0`` it is SAC-N.

    >>> Edac(critics=50).diversity
    1.0
    """

    name: ClassVar[str] = "edac"

    _: KW_ONLY

    critics: int = 10
    """N, the size of the ensemble. Source: the EDAC paper for HalfCheetah and Walker2d; it uses 50 for Hopper."""

    diversity: float = 1.0
    """η, weight of the gradient diversity."""

    learning_rate: float = 3e-4
    """Learning rate of Adam, for all networks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, critics=2, diversity=0, learning_rate=1e-12)

    def prepare(self, data: Transitions, discount: float) -> TrainingTable:
        """Select all rows."""
        return TrainingTable(data)

    def initialise(self, key: PRNGKeyArray, state_size: int, action_size: int, updates: int) -> GaussianState:
        """Initialise actor and critics with uniform weights, scaled by fan-in."""
        actor_key, critic_key = jax.random.split(key)
        actor = init_uniform(actor_key, (state_size, *HIDDEN, 2 * action_size))
        critics = init_stack(init_uniform, critic_key, (state_size + action_size, *HIDDEN, 1), self.critics)
        return gaussian.initialise_state(actor, critics)

    def update(
        self, state: GaussianState, rows: TrainingRows, key: PRNGKeyArray, settings: UpdateSettings
    ) -> tuple[GaussianState, Metrics]:
        """Take one step of the actor, its entropy weight, the critics and their targets."""
        rows = take_single_batch(rows)
        actor_key, target_key = jax.random.split(key)
        state, actor_metrics = gaussian.update_actor(state, rows, actor_key, self.learning_rate)
        next_actions, log_density = sample_actions(state.actor, rows.next_states, target_key, 1)
        values = apply_critics(state.target_critics, rows.next_states, next_actions[0], normed=False).min(axis=0)
        target = bootstrap(rows, values - jnp.exp(state.log_weight) * log_density[0], settings.discount)
        state, critic_metrics = gaussian.update_critics(
            state,
            lambda p: critic_loss(p, target, rows, diversity=self.diversity),
            self.learning_rate,
            settings.target_rate,
        )
        return state, {**critic_metrics, **actor_metrics}

    def extract(self, state: GaussianState, data: Transitions) -> TeacherParts:
        """Extract the actor and all critics."""
        return gaussian.extract_teacher(state)
