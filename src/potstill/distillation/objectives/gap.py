"""The Q-gap: Theorem 2's own integrand for a deterministic teacher, by one or by all critics.

By Theorem 2 the return lost is E over the student's states of q*(s, π*(s)) − q*(s, π(s)), over 1 − γ. A
shift of the reward leaves it unchanged. The clip at 0 keeps the student from seeking errors of the
critics above the teacher. All three are in standard deviations of q* over the dataset.
"""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.distillation.objectives.base import Batch, Objective
from potstill.distillation.objectives.cloning import pbc
from potstill.errors import PotstillError
from potstill.teachers.base import Teacher

GAP_WEIGHT = 5.0  # of the gap, in standard deviations of q*, against the squared distance


def _student_values(student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None) -> Float[Array, "B C"]:
    """q_j(s, π(s)) of each critic."""
    if teacher is None:
        raise PotstillError("the Q-gap needs a teacher with action values")
    return teacher.action_values(batch.states, student_actions).T


def q_gap(student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None) -> Float[Array, " B"]:
    """max(0, min_j q_j(s, π*(s)) − min_j q_j(s, π(s))) / std(q*).

    The minimum over critics is pessimistic where they disagree, away from the data.
    """
    values = _student_values(student_actions, batch, teacher).min(axis=-1)
    return jnp.maximum(batch.values - values, 0.0) / batch.value_scale


def q_gap_mean(student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None) -> Float[Array, " B"]:
    """max(0, mean_j [q_j(s, π*(s)) − q_j(s, π(s))]) / std(q*): what the critics say on average."""
    lost = batch.critic_values - _student_values(student_actions, batch, teacher)
    return jnp.maximum(lost.mean(axis=-1), 0.0) / batch.value_scale


def q_gap_each(student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None) -> Float[Array, " B"]:
    """max(0, max_j [q_j(s, π*(s)) − q_j(s, π(s))]) / std(q*): no critic may see a loss."""
    lost = batch.critic_values - _student_values(student_actions, batch, teacher)
    return jnp.maximum(lost.max(axis=-1), 0.0) / batch.value_scale


def anchored(gap: Objective) -> Objective:
    """PBC + 5 × ``gap``: the distance keeps the student where the critics can be trusted."""

    def objective(student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None) -> Float[Array, " B"]:
        return pbc(student_actions, batch, teacher) + GAP_WEIGHT * gap(student_actions, batch, teacher)

    return objective
