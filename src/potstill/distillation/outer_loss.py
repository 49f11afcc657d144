"""The outer loss: the objective of students that are trained on pairs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.distillation.objectives.base import ObjectiveFunction, StateTable, weighted_loss
from potstill.distillation.objectives.rollout import RolloutGap
from potstill.distillation.solvers.base import Solver, StudentPolicy
from potstill.runtime import devices
from potstill.students.training import Pairs
from potstill.teachers.base import Teacher


def shard_rows(batch: StateTable, mesh: Mesh) -> StateTable:
    """Split the rows of a batch among the devices."""
    return batch._replace(**devices.shard({k: v for k, v in batch._asdict().items() if k != "value_scale"}, mesh))


def outer_loss(
    pairs: Pairs,
    batch: StateTable,
    key: PRNGKeyArray,
    *,
    objective: ObjectiveFunction,
    solver: Solver,
    teacher: Teacher | None,
    mesh: Mesh,
    initialisations: int = 1,
    rollout: RolloutGap | None = None,
) -> Float[Array, ""]:
    """H(π_θ(D), batch), averaged over students that are initialised independently.

    With ``rollout``, the loss of the student's rollouts in a world model is added.

    The students are distributed over the devices of ``mesh``. If their number is not a multiple of the number of
    devices, the pairs and the states are distributed instead.
    """

    def loss_of_one(key: PRNGKeyArray, pairs: Pairs, batch: StateTable) -> Array:
        if rollout is None:
            return weighted_loss(objective, solver(pairs, batch.states, key), batch, teacher)

        def measure(student: StudentPolicy) -> Array:
            actions, noise_key = student(batch.states), jax.random.fold_in(key, 3)
            return weighted_loss(objective, actions, batch, teacher) + rollout(student, batch, teacher, noise_key)

        return solver.measure_student(measure, pairs, key)

    if initialisations == 1:
        return loss_of_one(key, devices.shard(pairs, mesh), shard_rows(batch, mesh))
    keys, loss_of_each = jax.random.split(key, initialisations), jax.vmap(loss_of_one, in_axes=(0, None, None))
    if devices.divides_evenly(initialisations, mesh):
        return jnp.mean(devices.shard_calls(loss_of_each, mesh)(keys, pairs, batch))
    return jnp.mean(loss_of_each(keys, devices.shard(pairs, mesh), shard_rows(batch, mesh)))
