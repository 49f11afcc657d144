"""Distillates of the paper's own teachers, on two sets of states, for the paper's student and for potstill's.

The teachers are the nine Cal-QL policies and critics that the paper's authors published, trained on D4RL's datasets.
They are read from ``../shared/teachers`` and are not part of this repository. The states are

- ``file``: those of the file of the same name, which the teacher was not trained on;
- ``log``: those of a log of the teacher with noisy actions, in the same environment.

``algorithm-1`` is the paper's algorithm with 400 outer steps: 2 % of the paper's for Hopper, 0.8 % for the others. The
other methods solve the inner problem by kernel descent until the pairs converge.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import potstill
from benchmarks.experiments.distilling import TOY, distil, select_student_scores, shorten_summary
from benchmarks.experiments.noisy_log import write_log
from benchmarks.files import BUNDLED, FILES, Workspace
from benchmarks.grid import Cell, Experiment, Record, make_product
from potstill.evaluation.scores import TEACHER_SEED, measure_policy_returns, score_students, train_for_evaluation
from potstill.evaluation.statistics import summarise
from potstill.teachers.lookup import find_teacher

COUNTS: dict[str, Any] = {"students": 10, "episodes": 10, "curve_points": 1}
OF_DATA: dict[str, Any] = {"recipe": "paper", "initial": "random", "initial_actions": "data"}
METHODS: dict[str, dict[str, Any]] = {
    "random": {"objective": "random", **OF_DATA},
    "dbc": {"objective": "dbc", **OF_DATA},
    "pbc": {"objective": "pbc", **OF_DATA},
    "av-pbc": {"objective": "av-pbc", **OF_DATA},
    "algorithm-1": {"preset": "paper", "steps": 400},
    "potstill, paper's student": {"recipe": "paper"},
    "potstill": {},
    "potstill, imagined states": {"states": "imagined"},
}
TEACHER, TEACHER_EPISODES = "teacher", 100
STATES = ("file", "log")
ROWS = 100_000  # of a log
SEEDS = (0, 1, 2)
KERNEL = tuple(name for name in METHODS if name not in ("algorithm-1", "potstill, imagined states"))
MEASURED: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[int, ...]], ...] = (
    ((TEACHER,), ("hopper-medium-replay",), ("file",), (0,)),
    (KERNEL, ("hopper-medium-replay",), STATES, (0, 1)),
    (("potstill, imagined states",), ("hopper-medium-replay",), STATES, (0, 1)),
    ((TEACHER,), ("hopper-medium",), ("file",), (0,)),
    (KERNEL, ("hopper-medium",), STATES, (0,)),
)
"""Methods, files, states and seeds of the cells that are measured."""


def make_cells(
    methods: tuple[str, ...], files: tuple[str, ...], states: tuple[str, ...], seeds: tuple[int, ...]
) -> tuple[Cell, ...]:
    """The cells of methods on files, with the axis of states. The teacher itself has one cell for each file."""
    product = make_product(methods, files, seeds)
    return tuple(
        Cell(cell.method, cell.file, cell.seed, (("states", origin),))
        for origin in states
        for cell in product
        if cell.method != TEACHER or (origin, cell.seed) == ("file", 0)
    )


def find_states(cell: Cell, workspace: Workspace) -> Path | str:
    """The dataset of a cell: the file, or a log of its teacher, which is written on first use."""
    given = workspace.find_dataset(cell.file)
    if cell["states"] == "file":
        return given
    folder = workspace.runs / f"log-{cell.file}"
    if not (folder / "dataset.json").exists():
        data = potstill.load_dataset(given)
        teacher = find_teacher(workspace.find_published_teacher(cell.file), given, data)
        rows, lanes = (300, 2) if workspace.toy else (ROWS, 256)
        write_log(folder, teacher.policy, str(data.env_id), rows, lanes=lanes, name=f"paper-teachers-{cell.file}")
    return folder


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Roll out the teacher; or distil it, and record the returns of students."""
    path = workspace.find_published_teacher(cell.file)
    if cell.method == TEACHER:
        return measure_teacher(cell, path, workspace)
    counts = TOY if workspace.toy else COUNTS
    options = METHODS[cell.method] | counts | {"students": 1, "episodes": 0}  # students are evaluated below
    options = {name: value for name, value in options.items() if name not in ("recipe", "preset") or not workspace.toy}
    result = distil(cell, options, workspace, Path(find_states(cell, workspace)), path)
    pairs = potstill.load(workspace.find_folder(cell.file, cell.method, cell.seed, cell["states"]))
    students, _ = train_for_evaluation(pairs, counts["students"], cell.seed)
    scores = score_students(students, str(pairs.env_id), counts["episodes"], cell.seed, pairs.reference)
    return {
        **select_student_scores(scores),
        "seconds": result["seconds"]["distilling"],
        "steps": result["schedule"]["steps"],
        "command": result["command"],
    }


def measure_teacher(cell: Cell, path: Path, workspace: Workspace) -> Record:
    """The returns of the teacher, and its hash."""
    given = workspace.find_dataset(cell.file)
    data = potstill.load_dataset(given)
    teacher, env_id = find_teacher(path, given, data), str(data.env_id)
    returns = measure_policy_returns(teacher.policy, env_id, 2 if workspace.toy else TEACHER_EPISODES, TEACHER_SEED)
    score = shorten_summary(summarise(np.asarray(returns), env_id))
    empty: Record = dict.fromkeys(("ensemble", "seconds", "steps", "command"))
    return {"student": score, **empty, "sha256": teacher.content_hash}


def describe_inputs(cell: Cell) -> Record:
    """The options of a cell. The teacher is named, because its file is not in the repository."""
    if cell.method == TEACHER:
        return {"episodes": TEACHER_EPISODES}
    log = {"rows": ROWS} if cell["states"] == "log" else {}
    return {"options": METHODS[cell.method] | COUNTS, "teachers": "corl-cal-ql", **log}


EVERY = (TEACHER, *METHODS)
CELLS = tuple(cell for measured in MEASURED for cell in make_cells(*measured))
EXPERIMENT = Experiment(
    "paper-teachers",
    "distillates of the paper's own teachers, on the files and on logs of the teachers",
    CELLS,
    describe_inputs,
    measure,
    frozenset({"student", "ensemble", "seconds", "steps", "command"}),
    extra=tuple(cell for cell in make_cells(EVERY, FILES, STATES, SEEDS) if cell not in CELLS),
    toy=(*make_cells((TEACHER,), (BUNDLED,), ("file",), (0,)), *make_cells(("av-pbc",), (BUNDLED,), ("log",), (0,))),
)
