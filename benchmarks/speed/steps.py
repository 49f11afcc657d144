"""The places where speed programs reach inside potstill: one outer step, some updates of a teacher, one solver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.commands.distill import tables
from potstill.config import DistillConfig, TeachConfig
from potstill.data.registry import load_dataset
from potstill.data.transitions import Transitions
from potstill.distillation.outer_loop import outer_steps, settled
from potstill.distillation.schedule import Pace
from potstill.distillation.solvers import make_solver
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs
from potstill.teachers.registry import algorithm_named, find_teacher
from potstill.teachers.training import Learner

MANY = 1_000_000  # steps that are never all taken
Solve = Callable[[Pairs, Float[Array, "B S"], PRNGKeyArray], Float[Array, "B A"]]


def outer_step(dataset: Path | str, teacher: Path | str | None, **options: Any) -> Callable[[], None]:
    """A function that takes the next outer step of ``potstill distill`` and waits for it."""
    config = DistillConfig(dataset, teacher=teacher, steps=MANY, **options)
    data = load_dataset(dataset)
    found = find_teacher(teacher, dataset, data)
    full = settled(config, data, found)
    steps = outer_steps(full, tables(full, data, found)[0], found, Pace(MANY))
    next(steps)  # the initial pairs

    def call() -> None:
        jax.block_until_ready(next(steps)[1])

    return call


def teacher_updates(data: Transitions, algorithm: str, count: int, **options: Any) -> Callable[[], float]:
    """A function that takes the next ``count`` updates of ``potstill teach`` and returns how many they are."""
    config = TeachConfig(data.name, algorithm=algorithm, updates=MANY, evaluate_every=count, **options)
    learner = Learner(algorithm_named(algorithm), data, config)

    def call() -> float:
        before = learner.done
        while learner.done < before + count:
            learner.advance()
        return float(learner.done - before)

    return call


def solver(name: str, recipe: Recipe) -> Solve:
    """The solver of that name: (pairs, states, key) -> the actions of a student of ``recipe``."""
    return make_solver(name, recipe)
