"""Solvers side by side: what students of each one's pairs earn, and what an outer step costs.

    python benchmarks/solvers.py                    (resumable: finished cells are not run again)
    python benchmarks/solvers.py --files halfcheetah-medium-replay --seeds 0 --only ridge features

Every cell is one ``potstill distill``; eight students play three episodes each and their ensemble as many. What a
cell found goes to ``results/solvers/FILE-NAME-SEED.json``, raw returns of every episode included.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from engine import weights
from teachers import DATASETS

import potstill
from potstill.config import DistillConfig, EmpiricalConfig, EvaluateConfig, FeaturesConfig, KernelConfig
from potstill.config.settings import command_line
from potstill.runtime.run_folder import read_json, write_json
from potstill.students.recipe import RECIPES

HERE = Path(__file__).parent
RESULTS, RUNS = HERE / "results" / "solvers", HERE.parent / "runs" / "solvers"
BUNDLED = "hopper-medium-replay"
STUDENTS, EPISODES = 8, 3
FEW = {"steps": 60, "batch": 512}  # for the dear ones

LAZY = {"start": "antisymmetric", "output_gain": 2.0, "learning_rate": 0.03}
VARIANTS: dict[str, dict[str, Any]] = {
    "kernel": {},
    "lazy students": {"student": LAZY},
    "ridge": {"solver": "ridge"},
    "features": {"solver": "features"},
    "kernel, drawn start": {"kernel": KernelConfig(start="drawn")},
    "empirical": {"solver": "empirical", **FEW},
    "kernel, then 20 steps of the unroll": {"polish": 20},
    "residual students": {"student": {"residual": True, "learning_rate": 0.05}},
    "features, trained": {"solver": "features", "features": FeaturesConfig(trained=20), **FEW},
    "lazy wide students": {"recipe": "wide", "student": LAZY},
    "empirical, three networks": {"solver": "empirical", "empirical": EmpiricalConfig(networks=3), **FEW},
}


def run(file: str, name: str, seed: int) -> dict[str, Any]:
    """One cell; students of another make than any recipe's are a recipe of their own while it runs."""
    options = {"steps": 150} | VARIANTS[name]
    recipe = options.setdefault("recipe", "plain")
    student = options.pop("student", {})
    usual, RECIPES[recipe] = RECIPES[recipe], dataclasses.replace(RECIPES[recipe], **student)
    if file != BUNDLED:
        options["teacher"] = weights(file)
    data = file if file == BUNDLED else DATASETS / f"{file}.hdf5"
    out = RUNS / f"{file}-{name}-{seed}"
    config = DistillConfig(data, seed=seed, episodes=0, students=2, curve_points=1, out=out, force=True, **options)
    distilled = read_json(potstill.distill(config) / "result.json")
    judged = EvaluateConfig(out, students=STUDENTS, episodes=EPISODES, seed=seed, out=out / "evaluated", force=True)
    result = read_json(potstill.evaluate(judged) / "result.json")
    RECIPES[recipe] = usual
    command = command_line("distill", config).replace(f"{DATASETS}/", "").replace(f"{HERE}/", "")
    papers = {"file": file, "name": name, "seed": seed, "command": command, "student_settings": student}
    figures = {"seconds": distilled["seconds"]["distilling"], "held_out_loss": distilled["curve"][-1]["held_out_loss"]}
    return papers | figures | {key: result[key] for key in ("student", "ensemble")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", nargs="+", default=[BUNDLED])
    parser.add_argument("--only", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    options = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    for file in options.files:
        for seed in options.seeds:
            for name in options.only:
                path = RESULTS / f"{file}-{name.replace(', ', '-').replace(' ', '-')}-{seed}.json"
                if not path.exists():
                    found = run(file, name, seed)
                    write_json(path, found)
                    scores = {key: round(found[key]["mean"], 1) for key in ("student", "ensemble")}
                    print(f"{file}, {name}, seed {seed}: {scores}, {found['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
