"""The engine's benchmark: methods × the nine datasets × distillation seeds, with one fixed teacher a file.

    python benchmarks/engine.py                               (resumable: finished cells are not run again)
    python benchmarks/engine.py --methods default --files hopper-medium --seeds 0

Every cell is one ``potstill distill``, as a user runs it: ten students play ten episodes each, the ensemble
ten, and the curve follows return and held-out loss over outer steps and seconds. The teachers are those of
``benchmarks/teachers.py``; each plays a hundred episodes (``results/engine-teachers/FILE.json``). Several
processes may work side by side on files, methods or seeds of their own; what a cell found goes to
``results/engine/FILE-METHOD-SEED.json``, raw returns of every episode included.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from teachers import DATASETS, FILES, WEIGHTS

import potstill
from potstill.config import DistillConfig
from potstill.config.settings import command_line
from potstill.data.registry import load_dataset
from potstill.distillation.state_table import usual_states
from potstill.evaluation.scores import TEACHER_SEED, policy_returns
from potstill.evaluation.statistics import summarise
from potstill.runtime.run_folder import read_json, write_json
from potstill.runtime.storage import file_hash
from potstill.students.recipe import recipe_named

HERE = Path(__file__).parent
TEACHERS = HERE / "results" / "engine-teachers"
TEACHER_EPISODES = 100
RESULTS, RUNS = HERE / "results" / "engine", HERE.parent / "runs" / "engine"

# The fixed teacher of a file, in teachers/fixed, was the best by return of results/teachers-before and the slower
# algorithms, but for these four: there the best, a run of IQL or EDAC, makes worse students (results/engine-best).
FIXED = {
    "hopper-medium-replay": "hopper-medium-replay-rebrac-0",
    "halfcheetah-medium-replay": "halfcheetah-medium-replay-rebrac-0",
    "hopper-medium-expert": "hopper-medium-expert-rebrac-0",
    "walker2d-medium-expert": "walker2d-medium-expert-iql-1",
}
METHODS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper-recipe": {"recipe": "paper"},
    # One part of the default taken away at a time.
    "plain-students": {"recipe": "plain"},
    "towers": {"recipe": "towers"},
    "all-states": {"weighting": "uniform", "state_noise": 0.0},
    "even-weights": {"weighting": "uniform"},
    "random-start": {"initial": "random"},
    "data-actions": {"initial_actions": "data"},
    "pbc": {"objective": "pbc"},
    "av-pbc": {"objective": "av-pbc"},
    "sgd-outside": {"optimiser": "sgd", "steps": 150},
    "600-steps": {"steps": 600},
    # What the default leaves out and the paper's recipe needs, and that recipe without it.
    "further-pairs": {"action_limit": 2.0},
    "paper-within-bounds": {"recipe": "paper", "action_limit": 1.0},
    "paper-less-noise": {"recipe": "paper", "state_noise": 0.2},  # on HalfCheetah no less
    # Other numbers of pairs.
    **{f"{size}-pairs": {"size": size} for size in (16, 64, 1024)},
}
ABLATION = ("plain-students", "towers", "all-states", "even-weights", "random-start", "data-actions", "pbc", "av-pbc")
ABLATION += ("sgd-outside", "600-steps", "further-pairs")
OF_PAPER = ("paper-within-bounds", "paper-less-noise")
SHOWN_ON_THE_WAY = ("default", "paper-recipe")  # the others' curves, which no page shows, have two points
KEPT = ("teacher", "random", "student", "ensemble", "offline", "curve", "pace", "seconds", "sha256")


def weights(file: str) -> Path:
    """The file's fixed teacher."""
    return WEIGHTS / "fixed" / f"{file}.safetensors"


def view(file: str) -> dict[str, Any]:
    """Which states count for a Q-gap on these data: what other objectives have to ask for."""
    teacher = potstill.load_teacher(weights(file))
    weighting, noise = usual_states("q-gap", load_dataset(DATASETS / f"{file}.hdf5"), teacher, recipe_named("default"))
    return {"weighting": weighting, "state_noise": noise}


def settings(file: str, method: str, seed: int) -> DistillConfig:
    chosen = METHODS[method]
    if chosen.get("objective") == "pbc":
        chosen = chosen | view(file)
    if method not in SHOWN_ON_THE_WAY:
        chosen = chosen | {"curve_points": 1}
    paths = {"teacher": weights(file), "out": RUNS / f"{file}-{method}-{seed}"}
    return DistillConfig(DATASETS / f"{file}.hdf5", seed=seed, force=True, **paths, **chosen)


def teacher_hash(file: str) -> str:
    return file_hash(weights(file))


def done(file: str, method: str, seed: int) -> bool:
    """Whether the cell has been run, with the teacher that the file has today."""
    path = RESULTS / f"{file}-{method}-{seed}.json"
    return path.exists() and read_json(path)["teacher_sha256"] == teacher_hash(file)


def play_teacher(file: str) -> None:
    """A hundred episodes of the file's teacher: some vary too much for the ten that are played beside each cell."""
    path = TEACHERS / f"{file}.json"
    if path.exists() and read_json(path)["teacher_sha256"] == teacher_hash(file):
        return
    teacher = potstill.load_teacher(weights(file))
    env_id = teacher.metadata["env_id"]
    scores = summarise(policy_returns(teacher.policy, env_id, TEACHER_EPISODES, TEACHER_SEED), env_id)
    TEACHERS.mkdir(parents=True, exist_ok=True)
    write_json(path, {"file": file, "teacher_sha256": teacher_hash(file), "teacher": scores})
    print(f"{file}, teacher: {scores['mean']:.1f} ± {scores['std']:.1f}", flush=True)


def run(file: str, method: str, seed: int) -> None:
    config = settings(file, method, seed)
    result = read_json(potstill.distill(config) / "result.json")
    command = command_line("distill", config).replace(f"{DATASETS}/", "").replace(f"{HERE}/", "")
    papers = {"file": file, "method": method, "seed": seed, "command": command, "teacher_sha256": teacher_hash(file)}
    write_json(RESULTS / f"{file}-{method}-{seed}.json", papers | {key: result[key] for key in KEPT})
    scores = {key: round(result[key]["mean"], 1) for key in ("teacher", "student", "ensemble")}
    print(f"{file}, {method}, seed {seed}: {scores}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="+", default=FILES, choices=FILES)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for file in options.files:
        if weights(file).exists():
            play_teacher(file)
    for seed in options.seeds:
        for method in options.methods:
            for file in options.files:
                ready = weights(file).exists()
                if ready and not done(file, method, seed):
                    run(file, method, seed)


if __name__ == "__main__":
    main()
