"""The Q-gap: Theorem 2's own integrand for a deterministic teacher."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.errors import PotstillError
from potstill.objectives.base import Batch
from potstill.objectives.cloning import pbc
from potstill.teachers.base import Teacher

GAP_WEIGHT = 5.0  # of the gap, in standard deviations of q*, against the squared distance


def q_gap(student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None) -> Float[Array, ""]:
    """E_s~D max(0, q*(s, π*(s)) − min_j q_j(s, π(s))) / std(q*).

    By Theorem 2 the return lost is E over the student's states of q*(s, π*(s)) − q*(s, π(s)), over
    1 − γ. A shift of the reward leaves it unchanged. The minimum over critics is pessimistic where they
    disagree, away from the data; the clip keeps the student from seeking errors of the critics above
    the teacher.
    """
    if teacher is None:
        raise PotstillError("the Q-gap needs a teacher with action values")
    values = teacher.action_values(batch.states, student_actions).min(axis=0)
    return jnp.maximum(batch.values - values, 0.0).mean() / batch.value_scale


def q_gap_pbc(student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None) -> Float[Array, ""]:
    """PBC + 5 × Q-gap: the distance keeps the student where the critics can be trusted."""
    return pbc(student_actions, batch, teacher) + GAP_WEIGHT * q_gap(student_actions, batch, teacher)
