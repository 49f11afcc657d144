"""Objectives that compare actions: DBC, PBC and Av-PBC (method §2)."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.objectives.base import Batch
from potstill.teachers.base import Teacher


def _squared_distance(a: Float[Array, "B A"], b: Float[Array, "B A"]) -> Float[Array, " B"]:
    return jnp.sum((a - b) ** 2, axis=-1)


def dbc(student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None) -> Float[Array, ""]:
    """Data-based behavioural cloning: E_(s,a)~D ‖π(s) − a‖².

    Needs no teacher; its best student is BC on the whole data.
    """
    del teacher
    return _squared_distance(student_actions, batch.actions).mean()


def pbc(student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None) -> Float[Array, ""]:
    """Policy-based behavioural cloning: E_s~D ‖π(s) − π*(s)‖²."""
    del teacher
    return _squared_distance(student_actions, batch.teacher_actions).mean()


def av_pbc(student_actions: Float[Array, "B A"], batch: Batch, teacher: Teacher | None) -> Float[Array, ""]:
    """Action-value weighted PBC: E_s~D [ w(q*(s, π*(s))) ‖π(s) − π*(s)‖² ].

    a* is the teacher's mean action. The weight function w is chosen by name, see
    :mod:`potstill.objectives.weights`: the formula wants q* ≥ 0, which critics do not promise.
    """
    del teacher
    return (batch.weights * _squared_distance(student_actions, batch.teacher_actions)).mean()
