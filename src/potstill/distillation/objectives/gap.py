"""The Q-gap: the integrand of Theorem 2 for a deterministic teacher, by one or by all critics.

By Theorem 2, the lost return is the expectation of q*(s, π*(s)) − q*(s, π(s)) over the student's states, divided by
1 − γ. For discrete actions it is the exact sum Σ_a (π*(a | s) − π(a | s)) q*(s, a), because the value of a vector of
probabilities is an expectation. A shift of the reward does not change it. The clip at 0 keeps the student from
exploiting critics that overestimate its actions. All gaps are in standard deviations of q* over the dataset.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.distillation.objectives.base import Objective, StateTable
from potstill.distillation.objectives.cloning import squared_distance
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_finite, check_ranges
from potstill.teachers.base import Teacher

Critics = Literal["min", "mean", "each"]


@check_arguments
def q_gap(
    student_actions: Float[Array, "B A"], batch: StateTable, teacher: Teacher | None, critics: Critics = "min"
) -> Float[Array, " B"]:
    """The value that the student's actions lose against the teacher's, at least 0, in standard deviations of q*.

    ========  ==================================================  ==================================
    ``min``   min_j q_j(s, π*(s)) − min_j q_j(s, π(s))            pessimistic where critics disagree
    ``mean``  mean_j [q_j(s, π*(s)) − q_j(s, π(s))]               the average critic
    ``each``  max_j [q_j(s, π*(s)) − q_j(s, π(s))]                worst case over the critics
    ========  ==================================================  ==================================

    Args:
        student_actions: π(s), in [−1, 1].
        batch: the states, with the values of the teacher's actions.
        teacher: its critics q_j evaluate the student's actions.
        critics: how the critics are combined.

    Raises:
        PotstillError: there is no teacher.

    Example:
        >>> import potstill
        >>> teacher, states = potstill.load_teacher("hopper-medium-replay"), jnp.zeros((2, 11))
        >>> best = teacher.act(states)
        >>> batch = StateTable(states, best, best, teacher.action_values(states, best).T, jnp.ones(2), jnp.ones(()))
        >>> q_gap(best, batch, teacher).tolist(), bool((q_gap(-best, batch, teacher) > 0.0).all())
        ([0.0, 0.0], True)
    """
    if teacher is None:
        raise PotstillError("the Q-gap requires a teacher with action values")
    values = teacher.action_values(batch.states, student_actions).T
    if critics == "min":
        lost = batch.values - values.min(axis=-1)
    else:
        lost = (batch.critic_values - values).mean(-1) if critics == "mean" else (batch.critic_values - values).max(-1)
    return jnp.maximum(lost, 0.0) / batch.value_scale


@check_arguments
@dataclass(frozen=True)
class QGap(Objective):
    """PBC + weight × Q-gap: ‖π(s) − π*(s)‖² + weight · :func:`q_gap`. The default objective.

    PBC keeps the student's actions close to the teacher's, where the critics are reliable.

    Raises:
        PotstillError: a field has a wrong type or is out of range; or, when it is called, there is no teacher.

    Example:
        >>> import potstill
        >>> teacher, states = potstill.load_teacher("hopper-medium-replay"), jnp.zeros((2, 11))
        >>> best = teacher.act(states)
        >>> batch = StateTable(states, best, best, teacher.action_values(states, best).T, jnp.ones(2), jnp.ones(()))
        >>> QGap(critics="mean", weight=2.0)(best, batch, teacher).tolist()
        [0.0, 0.0]
    """

    uses_critics: ClassVar[bool] = True

    critics: Critics = "min"
    """How the critics are combined: their minimum (``min``), their ``mean``, or ``each`` of them."""

    weight: float = 5.0
    """Weight of the gap relative to the squared distance. The gap is in standard deviations of q*."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, weight=0.0)
        check_finite(self, "weight")

    def __call__(
        self, student_actions: Float[Array, "B A"], batch: StateTable, teacher: Teacher | None
    ) -> Float[Array, " B"]:
        """The loss of each state."""
        distance = squared_distance(student_actions, batch.teacher_actions)
        return distance + self.weight * q_gap(student_actions, batch, teacher, self.critics)


@check_arguments
@dataclass(frozen=True)
class QGapMean(QGap):
    """The Q-gap by the mean of the critics."""

    critics: Critics = "mean"


@check_arguments
@dataclass(frozen=True)
class QGapEach(QGap):
    """The Q-gap by the critic that estimates the largest loss."""

    critics: Critics = "each"
