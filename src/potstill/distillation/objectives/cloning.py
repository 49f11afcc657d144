"""Objectives of behavioural cloning: the squared distance to the data's or to the teacher's action (method §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.distillation.objectives.base import Objective, StateTable
from potstill.runtime.arguments import check_arguments
from potstill.teachers.base import Teacher


def squared_distance(a: Float[Array, "B A"], b: Float[Array, "B A"]) -> Float[Array, " B"]:
    """‖a − b‖² of each row."""
    return jnp.sum((a - b) ** 2, axis=-1)


@check_arguments
@dataclass(frozen=True)
class DataCloning(Objective):
    """DBC, data-based behavioural cloning: ‖π(s) − a‖².

    It does not use a teacher. Its optimum is behavioural cloning of the whole dataset.
    """

    needs_teacher: ClassVar[bool] = False

    def __call__(
        self, student_actions: Float[Array, "B A"], batch: StateTable, teacher: Teacher | None
    ) -> Float[Array, " B"]:
        """The loss of each state."""
        return squared_distance(student_actions, batch.actions)


@check_arguments
@dataclass(frozen=True)
class PolicyCloning(Objective):
    """PBC, policy-based behavioural cloning: ‖π(s) − π*(s)‖²."""

    def __call__(
        self, student_actions: Float[Array, "B A"], batch: StateTable, teacher: Teacher | None
    ) -> Float[Array, " B"]:
        """The loss of each state."""
        return squared_distance(student_actions, batch.teacher_actions)


@check_arguments
@dataclass(frozen=True)
class ActionValueCloning(PolicyCloning):
    """Av-PBC, action-value weighted PBC: PBC with weights that grow with q*, by default ``ranged``."""

    default_weighting: ClassVar[str] = "ranged"
