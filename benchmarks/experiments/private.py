"""The price of differential privacy for episodes: returns of students of ``potstill distill --private-noise``.

All cells are of the bundled dataset and its teacher, which is not private. A cell has three distillation seeds. The
methods, apart from ``ordinary``, begin with pairs that do not depend on the data:

- ``ordinary``: the same without privacy, with default initial pairs and weights;
- ``initial``: no outer step: ε is 0. The pairs tell of the teacher alone;
- ``noise 0``: the private loop without noise: what sampling, clipping and the initial pairs cost;
- ``noise 0.5`` to ``noise 4``: the private loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import potstill
from benchmarks.experiments.distilling import TOY
from benchmarks.experiments.parts import TOY_RECIPE, distill_options
from benchmarks.files import BUNDLED, Workspace, find_teacher_hash
from benchmarks.grid import Cell, Experiment, Record
from potstill.commands.distill import run_distillation
from potstill.config import DistillConfig
from potstill.environments import normalised_return, play

SEEDS, STUDENTS, EPISODES, FIRST_EPISODE = (0, 1, 2), 5, 5, 700_000
UNPLAYED: dict[str, Any] = {"students": 1, "episodes": 0, "curve_points": 1}
BASE: dict[str, Any] = {"size": 64, "steps": 150, "recipe": "plain"}
PRIVATE: dict[str, Any] = {"private_episodes": 64, "private_clip": 0.7}
METHODS: dict[str, dict[str, Any]] = {
    "ordinary": BASE,
    "initial": {**BASE, **PRIVATE, "private_noise": 1.0, "steps": 0},
    **{f"noise {noise:g}": {**BASE, **PRIVATE, "private_noise": noise} for noise in (0.0, 0.5, 1.0, 2.0, 4.0)},
}
CELLS = tuple(Cell(method, BUNDLED) for method in METHODS)


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Distil with each seed, and score the students; ``scores`` has a mean for each student of each seed."""
    options, toy = METHODS[cell.method] | UNPLAYED, workspace.toy
    if toy:
        options |= {name: TOY[name] for name in ("size", "steps", "batch")} | {"recipe": TOY_RECIPE}
        if "private_noise" in options:  # then a batch has no meaning
            options = {name: value for name, value in options.items() if name != "batch"} | {"private_episodes": 2}
    data, teacher = workspace.find_dataset(cell.file), workspace.find_teacher(cell.file)
    scores, losses, privacy = [], [], None
    for seed in SEEDS[: 1 if toy else None]:
        out = workspace.find_folder(cell.file, cell.method, seed)
        config = DistillConfig(data, teacher=teacher, seed=seed, out=out, force=True, **distill_options(options))
        run = run_distillation(config, report=False)
        result, distillate = run.result.to_dict(), potstill.load(run)
        privacy = result.get("privacy")
        losses.append(result["curve"][-1]["held_out_loss"])
        scores.append(score(distillate, seed, *((1, 1) if toy else (STUDENTS, EPISODES))))
    kept = ("epsilon", "delta", "noise", "clip", "episodes", "expected", "steps")
    return {
        "scores": scores,
        "losses": losses,
        "privacy": None if privacy is None else {name: privacy[name] for name in kept},
    }


def score(distillate: potstill.Distillate, seed: int, students: int, episodes: int) -> list[float]:
    """The mean normalised return of each student."""
    trained = distillate.train_students(range(100 * seed, 100 * seed + students))
    seeds = FIRST_EPISODE + np.arange(students * episodes)
    returns = play(trained.act_separately, str(distillate.env_id), seeds).reshape(students, episodes)
    return [round(float(one), 2) for one in normalised_return(returns, str(distillate.env_id)).mean(axis=1)]


def describe_inputs(cell: Cell) -> Record:
    """Return the teacher, the options of the method, and the evaluation."""
    budget = {"seeds": SEEDS, "students": STUDENTS, "episodes": EPISODES}
    return {"teacher": find_teacher_hash(cell.file), "options": METHODS[cell.method], **budget}


EXPERIMENT = Experiment(
    "private",
    "differential privacy for episodes: epsilon and returns",
    CELLS,
    describe_inputs,
    measure,
    frozenset({"scores", "losses", "privacy"}),
    toy=(Cell("noise 0", BUNDLED),),
    packages=("dp-accounting",),
)
