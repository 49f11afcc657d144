"""Selection of the iterate of the outer loop that is kept, without the environment.

``last``      the last iterate.
``held-out``  the iterate with the lowest outer loss on held-out states, computed by the solver.
``students``  the iterate with the lowest objective on held-out states, averaged over five trained students. Their
              initialisations are not used in any evaluation.

``imagined``  the iterate whose trained students have the highest mean return in a world model, averaged over the kinds
              of students of the solver.

``held-out`` and ``students`` score the initial pairs, and those after each sixth of the steps. ``imagined`` scores
seven iterates of the last third: students of earlier ones may be lucky in the model, and fail in the environment.
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

from potstill.data.scaling import Scaling
from potstill.distillation.objectives.base import ObjectiveFunction, StateTable, weighted_loss
from potstill.distillation.objectives.cloning import DataCloning
from potstill.distillation.outer_loss import outer_loss
from potstill.distillation.schedule import Schedule
from potstill.distillation.solvers.base import Solver
from potstill.runtime import devices
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs, compute_mean_actions, train_networks
from potstill.teachers.base import Teacher
from potstill.worlds.base import World
from potstill.worlds.returns import compute_imagined_returns, find_episode_limit

CANDIDATES = 7  # iterates that are scored
LATE = 2 / 3  # of the steps, before the first candidate of ``imagined``
STUDENTS = 5  # students that the criterion ``students`` trains
STUDENTS_SEED = 1_000_003  # not a seed of any evaluation
SINGLE_STUDENTS = 2  # of each kind in a world model. Students with several towers vary less: there is one.
EPISODES = 16  # of each student in a world model

Loss: TypeAlias = Callable[[Pairs], float]
Criterion: TypeAlias = Callable[[ObjectiveFunction | None, Solver, StateTable, Teacher | None], Loss]
"""A criterion that is computed on held-out states."""


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


def make_imagined_loss(world: World, solver: Solver, scaling: Scaling) -> Loss:
    """Make minus the mean return in a world model of students trained on the pairs, for each kind of the solver.

    Args:
        world: the model.
        solver: its recipe, and those of its parts, are the kinds of students.
        scaling: of the pairs and of the students.
    """
    rng = np.random.default_rng(STUDENTS_SEED)
    starts = jnp.asarray(world.starts[rng.integers(len(world.starts), size=EPISODES)])
    limit, size = find_episode_limit(world), len(scaling.action_bounds)

    @functools.partial(jax.jit, static_argnames="recipe")
    def measure(pairs: Pairs, recipe: Recipe) -> Array:
        count = 1 if recipe.towers > 1 else SINGLE_STUDENTS
        students = train_networks(jax.random.split(jax.random.key(STUDENTS_SEED), count), pairs, recipe)

        def act(states: Array) -> Array:
            own = scaling.normaliser(world.normaliser.invert(states)).reshape(count, EPISODES, -1)
            actions = jax.vmap(lambda params, s: compute_mean_actions(params, s, size, recipe.loss))(students, own)
            return actions.reshape(len(states), size)

        firsts = jnp.tile(starts, (count, 1))
        return jnp.mean(compute_imagined_returns(world.dynamics, act, firsts, limit, world.terminates))

    return lambda pairs: -float(np.mean([measure(pairs, recipe) for recipe in solver.kinds]))


def choose_candidate_steps(steps: int, first: float = 0.0) -> set[int]:
    """Choose the outer steps at which candidate distillates are scored, from the fraction ``first`` of the steps on."""
    return set(np.linspace(int(first * steps), steps, CANDIDATES, dtype=int).tolist())


CRITERIA: dict[str, Criterion | None] = {"last": None, "held-out": make_held_out_loss, "students": make_students_loss}
"""Criteria by name, except ``imagined``, which needs a world model; ``None`` keeps the last iterate."""


@dataclass
class IterateSelection:
    """The state of the selection: the candidates so far."""

    schedule: Schedule
    """Determines the number of steps and thereby the candidates."""
    loss: Loss | None
    """The criterion. ``None``: the last iterate is kept."""
    losses: dict[int, float] = field(default_factory=dict)
    """The criterion's value for each candidate so far."""
    first: float = 0.0
    """Fraction of the steps before the first candidate. Until then, the last iterate is kept."""

    def offer(self, step: int, pairs: Pairs) -> bool:
        """Score ``pairs`` if they are a candidate; return whether they are the best so far."""
        if self.loss is None:
            return True
        steps = self.schedule.expected_steps
        if step not in choose_candidate_steps(steps, self.first):
            return step < int(self.first * steps)
        before = min(self.losses.values(), default=np.inf)
        self.losses[step] = self.loss(pairs)
        return self.losses[step] < before or len(self.losses) == 1
