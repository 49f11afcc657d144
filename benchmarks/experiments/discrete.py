"""Distillation of data with discrete actions: CartPole and Acrobot.

A file is a recording of DQN's training (by ``potstill collect``, on first use), or one of the two published logs of a
CartPole expert in ``../shared/real``. The teacher of the former is trained by IQL, because its rewards distinguish
policies; that of the latter by BC, because nearly all actions are those of the expert.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import potstill
from benchmarks.experiments.distilling import TOY, shorten_summary, strip_folders
from benchmarks.experiments.parts import distill_options
from benchmarks.files import ROOT, Workspace
from benchmarks.grid import Cell, Experiment, Record, make_product
from potstill.runtime.files import read_json

ENVIRONMENTS = {"CartPole-v1": 30_000, "Acrobot-v1": 20_000}
"""Recorded rows of DQN's training."""
PUBLISHED = {"stable-baselines": "expert_cartpole.npz", "imitation": "cartpole.npz"}
COLLECTED: dict[str, Any] = {"random_steps": 1_000, "seed": 0}
TEACHER: dict[str, Any] = {"updates": 5_000, "episodes": 0, "fitted_updates": 0, "seed": 0}
DISTILLED: dict[str, Any] = {"size": 32, "steps": 100, "batch": 512, "students": 3, "episodes": 10, "curve_points": 1}
METHODS: dict[str, dict[str, Any]] = {
    "q-gap": {},
    "av-pbc": {"objective": "av-pbc"},
    "pbc": {"objective": "pbc"},
    "dbc": {"objective": "dbc"},
}
SEEDS = (0, 1, 2)


def list_steps(cell: Cell) -> int:
    """The recorded rows of a cell's environment, or 0 for a published log."""
    return ENVIRONMENTS.get(str(cell["data"]), 0)


def describe_inputs(cell: Cell) -> Record:
    """The options of all three commands."""
    collected = {"steps": list_steps(cell), **COLLECTED} if list_steps(cell) else {"published": PUBLISHED[cell["data"]]}
    return {"collected": collected, "teacher": TEACHER, "distilled": {**DISTILLED, **METHODS[cell.method]}}


def ensure_dataset(cell: Cell, workspace: Workspace) -> Path:
    """The path of a cell's dataset, recorded on first use. At toy size its actions are random."""
    name = str(cell["data"])
    if not list_steps(cell):
        return ROOT.parent / "shared" / "real" / name / PUBLISHED[name]
    folder = workspace.find_folder("collected", name)
    if not (folder / "result.json").exists():
        toy = {"level": "random", "steps": 200, "seed": 0}
        options: dict[str, Any] = toy if workspace.toy else {"steps": list_steps(cell), **COLLECTED}
        potstill.collect(name, out=folder, force=True, **options)
    return folder / "dataset.hdf5"


def ensure_teacher(cell: Cell, workspace: Workspace, data: Path, reading: dict[str, Any]) -> Path:
    """The run folder of a dataset's teacher, trained on first use."""
    folder = workspace.find_folder("teacher", cell["data"])
    if not (folder / "result.json").exists():
        options = {**TEACHER, "updates": 4, "batch": 16, "evaluate_every": 4} if workspace.toy else TEACHER
        algorithm = "iql" if list_steps(cell) else "bc"
        potstill.teach(data, algorithm=algorithm, out=folder, force=True, **reading, **options)
    return folder


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Distil a dataset, and evaluate students, the teacher and students of random pairs. Returns are raw."""
    data = ensure_dataset(cell, workspace)
    reading: dict[str, Any] = {} if list_steps(cell) else {"env_id": "CartPole-v1"}
    teacher = ensure_teacher(cell, workspace, data, reading)
    options = {**DISTILLED, **METHODS[cell.method]}
    options = distill_options({**options, **TOY}, toy=True) if workspace.toy else distill_options(options)
    folder = workspace.find_folder(cell["data"], cell.method, cell.seed)
    run = potstill.distill(data, teacher=teacher, seed=cell.seed, out=folder, force=True, **reading, **options)
    result = read_json(Path(run) / "result.json")
    scores = {name: shorten_summary(result[name]) | {"raw_mean": result[name]["raw_mean"]} for name in KINDS}
    return {
        **scores,
        "data_return": result["data"]["raw_mean"],
        "reference": result["reference"],
        "seconds": result["seconds"]["distilling"],
        "command": strip_folders(str(potstill.load(run).metadata["command"])),
        "sha256": result["sha256"],
    }


KINDS = ("teacher", "random", "student", "ensemble")


def make_cells(method: str, names: tuple[str, ...]) -> tuple[Cell, ...]:
    """The cells of a method on some datasets."""
    cells = make_product((method,), ("",), SEEDS)
    return tuple(Cell(c.method, c.file, c.seed, (("data", name),)) for c in cells for name in names)


EXPERIMENT = Experiment(
    "discrete",
    "discrete actions: CartPole and Acrobot, 32 pairs",
    make_cells("q-gap", (*ENVIRONMENTS, *PUBLISHED)),
    describe_inputs,
    measure,
    frozenset({*KINDS, "data_return", "command"}),
    extra=tuple(cell for method in METHODS if method != "q-gap" for cell in make_cells(method, ("CartPole-v1",))),
    packages=("stable-baselines3", "../shared/real for its logs"),
)
