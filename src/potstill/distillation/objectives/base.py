"""What every outer objective is given, and how objectives and weights of states make one loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float

from potstill.teachers.base import Teacher


class Batch(NamedTuple):
    """B states of the dataset with all that does not depend on the student, computed once."""

    states: Float[Array, "B S"]
    """Standardised states."""
    actions: Float[Array, "B A"]
    """The dataset's actions, in [−1, 1]."""
    teacher_actions: Float[Array, "B A"]
    """π*(s), the teacher's mean action, in [−1, 1]."""
    critic_values: Float[Array, "B C"]
    """q_j(s, π*(s)) of each of C critics, in units of return."""
    weights: Float[Array, " B"]
    """What :func:`~potstill.distillation.objectives.weights.state_weights` gave each state."""
    value_scale: Float[Array, ""]
    """Standard deviation of the values over the whole dataset."""

    @property
    def values(self) -> Float[Array, " B"]:
        """q*(s, π*(s)), the minimum over the critics, in units of return."""
        return self.critic_values.min(axis=-1)


Objective = Callable[[Float[Array, "B A"], Batch, Teacher | None], Float[Array, " B"]]


def objective_named(name: str) -> Objective:
    """Look an objective up; an unknown name is a :class:`~potstill.errors.PotstillError`."""
    from potstill.distillation.objectives import OBJECTIVES
    from potstill.errors import unknown

    if name not in OBJECTIVES:
        raise unknown("objective", name, [*OBJECTIVES, "random"])
    return OBJECTIVES[name]


def weighted_loss(
    name: str, student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None
) -> Float[Array, ""]:
    """H = E_s~D [ w(s) h(s) ]: the objective ``name`` of each state times the state's weight, averaged."""
    return (batch.weights * objective_named(name)(student_actions, batch, teacher)).mean()
