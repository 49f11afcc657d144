"""The choices behind the defaults, measured on one dataset: variants × distillation seeds.

    python benchmarks/choices.py            (resumable: what is in the result file is not run again)
    python benchmarks/choices.py --seeds 0 --only q-gap pbc
    python benchmarks/choices.py --file halfcheetah-medium-replay --only q-gap
                                            (one of the benchmark's nine files, with its teacher of teachers.py)

Several processes may work side by side on different variants or seeds.

Every run distils, then ten students play four episodes each and their ensemble ten. The raw returns
go to ``results/choices.json``, of the nine files to ``results/choices/FILE.json``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from engine import weights
from teachers import DATASETS, FILES

from potstill.config import DistillConfig
from potstill.data.registry import load_dataset
from potstill.data.split import held_out_rows, training_rows
from potstill.distillate import Distillate, settle
from potstill.distillation.objectives import weighting_of
from potstill.distillation.outer_loop import outer_steps
from potstill.distillation.selection import held_out_loss, make_choice
from potstill.distillation.state_table import tabulate
from potstill.evaluation.scores import policy_returns, score_random, student_returns
from potstill.evaluation.statistics import summarise
from potstill.runtime.run_folder import write_json
from potstill.students.ensemble import train_students
from potstill.students.recipe import RECIPES
from potstill.teachers.registry import find_teacher

HERE = Path(__file__).parent
BUNDLED = "hopper-medium-replay"
STUDENTS, EPISODES, ENSEMBLE_EPISODES = 10, 4, 10
KERNEL = {"solver": "kernel", "recipe": "plain", "objective": "q-gap", "initial": "random", "steps": 150}
WEIGHTINGS = ("clipped", "shifted", "softplus", "ranged", "density", "sdw", "discounted", "early")
WIDE = {**KERNEL, "recipe": "wide"}
UNROLL = {
    "solver": "unroll",
    "recipe": "paper",
    "objective": "av-pbc",
    "initial": "random",
    "steps": 30,
    "batch": 2560,
    "learning_rate": 0.03,
}
PAPER = {**UNROLL, "optimiser": "sgd", "learning_rate": 0.1, "initial_actions": "data"}
MAIN: dict[str, dict[str, object]] = {
    "q-gap": KERNEL,
    "q-gap, initial states by k-means": {**KERNEL, "initial": "k-means"},
    "av-pbc clipped": {**KERNEL, "objective": "av-pbc", "weighting": "clipped"},
    "av-pbc ranged": {**KERNEL, "objective": "av-pbc", "weighting": "ranged"},
    "av-pbc reference": {**KERNEL, "objective": "av-pbc", "weighting": "reference"},
    "pbc": {**KERNEL, "objective": "pbc"},
    "dbc": {**KERNEL, "objective": "dbc"},
    "random": {**KERNEL, "objective": "random"},
    "q-gap, 300 steps": {**KERNEL, "steps": 300},
    "q-gap, 75 steps": {**KERNEL, "steps": 75},
    "q-gap, learning rate 0.03": {**KERNEL, "learning_rate": 0.03},
    "q-gap, initial actions from the data": {**KERNEL, "initial_actions": "data"},
    "q-gap, sgd outside": {**KERNEL, "optimiser": "sgd"},
    "q-gap, kernel for the paper recipe": {**KERNEL, "recipe": "paper"},
    "q-gap, students start at zero": {**KERNEL, "student": {"start": "antisymmetric"}},
    "q-gap, students take 300 steps": {**KERNEL, "student": {"steps": 300}},
    "q-gap, students 512 wide": {**KERNEL, "student": {"width": 512}},
    "wide students, q-gap": WIDE,
    "wide students, pbc": {**WIDE, "objective": "pbc"},
    "wide students, av-pbc ranged": {**WIDE, "objective": "av-pbc", "weighting": "ranged"},
    "unroll, paper (sgd outside)": PAPER,
    "unroll, adam outside": UNROLL,
    "unroll, adam outside, sampled students": {**UNROLL, "recipe": "reference"},
    "unroll, adam outside, momentum students": {**UNROLL, "recipe": "default"},
    "unroll, adam outside, momentum students, q-gap": {**UNROLL, "recipe": "plain", "objective": "q-gap"},
}
# Shown on the pages under docs/ rather than in README.md.
VARIANTS: dict[str, dict[str, object]] = MAIN | {
    "q-gap, batch 4096": {**KERNEL, "batch": 4096},
    **{f"q-gap, weights {name}": {**KERNEL, "weighting": name} for name in WEIGHTINGS},
    "q-gap by the mean of the critics": {**KERNEL, "objective": "q-gap-mean"},
    "q-gap by each critic": {**KERNEL, "objective": "q-gap-each"},
    "q-gap, initial states by k-means, batch 4096": {**KERNEL, "initial": "k-means", "batch": 4096},
    "wide students, q-gap, initial states by k-means": {**WIDE, "initial": "k-means"},
    "q-gap, initial states diverse": {**KERNEL, "initial": "diverse"},
    "q-gap, learned weights": {**KERNEL, "learn": "weights"},
    "q-gap, learned step size": {**KERNEL, "learn": "step-size"},
    "q-gap, average of the last quarter": {**KERNEL, "average": 0.25},
    "q-gap, 1024 pairs": {**KERNEL, "size": 1024},
    "q-gap, chosen by held-out loss": {**KERNEL, "choose": "held-out"},
    "q-gap, chosen by students": {**KERNEL, "choose": "students"},
}


class Source(NamedTuple):
    """A dataset with the teacher to distil, and the file of what was measured on it."""

    dataset: Path | str
    teacher: Path | None
    results: Path


def source(file: str | None) -> Source:
    if file is None:
        return Source(BUNDLED, None, HERE / "results" / "choices.json")
    return Source(DATASETS / f"{file}.hdf5", weights(file), HERE / "results" / "choices" / f"{file}.json")


def run(source: Source, options: dict[str, object], seed: int) -> dict[str, object]:
    settings = {name: value for name, value in options.items() if name != "student"}
    config = DistillConfig(source.dataset, seed=seed, **settings)
    recipe = dataclasses.replace(RECIPES[config.recipe], **options.get("student", {}))
    data = load_dataset(source.dataset)
    teacher = find_teacher(source.teacher, source.dataset, data)
    weighting = weighting_of(config.objective, config.weighting)
    started = time.perf_counter()
    table = tabulate(data, teacher, weighting, training_rows(len(data)))
    weighing = time.perf_counter() - started
    held = tabulate(data, teacher, weighting, held_out_rows(len(data)))._replace(value_scale=table.value_scale)
    choice = make_choice(config, held, teacher)
    started = time.perf_counter()
    for step, found, _ in outer_steps(config, table, teacher):
        if choice.offer(step, found):
            kept, pairs = step, jax.block_until_ready(found)
    seconds = {"seconds": time.perf_counter() - started, "table_seconds": weighing}
    weights, recipe = settle(pairs.weights, recipe)
    papers = {"env_id": data.env_id, "recipe": config.recipe}
    states = np.asarray(teacher.normaliser.invert(pairs.states))
    low, high = data.action_low, data.action_high
    distillate = Distillate(states, np.asarray(pairs.actions), teacher.normaliser, low, high, papers, weights)
    if config.objective == "random":
        train = data.take(training_rows(len(data)))
        singles = score_random(train, distillate, students=STUDENTS, episodes=EPISODES, seed=seed)
        return {**seconds, "student": singles}
    unit, seeds = np.asarray(pairs.actions), [1000 * seed + i for i in range(STUDENTS)]
    bounds = (low, high)
    students = train_students(np.asarray(pairs.states), unit, seeds, recipe, teacher.normaliser, bounds, weights)
    singles = student_returns(students, data.env_id, EPISODES, seed)
    together = policy_returns(students.ensemble, data.env_id, ENSEMBLE_EPISODES, seed + 100)
    return {
        **seconds,
        "step": kept,
        "student_learning_rate": recipe.learning_rate,
        "held_out_loss": held_out_loss(config, held, teacher)(pairs),
        "student": summarise(singles, data.env_id),
        "ensemble": summarise(together, data.env_id),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", default=list(VARIANTS))
    parser.add_argument("--file", choices=FILES)
    options = parser.parse_args()
    place = source(options.file)
    data = load_dataset(place.dataset)
    teacher = find_teacher(place.teacher, place.dataset, data)
    if read(place).get("teacher_sha256") != teacher.content_hash:  # another teacher: nothing old counts
        scores = summarise(policy_returns(teacher.policy, data.env_id, 50, seed=90), data.env_id)
        place.results.parent.mkdir(parents=True, exist_ok=True)
        write_json(place.results, {"teacher_sha256": teacher.content_hash, "teacher": scores, "runs": {}})
    for seed in options.seeds:
        for name in options.only:
            if str(seed) in read(place)["runs"].get(name, {}).get("seeds", {}):
                continue
            found = run(place, VARIANTS[name], seed)
            results = read(place)  # another process may have written meanwhile
            results["runs"].setdefault(name, {"settings": VARIANTS[name], "seeds": {}})["seeds"][str(seed)] = found
            write_json(place.results, results)
            scores = {k: round(found[k]["mean"], 1) for k in ("student", "ensemble") if k in found}
            print(f"{data.name}, seed {seed}, {name}: {scores}, {found['seconds']:.1f} s", flush=True)


def read(source: Source) -> dict:
    return json.loads(source.results.read_text()) if source.results.exists() else {"runs": {}}


if __name__ == "__main__":
    main()
