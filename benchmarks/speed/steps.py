"""The units of work of the speed programs: outer steps of a distillation, and updates of a teacher."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import numpy as np

from benchmarks.speed.harness import Call, repeat
from potstill.data.registry import load_dataset
from potstill.data.split import select_training_rows
from potstill.data.transitions import Transitions
from potstill.distillation import (
    WEIGHTINGS,
    KernelDescent,
    ObjectiveFunction,
    OuterSettings,
    QGap,
    Schedule,
    Solver,
    build_state_table,
    combine_weightings,
    make_initial_pairs,
    optimise_pairs,
)
from potstill.distillation.defaults import choose_default_action_limit, choose_default_states
from potstill.teachers import ALGORITHMS, Learner, Training, find_teacher

MAX_STEPS = 1_000_000  # more than a benchmark takes
Q_GAP, KERNEL_DESCENT, SETTINGS = QGap(), KernelDescent(), OuterSettings()


def make_outer_steps(
    dataset: Path | str,
    teacher: Path | str,
    count: int = 1,
    *,
    size: int = 256,
    objective: ObjectiveFunction = Q_GAP,
    solver: Solver = KERNEL_DESCENT,
    settings: OuterSettings = SETTINGS,
) -> Call:
    """The next ``count`` outer steps of a distillation; weighting, state noise and action limit have their defaults."""
    data = load_dataset(dataset)
    network_teacher = find_teacher(teacher, dataset, data)
    weighting, noise = choose_default_states(objective, data, network_teacher, solver.recipe)
    weights = combine_weightings(WEIGHTINGS[weighting])
    table = build_state_table(data, network_teacher, weights, select_training_rows(len(data)))
    iterates = optimise_pairs(
        make_initial_pairs(table, size, rng=np.random.default_rng(0)),
        table,
        network_teacher,
        objective=objective,
        solver=solver,
        schedule=Schedule(MAX_STEPS),
        settings=dataclasses.replace(
            settings, state_noise=noise, action_limit=choose_default_action_limit(solver.recipe)
        ),
        key=jax.random.key(0),
    )
    next(iterates)  # the initial pairs

    def step() -> None:
        jax.block_until_ready(next(iterates).pairs)

    return repeat(step, count)


def make_teacher_updates(data: Transitions, algorithm: str, count: int, batch: int = 256) -> Call:
    """The next ``count`` updates of ``potstill teach``."""
    learner = Learner(ALGORITHMS[algorithm](), data, Training(updates=MAX_STEPS, evaluate_every=count, batch=batch))

    def update() -> float:
        before = learner.done
        while learner.done < before + count:
            learner.advance()
        return float(learner.done - before)

    return update
