"""Fine-tuning in the environment: TD3 that starts from a student, with the distillate as a constraint that fades.

The arms differ in where the actor starts and in the constraint:

- ``constrained``: from a student of the distillate, with the constraint;
- ``free``: from the same student, without the constraint;
- ``teacher``: from the teacher of the distillate, with the constraint; the teacher is the prior;
- ``scratch``: from a new network, with random actions in the warm-up: TD3 alone. Its actor has the
  learning rate of the critics.

In one run each, ``faded`` is as ``constrained`` with another weight, which falls to 0 within the run, and ``pairs``
with a constraint that holds in the states of the pairs alone.

Hopper has the bundled distillate and teacher. Those of Pendulum are made on first use: SAC is trained and recorded, and
the recording is taught and distilled. Returns are raw, of the same initial states in all evaluations of all arms.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

import potstill
from benchmarks.experiments.distilling import TOY
from benchmarks.experiments.parts import TOY_RECIPE, distill_options
from benchmarks.files import BUNDLED_NAME, Workspace
from benchmarks.grid import Cell, Experiment, Record
from potstill.environments import make, play
from potstill.finetuning import FineTuning
from potstill.runtime.files import read_json

ARMS: dict[str, dict[str, Any]] = {
    "constrained": {"start": "student"},
    "free": {"start": "student", "constraint": 0.0},
    "teacher": {"start": "teacher", "prior": True},
    "scratch": {"start": "scratch"},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "faded": {"start": "student", "constraint": 5.0, "fade": 8_000},
    "pairs": {"start": "student", "prior": False},
}
COMMON: dict[str, Any] = {"batch": 128, "update_every": 2, "critic_width": 128, "episodes": 5}
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "Hopper-v5": {"env_steps": 10_000, "warmup": 2_000, "evaluate_every": 1_000},
    "Pendulum-v1": {"env_steps": 8_000, "warmup": 1_000, "evaluate_every": 500, "learning_rate": 1e-3},
}
COLLECTED: dict[str, Any] = {"steps": 6_000, "random_steps": 1_000, "seed": 0}
TAUGHT: dict[str, Any] = {"updates": 5_000, "episodes": 0, "fitted_updates": 0, "seed": 0}
DISTILLED: dict[str, Any] = {"size": 64, "steps": 100, "students": 1, "episodes": 0, "curve_points": 1, "seed": 0}
SEEDS = (0, 1, 2, 3, 4)
FINISHED: dict[str, tuple[int, ...]] = {"Hopper-v5": (0,), "Pendulum-v1": (0,)}
"""The seeds whose runs are finished. ``--files ""`` measures the others, too."""
RANDOM_EPISODES, RANDOM_SEED = 20, 450_000


def find_arm(cell: Cell) -> dict[str, Any]:
    """The options in which an arm differs from the others."""
    return (ARMS | VARIANTS)[cell.method]


def ensure_distillate(env_id: str, workspace: Workspace) -> Path | str:
    """The distillate of an environment: the bundled one, or the run folder of one that is made on first use."""
    if env_id.startswith("Hopper") and not workspace.toy:
        return BUNDLED_NAME
    folders = [workspace.find_folder(env_id, name) for name in ("collected", "taught", "distilled")]
    if not (folders[2] / "result.json").exists():
        toy = {"level": "random", "steps": 300, "seed": 0}
        potstill.collect(env_id, out=folders[0], force=True, **(toy if workspace.toy else COLLECTED))
        few = {"updates": 4, "batch": 16, "evaluate_every": 4} if workspace.toy else {}
        data = folders[0] / "dataset.hdf5"
        potstill.teach(data, out=folders[1], force=True, **{**TAUGHT, **few})
        options = distill_options({**TOY}, toy=True) | {"episodes": 0} if workspace.toy else distill_options(DISTILLED)
        potstill.distill(data, teacher=folders[1], out=folders[2], force=True, **options)
    return folders[2]


def measure_random(env_id: str) -> float:
    """The mean return of uniformly random actions."""
    env = make(env_id)
    low, high, rng = env.action_space.low, env.action_space.high, np.random.default_rng(0)
    act = lambda states: rng.uniform(low, high, (len(states), len(low)))  # noqa: E731
    return float(play(act, env_id, RANDOM_SEED + np.arange(RANDOM_EPISODES)).mean())


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Fine-tune, and record the curve of raw returns beside those of the teacher and of random actions."""
    env_id = str(cell["env"])
    source = ensure_distillate(env_id, workspace)
    options: dict[str, Any] = {**COMMON, **ENVIRONMENTS[env_id], **find_arm(cell)}
    if workspace.toy:
        options |= {"env_steps": 40, "evaluate_every": 20, "warmup": 10, "batch": 8, "episodes": 1}
        options |= {"recipe": TOY_RECIPE}
    folder = workspace.find_folder(env_id, cell.method, cell.seed)
    run = potstill.finetune(source, env_id=env_id, seed=cell.seed, out=folder, force=True, **options)
    result = read_json(Path(run) / "result.json")
    history = result["history"]
    return {
        "steps": [entry["steps"] for entry in history],
        "returns": [round(entry["raw_mean"], 2) for entry in history],
        "distances": [float(f"{entry['distance']:.3g}") for entry in history],
        "teacher": round(result["teacher"]["raw_mean"], 2),
        "random": round(measure_random(env_id), 2),
        "updates": result["updates"],
        "seconds": round(result["seconds"], 1),
    }


def describe_inputs(cell: Cell) -> Record:
    """The options of the commands, and the defaults that the results depend on."""
    env_id = str(cell["env"])
    made = {} if env_id.startswith("Hopper") else {"collected": COLLECTED, "taught": TAUGHT, "distilled": DISTILLED}
    defaults = {**dataclasses.asdict(FineTuning()), "recipe": potstill.RECIPES["pytorch"].to_metadata()}
    return {**defaults, **COMMON, **ENVIRONMENTS[env_id], **find_arm(cell), **made}


CELLS = tuple(Cell(arm, "", seed, (("env", env),)) for seed in SEEDS for env in ENVIRONMENTS for arm in ARMS)
EXPERIMENT = Experiment(
    "finetuning",
    "fine-tuning in the environment: from a student with the distillate as a constraint, and three other ways",
    tuple(cell for cell in CELLS if cell.seed in FINISHED[cell["env"]]),
    describe_inputs,
    measure,
    frozenset({"steps", "returns", "teacher", "random"}),
    extra=(
        *(Cell(name, "", 0, (("env", "Hopper-v5"),)) for name in VARIANTS),
        *(cell for cell in CELLS if cell.seed not in FINISHED[cell["env"]]),
    ),
    toy=tuple(Cell(arm, "", 0, (("env", "Pendulum-v1"),)) for arm in ("constrained", "teacher")),
    packages=("stable-baselines3",),
)
