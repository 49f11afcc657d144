"""Access of the speed programs to internals of potstill: an outer step, and updates of a teacher."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

from potstill.commands.distill import iterate_pairs
from potstill.commands.distillation_job import Tables
from potstill.commands.resolve import resolve_problem
from potstill.config import DistillConfig
from potstill.data.registry import load_dataset
from potstill.data.transitions import Transitions
from potstill.distillation import Schedule
from potstill.teachers import ALGORITHMS, Learner, Training, find_teacher

MANY = 1_000_000  # more steps than are ever taken


def outer_step(dataset: Path | str, teacher: Path | str | None, **options: Any) -> Callable[[], None]:
    """A function that takes the next outer step of ``potstill distill`` and waits for it."""
    config = DistillConfig(dataset, teacher=teacher, steps=MANY, **options)
    data = load_dataset(dataset)
    found = find_teacher(teacher, dataset, data)
    problem = resolve_problem(config).for_data(data, found)
    iterates = iterate_pairs(config, problem, Tables.build(problem, data, found), found, Schedule(MANY))
    next(iterates)  # the initial pairs

    def call() -> None:
        jax.block_until_ready(next(iterates).pairs)

    return call


def teacher_updates(data: Transitions, algorithm: str, count: int, batch: int = 256) -> Callable[[], float]:
    """A function that takes the next ``count`` updates of ``potstill teach`` and returns how many they are."""
    learner = Learner(ALGORITHMS[algorithm](), data, Training(updates=MANY, evaluate_every=count, batch=batch))

    def call() -> float:
        before = learner.done
        while learner.done < before + count:
            learner.advance()
        return float(learner.done - before)

    return call
