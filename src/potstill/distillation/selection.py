"""Selection of the iterate of the outer loop that is kept: by a loss on held-out states, never by return.

``last``      the last iterate.
``held-out``  the iterate with the lowest outer loss on held-out states, computed by the solver.
``students``  the iterate with the lowest objective on held-out states, averaged over five trained students. Their
              initialisations are not used in any evaluation.

``held-out`` and ``students`` score the initial pairs and six iterates of the second half.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from potstill.distillation.objectives.base import ObjectiveFunction, StateTable, weighted_loss
from potstill.distillation.objectives.cloning import DataCloning
from potstill.distillation.outer_loop import outer_loss
from potstill.distillation.schedule import Schedule
from potstill.distillation.solvers.base import Solver
from potstill.runtime import devices
from potstill.students.training import Pairs, compute_mean_actions, train_networks
from potstill.teachers.base import Teacher

CANDIDATES = 6  # iterates of the second half that are scored
STUDENTS = 5  # students that the criterion ``students`` trains
STUDENTS_SEED = 1_000_003  # not a seed of any evaluation

Loss: TypeAlias = Callable[[Pairs], float]
Criterion: TypeAlias = Callable[[ObjectiveFunction | None, Solver, StateTable, Teacher | None], Loss]


def make_held_out_loss(
    objective: ObjectiveFunction | None, solver: Solver, held_out: StateTable, teacher: Teacher | None
) -> Loss:
    """Make the outer loss on held-out states, for a fixed initialisation of the student. The default objective: DBC."""
    loss = jax.jit(
        functools.partial(
            outer_loss,
            objective=objective or DataCloning(),
            solver=solver.make_exact(),
            teacher=teacher,
            mesh=devices.find_local_devices(),
        )
    )
    return lambda pairs: float(loss(pairs, held_out, jax.random.key(0)))


def make_students_loss(
    objective: ObjectiveFunction | None, solver: Solver, held_out: StateTable, teacher: Teacher | None
) -> Loss:
    """Make the objective on held-out states, averaged over students trained on the pairs."""
    keys, scored = jax.random.split(jax.random.key(STUDENTS_SEED), STUDENTS), objective or DataCloning()

    @jax.jit
    def measure(pairs: Pairs) -> Array:
        size, loss = pairs.actions.shape[-1], solver.recipe.loss
        students = train_networks(keys, pairs, solver.recipe)
        actions = jax.vmap(lambda params: compute_mean_actions(params, held_out.states, size, loss))(students)
        return jnp.mean(jax.vmap(lambda a: weighted_loss(scored, a, held_out, teacher))(actions))

    return lambda pairs: float(measure(pairs))


def choose_candidate_steps(steps: int) -> set[int]:
    """Choose the outer steps at which candidate distillates are scored."""
    return {0, *np.linspace(steps // 2, steps, CANDIDATES, dtype=int).tolist()}


CRITERIA: dict[str, Criterion | None] = {"last": None, "held-out": make_held_out_loss, "students": make_students_loss}
"""Criteria by name; ``None`` keeps the last iterate."""


@dataclass
class IterateSelection:
    """The state of the selection: the candidates so far."""

    schedule: Schedule
    """Determines the number of steps and thereby the candidates."""
    loss: Loss | None
    """The criterion. ``None``: the last iterate is kept."""
    losses: dict[int, float] = field(default_factory=dict)
    """The criterion's value for each candidate so far."""

    def offer(self, step: int, pairs: Pairs) -> bool:
        """Score ``pairs`` if they are a candidate; return whether they are the best so far."""
        if self.loss is None:
            return True
        if step not in choose_candidate_steps(self.schedule.expected_steps):
            return False
        before = min(self.losses.values(), default=np.inf)
        self.losses[step] = self.loss(pairs)
        return self.losses[step] < before or len(self.losses) == 1
