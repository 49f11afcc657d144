"""A comparison of offline criteria: variants of fitted Q-evaluation, by how they rank policies compared with returns.

A training run without early stopping yields ten policies, each evaluated in ten episodes. Then critics are fitted to
one policy after the other, as in ``potstill teach``: with the training's horizon 1 / (1 − γ) or three times that, with
or without pessimism, and averaged over the first states of held-out episodes or over all of their states.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import potstill
from benchmarks.experiments.teachers import make_options
from benchmarks.files import BUNDLED, Workspace
from benchmarks.grid import Cell, Experiment, Record
from potstill.data.transitions import Transitions
from potstill.environments.references import normalised_return
from potstill.evaluation.scores import measure_policy_returns
from potstill.networks.mlp import apply_critics
from potstill.teachers import ALGORITHMS, Algorithm, Learner, NetworkTeacher, Training
from potstill.teachers.evaluation.fqe import PESSIMISM, Evaluator, select_held_out_starts, select_held_out_states
from potstill.teachers.rows import load_with_returns

EVERY = {"rebrac": 6_000, "iql": 9_000}  # updates between two policies
POLICIES, EPISODES, STATES = 10, 10, 4096
FITTED_UPDATES = 2_000  # for each policy; ten times as many for the first
HORIZONS, PENALTIES = (1.0, 3.0), (0.0, PESSIMISM)


def make_settings(cell: Cell, workspace: Workspace) -> tuple[Algorithm[Any], Training]:
    """The algorithm and the settings of the training."""
    algorithm = ALGORITHMS[cell.method](**make_options(cell.method, cell.file).get("algorithm_fields", {}))
    if workspace.toy:
        return algorithm, Training(updates=200_000, evaluate_every=20, batch=16, seed=cell.seed)
    return algorithm, Training(updates=200_000, evaluate_every=EVERY[cell.method], seed=cell.seed)


def train_policies(
    algorithm: Algorithm[Any], data: Transitions, training: Training, policies: int
) -> list[NetworkTeacher]:
    """Train, and return the policies after each ``evaluate_every`` updates."""
    learner = Learner(algorithm, data, training)
    found: list[NetworkTeacher] = []
    while len(found) < policies:
        learner.advance()
        if learner.done % training.evaluate_every == 0:
            found.append(learner.make_teacher())
    return found


def estimate_values(
    data: Transitions, training: Training, policies: list[NetworkTeacher], updates: int, horizons: tuple[float, ...]
) -> Record:
    """Estimate the value of the policies by every criterion, named "horizon, pessimism, states of the mean"."""
    table = load_with_returns(data, training.discount)
    state_sets = {"starts": select_held_out_starts(data), "states": select_held_out_states(data)[:STATES]}
    found: dict[str, list[float]] = {}
    for horizon in horizons:
        longer = dataclasses.replace(training, discount=1.0 - (1.0 - training.discount) / horizon)
        for pessimism in PENALTIES:
            fit = Evaluator(table, data, longer, state_sets["starts"], pessimism * float(table.rewards.std()))
            for teacher in policies:
                fit(teacher, updates)
                for name, index in state_sets.items():
                    states = table.states[index]
                    value = fit.scale * float(apply_critics(fit.state.critic, states, teacher.act(states)).mean())
                    found.setdefault(f"{horizon:g}, {pessimism:g}, {name}", []).append(value)
    return found


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Measure the returns of the policies of a training run, and the estimates of each criterion."""
    (algorithm, training), data = (
        make_settings(cell, workspace),
        potstill.load_dataset(workspace.find_dataset(cell.file)),
    )
    policies = train_policies(algorithm, data, training, 2 if workspace.toy else POLICIES)
    episodes = 1 if workspace.toy else EPISODES
    assert data.env_id is not None
    returns = [measure_policy_returns(teacher.policy, data.env_id, episodes, seed=0) for teacher in policies]
    return {
        "updates": [training.evaluate_every * (k + 1) for k in range(len(policies))],
        "returns": [float(normalised_return(np.asarray(each), data.env_id).mean()) for each in returns],
        "criteria": estimate_values(
            data, training, policies, *((2, HORIZONS[:1]) if workspace.toy else (FITTED_UPDATES, HORIZONS))
        ),
    }


def describe_inputs(cell: Cell) -> dict[str, Any]:
    """The options of the training and of the comparison."""
    counts = {"every": EVERY[cell.method], "policies": POLICIES, "episodes": EPISODES, "states": STATES}
    return {"options": make_options(cell.method, cell.file), **counts, "fitted_updates": FITTED_UPDATES}


EXPERIMENT = Experiment(
    "criteria",
    "offline criteria compared with returns in four training runs",
    (
        Cell("rebrac", "hopper-medium-replay"),
        Cell("iql", "hopper-medium-replay"),
        Cell("rebrac", "halfcheetah-medium-replay"),
        Cell("iql", "halfcheetah-medium-expert"),
    ),
    describe_inputs,
    measure,
    frozenset({"updates", "returns", "criteria"}),
    extra=(Cell("rebrac", BUNDLED), Cell("iql", BUNDLED)),
    toy=(Cell("iql", BUNDLED),),
)
