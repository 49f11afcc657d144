"""Access of the speed programs to internals of potstill: an outer step, and updates of a teacher."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from potstill.data.registry import load_dataset
from potstill.data.split import training_rows
from potstill.data.transitions import Transitions
from potstill.distillation import (
    KernelDescent,
    OuterSettings,
    QGap,
    Schedule,
    build_state_table,
    find_weighting,
    initial_pairs,
    optimise_pairs,
)
from potstill.distillation.defaults import default_action_limit, default_states
from potstill.teachers import ALGORITHMS, Learner, Training, find_teacher

MANY = 1_000_000  # more steps than are ever taken


def outer_step(dataset: Path | str, teacher: Path | str | None, **options: Any) -> Callable[[], None]:
    """A function that takes the next outer step of a distillation with default weights and noise, and waits for it.

    The options are ``objective``, ``solver``, ``size`` and the fields of :class:`OuterSettings`.
    """
    objective, solver = options.pop("objective", QGap()), options.pop("solver", KernelDescent())
    size = options.pop("size", 256)
    data = load_dataset(dataset)
    found = find_teacher(teacher, dataset, data)
    weighting, noise = default_states(objective, data, found, solver.recipe)
    outer = OuterSettings(state_noise=noise, action_limit=default_action_limit(solver.recipe), **options)
    table = build_state_table(data, found, find_weighting(weighting), training_rows(len(data)))
    pairs = initial_pairs(table, size, rng=np.random.default_rng(0))
    parts: dict[str, Any] = {"objective": objective, "solver": solver, "schedule": Schedule(MANY)}
    iterates = optimise_pairs(pairs, table, found, **parts, settings=outer, key=jax.random.key(0))
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
