"""Objectives that compare actions: DBC and PBC; Av-PBC is PBC with weights of value (method §2)."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.distillation.objectives.base import Batch
from potstill.teachers.base import Teacher


def _squared_distance(a: Float[Array, "B A"], b: Float[Array, "B A"]) -> Float[Array, " B"]:
    return jnp.sum((a - b) ** 2, axis=-1)


def dbc(student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None) -> Float[Array, " B"]:
    """Data-based behavioural cloning: ‖π(s) − a‖².

    Needs no teacher; its best student is BC on the whole data.
    """
    del teacher
    return _squared_distance(student_actions, batch.actions)


def pbc(student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None) -> Float[Array, " B"]:
    """Policy-based behavioural cloning: ‖π(s) − π*(s)‖²."""
    del teacher
    return _squared_distance(student_actions, batch.teacher_actions)
