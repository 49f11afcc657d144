"""What every outer objective is given."""

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
    values: Float[Array, " B"]
    """q*(s, π*(s)), the minimum over the critics, in units of return."""
    weights: Float[Array, " B"]
    """What :func:`~potstill.objectives.weights.value_weights` made of the values."""
    value_scale: Float[Array, ""]
    """Standard deviation of the values over the whole dataset."""


Objective = Callable[[Float[Array, "B A"], Batch, Teacher | None], Float[Array, ""]]


def objective_named(name: str) -> Objective:
    """Look an objective up; an unknown name is a :class:`~potstill.errors.PotstillError`."""
    from potstill.errors import unknown
    from potstill.objectives import OBJECTIVES

    if name not in OBJECTIVES:
        raise unknown("objective", name, [*OBJECTIVES, "random"])
    return OBJECTIVES[name]
