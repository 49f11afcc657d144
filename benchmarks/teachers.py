"""Teachers for the nine benchmark datasets: algorithms × files × seeds.

    python benchmarks/teachers.py --algorithms rebrac iql --seeds 0 1 2
    python benchmarks/teachers.py --algorithms bc --seeds 0 --updates 30000 --patience 0           (the yardstick)
    python benchmarks/teachers.py --judge                     (no training: what auto's criterion says of old runs)

Resumable: a finished run is not repeated, an interrupted one goes on from its checkpoint in ``runs/``.
Several processes may work side by side, each on algorithms, files or seeds of its own. Every run leaves
``results/teachers/FILE-ALGORITHM-SEED.json`` (settings, learning curve, 20 episodes at the end), and the
best teacher of each file so far lies in ``teachers/FILE.safetensors``.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import potstill
from potstill.config import RebracConfig, TeachConfig
from potstill.config.settings import command_line, from_saved
from potstill.data.registry import load_dataset
from potstill.data.transitions import Transitions
from potstill.environments.references import normalised_return
from potstill.evaluation.scores import policy_returns
from potstill.evaluation.statistics import summarise
from potstill.runtime.run_folder import read_json, to_json, write_json
from potstill.runtime.storage import file_hash
from potstill.teachers import rows
from potstill.teachers.evaluation.selection import worth

HERE = Path(__file__).parent
DATASETS = HERE.parents[1] / "shared" / "datasets"
RESULTS, WEIGHTS, RUNS = HERE / "results" / "teachers", HERE / "teachers", HERE.parent / "runs" / "teachers"
BEFORE = HERE / "results" / "teachers-before"  # ReBRAC and IQL at a target rate of 0.005, 100,000 updates and more
LEVELS = ("medium-replay", "medium", "medium-expert")
FILES = [f"{body}-{level}" for level in LEVELS for body in ("hopper", "halfcheetah", "walker2d")]
# ReBRAC's (actor, critic) coefficients, by file: the published ones for medium-replay of Hopper and HalfCheetah and
# for hopper-medium-expert, tighter ones of ours elsewhere: on a tenth of D4RL's rows the published ones let the
# policy leave the data (halfcheetah-medium with 0.001 and 0.01 fell to 1 before it came back to 35) or diverge.
PENALTIES = {
    "hopper-medium-replay": (0.05, 0.5),
    "hopper-medium": (0.1, 0.1),
    "hopper-medium-expert": (0.1, 0.01),
    "halfcheetah-medium-replay": (0.01, 0.001),
    "halfcheetah-medium": (0.1, 0.1),
    "halfcheetah-medium-expert": (0.1, 0.1),
    "walker2d-medium-replay": (0.1, 0.1),
    "walker2d-medium": (0.4, 0.1),
    "walker2d-medium-expert": (0.4, 0.1),
}
# Evaluations, 10,000 updates apart, without a higher worth, after which a run has stopped improving. They should not
# lie much closer: on halfcheetah-medium-replay ReBRAC's worth falls at first, and passes its start after 24,000
# updates (results/criteria).
PATIENCE = 4
EPISODES, EPISODE_SEED = 20, 70  # of the score at the end; the learning curve plays other starts


def settings(file: str, algorithm: str, seed: int, updates: int, patience: int | None = PATIENCE) -> TeachConfig:
    own = {}
    if algorithm == "rebrac":
        actor, critic = PENALTIES[file]
        own = {"rebrac": RebracConfig(actor_penalty=actor, critic_penalty=critic)}
    out = RUNS / f"{file}-{algorithm}-{seed}"
    path = DATASETS / f"{file}.hdf5"
    shared = {"updates": updates, "patience": patience, "seed": seed}
    return TeachConfig(path, algorithm=algorithm, out=out, resume=True, **shared, **own)


def train(config: TeachConfig, name: str) -> None:
    if not (Path(config.out) / "result.json").exists():
        try:
            potstill.teach(config)
        except potstill.PotstillError as error:
            if "diverged" not in str(error):
                raise
            write_json(RESULTS / f"{name}.json", {"failed": str(error), "settings": shown(config)})
            return
    result = read_json(Path(config.out) / "result.json")
    teacher = potstill.load_teacher(Path(config.out) / "teacher.safetensors")
    env_id = teacher.metadata["env_id"]
    scores = summarise(policy_returns(teacher.policy, env_id, EPISODES, EPISODE_SEED), env_id)
    kept = ("updates", "stopped", "history", "seconds", "updates_per_second", "sha256")
    data = load_dataset(config.dataset)
    judged = worth(teacher, rows.prepare(data, config.discount), data, config)
    papers = {"settings": shown(config), "data": logged(data), "final": scores, "worth": judged}
    write_json(RESULTS / f"{name}.json", papers | {key: result[key] for key in kept})
    print(f"{name}: {scores['mean']:.1f} ± {scores['std']:.1f}", flush=True)


def weights_of(file: str, name: str, sha256: str) -> Path | None:
    """The weights that a run ended with, where they are at hand: in its run folder, or as the best of its file."""
    places = (RUNS / name / "teacher.safetensors", WEIGHTS / f"{file}.safetensors")
    return next((path for path in places if path.exists() and file_hash(path) == sha256), None)


def judge(file: str, name: str) -> None:
    """Add its worth to the result of a run that was scored before results held it."""
    path = RESULTS / f"{name}.json"
    entry = read_json(path) if path.exists() else {}
    if "final" not in entry or "worth" in entry:
        return
    weights = weights_of(file, name, entry["sha256"])
    if weights is None:
        print(f"{name}: its weights are not at hand")
        return
    config = from_saved(TeachConfig, entry["settings"], dataset=DATASETS / f"{file}.hdf5")
    data = load_dataset(config.dataset)
    judged = worth(potstill.load_teacher(weights), rows.prepare(data, config.discount), data, config)
    write_json(path, entry | {"worth": judged})
    print(f"{name}: worth {judged:.4g}", flush=True)


def logged(data: Transitions) -> dict[str, float]:
    """What the episodes in the data themselves earned, normalised."""
    scores = normalised_return(data.episode_returns(), data.env_id)
    return {"rows": len(data), "episodes": len(scores), "mean": float(scores.mean()), "best": float(scores.max())}


def shown(config: TeachConfig) -> dict[str, object]:
    saved = {k: v for k, v in to_json(config).items() if k not in ("out", "force", "resume")}
    command = command_line("teach", config).replace(f"{DATASETS}/", "")
    return {**saved, "dataset": Path(config.dataset).name, "command": command}


def keep_best(file: str) -> None:
    """Copy the weights of the best finished run of ``file``, if they are not there yet, nor those of a better one."""
    paths = [*RESULTS.glob(f"{file}-*.json"), *BEFORE.glob(f"{file}-*.json")]
    found = {path: json.loads(path.read_text()) for path in paths}
    found = {path: entry for path, entry in found.items() if entry["settings"]["dataset"] == f"{file}.hdf5"}
    scored = {path: entry["final"]["mean"] for path, entry in found.items() if "final" in entry}
    best = max(scored, key=scored.__getitem__, default=None)
    if best and best.parent == RESULTS and (RUNS / best.stem / "teacher.safetensors").exists():
        WEIGHTS.mkdir(exist_ok=True)
        shutil.copyfile(RUNS / best.stem / "teacher.safetensors", WEIGHTS / f"{file}.safetensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="+", default=FILES, choices=FILES)
    parser.add_argument("--algorithms", nargs="+", default=["rebrac", "iql"])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--updates", type=int, default=200_000)
    parser.add_argument("--judge", action="store_true", help="train nothing; judge finished runs that lack it")
    parser.add_argument("--patience", type=int, default=PATIENCE, help="0: all updates, and the last teacher")
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for seed in options.seeds:
        for file in options.files:
            for algorithm in options.algorithms:
                name = f"{file}-{algorithm}-{seed}"
                if options.judge:
                    judge(file, name)
                    continue
                if not (RESULTS / f"{name}.json").exists():
                    train(settings(file, algorithm, seed, options.updates, options.patience or None), name)
                keep_best(file)


if __name__ == "__main__":
    main()
