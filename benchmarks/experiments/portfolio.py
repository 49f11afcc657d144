"""What students of many kinds earn from the same pairs: depths, initialisations, optimisers and batches.

The distillates are those of the experiment ``imagination``: the best teacher of each file, 256 pairs.
All kinds but the first differ in one respect from PyTorch-style students (the recipe ``pytorch``: two hidden layers of
256, PyTorch's default initialisation, Adam at 1e-3, 1,000 full-batch steps). The pairs are distilled for the kinds
``own`` and ``3 layers``; no setting was chosen by the returns of the others.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import potstill
from benchmarks.experiments import imagination
from benchmarks.experiments.distilling import shorten_summary, strip_folders
from benchmarks.experiments.parts import TOY_RECIPE
from benchmarks.files import BUNDLED, FILES, Workspace
from benchmarks.grid import Cell, Experiment, Record, make_product
from potstill.evaluation.scores import measure_policy_returns, measure_student_returns
from potstill.evaluation.statistics import summarise
from potstill.runtime.files import hash_file
from potstill.students.recipe import Recipe

PYTORCH = potstill.RECIPES["pytorch"]
KINDS: dict[str, Recipe | None] = {
    "own": None,  # the recipe of the distillate
    "3 layers": PYTORCH,
    "2 layers": replace(PYTORCH, layers=2),
    "5 layers": replace(PYTORCH, layers=5),
    "6 layers": replace(PYTORCH, layers=6),
    "residual": replace(PYTORCH, layers=4, residual=True),
    "orthogonal": replace(PYTORCH, initialisation="orthogonal"),
    "LeCun": replace(PYTORCH, initialisation="lecun"),
    "AdamW": replace(PYTORCH, optimiser="adamw"),
    "SGD": replace(PYTORCH, optimiser="sgd", learning_rate=0.1, initialisation="orthogonal"),
    "momentum": replace(PYTORCH, optimiser="sgd", learning_rate=0.1, momentum=0.9, initialisation="orthogonal"),
    "batches of 64": replace(PYTORCH, batch=64),
}
STUDENTS, EPISODES, ENSEMBLE_EPISODES = 4, 3, 6
STUDENT_SEED, EPISODE_SEED, ENSEMBLE_SEED = 500, 510, 511


def find_distillate(cell: Cell, workspace: Workspace) -> Path:
    """Find the run folder of the experiment ``imagination``. Distil if it is missing."""
    own = replace(workspace, runs=workspace.runs.parent / "imagination")
    folder = own.find_folder(cell.file, cell.method, cell.seed)
    if not Path(f"{folder}-teacher.json").exists():  # written after the distillate
        imagination.measure(cell, own)
    return folder


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Train students of every kind on one distillate, and measure their returns and those of their ensemble."""
    folder = find_distillate(cell, workspace)
    distillate = potstill.load(folder)
    env_id, kinds = str(distillate.env_id), {}
    for name, recipe in list(KINDS.items())[: 2 if workspace.toy else None]:
        chosen = TOY_RECIPE if workspace.toy else recipe
        seeds = range(STUDENT_SEED, STUDENT_SEED + (2 if workspace.toy else STUDENTS))
        students = distillate.train_students(seeds, chosen)
        singles = measure_student_returns(students, env_id, 1 if workspace.toy else EPISODES, EPISODE_SEED)
        episodes = 1 if workspace.toy else ENSEMBLE_EPISODES
        together = measure_policy_returns(students.act_as_ensemble, env_id, episodes, ENSEMBLE_SEED)
        scores = {"student": summarise(singles, env_id), "ensemble": summarise(together, env_id)}
        kinds[name] = {kind: shorten_summary(entry) for kind, entry in scores.items()}
    return {
        "kinds": kinds,
        "teacher": imagination.read_teacher(folder),
        "sha256": hash_file(folder / "distillate.safetensors"),
        "command": strip_folders(str(distillate.metadata["command"])),
    }


def describe_inputs(cell: Cell) -> Record:
    """Return the inputs of the distillate, and the kinds of students."""
    kinds = {name: recipe.to_metadata() if recipe else "own" for name, recipe in KINDS.items()}
    counts = {"students": STUDENTS, "episodes": EPISODES, "ensemble": ENSEMBLE_EPISODES}
    return {"distillate": imagination.describe_inputs(cell), "kinds": kinds, "counts": counts}


MEASURED = ("halfcheetah-medium", "hopper-medium", "hopper-medium-replay", "walker2d-medium-expert")
DECLARED = make_product(("imagined",), MEASURED, (0,))
EXPERIMENT = Experiment(
    "portfolio",
    "students of many kinds on the same pairs",
    DECLARED,
    describe_inputs,
    measure,
    frozenset({"kinds", "teacher", "sha256"}),
    extra=tuple(c for c in make_product(("imagined", "data"), (*FILES, BUNDLED), (0, 1, 2, 3, 4)) if c not in DECLARED),
    toy=(Cell("data", BUNDLED),),
)
