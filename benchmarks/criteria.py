"""Which offline criterion knows the better policy: fits of several kinds, beside returns, along trainings.

    python benchmarks/criteria.py                             (resumable: finished trainings are not run again)

A training goes on without stopping and leaves its policy ten times. Each policy plays ten episodes; then critics are
fitted to one after the other, as ``potstill teach`` does: with the training's horizon 1 / (1 − γ) or three times as
far, with or without caution, and read at the starts of held-out episodes or at all their states. What was found goes
to ``results/criteria/FILE-ALGORITHM-SEED.json``.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from teachers import DATASETS, FILES, settings

from potstill.data.registry import load_dataset
from potstill.environments.references import normalised_return
from potstill.evaluation.scores import policy_returns
from potstill.networks.mlp import apply_critics
from potstill.runtime.run_folder import write_json
from potstill.teachers import rows
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.evaluation.fqe import CAUTION, Evaluator, held_out_starts, held_out_states
from potstill.teachers.registry import algorithm_named
from potstill.teachers.training import Learner, teacher_of

RESULTS = Path(__file__).parent / "results" / "criteria"
EVERY = {"rebrac": 6_000, "iql": 9_000}  # updates between two policies
POLICIES, EPISODES, STATES = 10, 10, 4096
FITTED_UPDATES = 2_000  # for each policy; ten times as many for the first
HORIZONS, CAUTIONS, PLACES = (1.0, 3.0), (0.0, CAUTION), ("starts", "states")
RUNS = (
    ("hopper-medium-replay", "rebrac"),
    ("hopper-medium-replay", "iql"),
    ("halfcheetah-medium-replay", "rebrac"),
    ("halfcheetah-medium-expert", "iql"),
)


def trained(learner: Learner, every: int) -> list[NetworkTeacher]:
    """The policy after so many updates, ten times."""
    found: list[NetworkTeacher] = []
    while len(found) < POLICIES:
        learner.advance()
        if learner.done % every == 0:
            found.append(teacher_of(learner.algorithm, learner.state, learner.data, learner.config, {}))
    return found


def measure(file: str, algorithm: str, seed: int) -> dict[str, Any]:
    """Returns of the policies along a training, and what each criterion says of them."""
    config = settings(file, algorithm, seed, updates=200_000, patience=None)
    data = load_dataset(DATASETS / f"{file}.hdf5")
    policies = trained(Learner(algorithm_named(algorithm), data, config), EVERY[algorithm])
    returns = [policy_returns(teacher.policy, data.env_id, EPISODES, seed=0) for teacher in policies]
    table = rows.prepare(data, config.discount)
    places = {"starts": held_out_starts(data), "states": held_out_states(data)[:STATES]}
    criteria: dict[str, list[float]] = {}
    for horizon in HORIZONS:
        longer = dataclasses.replace(config, discount=1.0 - (1.0 - config.discount) / horizon)
        for caution in CAUTIONS:
            fit = Evaluator(table, data, longer, places["starts"], caution * float(table.rewards.std()))
            for teacher in policies:
                fit(teacher, FITTED_UPDATES)
                for place, index in places.items():
                    states = table.states[index]
                    value = fit.scale * float(apply_critics(fit.state.critic, states, teacher.act(states)).mean())
                    criteria.setdefault(f"{horizon:g}, {caution:g}, {place}", []).append(value)
    scores = [float(normalised_return(np.asarray(played), data.env_id).mean()) for played in returns]
    updates = [EVERY[algorithm] * (k + 1) for k in range(POLICIES)]
    return {"file": file, "algorithm": algorithm, "seed": seed, "updates": updates, "returns": scores} | {
        "criteria": criteria
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="+", default=None, choices=FILES)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for file, algorithm in RUNS:
        path = RESULTS / f"{file}-{algorithm}-{options.seed}.json"
        if path.exists() or (options.files and file not in options.files):
            continue
        write_json(path, measure(file, algorithm, options.seed))
        print(path.stem, flush=True)


if __name__ == "__main__":
    main()
