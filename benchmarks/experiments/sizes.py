"""Retention and time over the dataset's size: 10⁴, 10⁵, 10⁶ and 10⁷ rows of one log.

The log has episodes of the fixed teacher of hopper-medium-replay with noisy actions; the smaller datasets are its first
rows. It is made on first use, which takes about ten minutes and a gigabyte under ``runs/``. Each size is distilled by
``potstill distill`` without further options. The cell ``steps`` times the outer steps alone, alternating between sizes.
"""

from __future__ import annotations

from pathlib import Path

import potstill
from benchmarks.experiments.distilling import distil, select_student_scores, shorten_summary
from benchmarks.experiments.noisy_log import LANES, write_log
from benchmarks.files import Workspace, find_teacher_hash
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.speed.harness import Call, Comparison, Prepare
from potstill.distillation import OuterSettings

FILE, SIZES, TOY_SIZES = "hopper-medium-replay", (10_000, 100_000, 1_000_000, 10_000_000), (500, 1_000)
STEPS = 10  # outer steps in a timed call
ALL = 0  # value of the axis `rows` in the cell that times all sizes


def make_dataset(rows: int, workspace: Workspace) -> Path:
    """The log's first rows, written if they are missing."""
    folder, sizes = workspace.runs / f"rows-{rows}", TOY_SIZES if workspace.toy else SIZES
    if not (folder / "dataset.json").exists():
        teacher = potstill.load_teacher(workspace.find_teacher(FILE))
        longer = next((size for size in sizes if size > rows), None)
        source = None if longer is None else potstill.load_dataset(make_dataset(longer, workspace))
        env_id, lanes = str(teacher.metadata["env_id"]), 2 if workspace.toy else LANES
        write_log(folder, teacher.policy, env_id, rows, source, lanes)
    return folder


def make_step(rows: int, workspace: Workspace) -> Call:
    """Ten outer steps of the default distillation on that many rows."""
    from benchmarks.speed.steps import make_outer_steps

    path, teacher = make_dataset(rows, workspace), workspace.find_teacher(FILE)
    if workspace.toy:
        return make_outer_steps(path, teacher, size=8, settings=OuterSettings(batch=16))
    return make_outer_steps(path, teacher, STEPS)


def list_programs(cell: Cell, workspace: Workspace) -> dict[str, Prepare]:
    """The same step on every size."""
    sizes = TOY_SIZES[:1] if workspace.toy else SIZES
    return {str(rows): lambda rows=rows: make_step(rows, workspace) for rows in sizes}  # type: ignore[misc]


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Distil one size, or time the steps of all."""
    if cell.method == "steps":
        return COMPARISON.measure(cell, workspace)
    rows = TOY_SIZES[0] if workspace.toy else int(cell["rows"])
    result = distil(cell, {}, workspace, make_dataset(rows, workspace), FILE)
    steps = result["schedule"]["steps"]
    distilling = {"seconds": result["seconds"]["distilling"], "steps": steps, "sha256": result["sha256"]}
    return {"teacher": shorten_summary(result["teacher"], returns=False), **select_student_scores(result), **distilling}


def describe_inputs(cell: Cell) -> Record:
    """The teacher that acts in the log."""
    return {"teacher": find_teacher_hash(FILE), "sizes": SIZES}


def make_cells(method: str, rows: int, seeds: range) -> tuple[Cell, ...]:
    """The cells of one size."""
    return tuple(Cell(method, "", seed, (("rows", rows),)) for seed in seeds)


COMPARISON = Comparison(__name__, list_programs, rounds=5)
EXPERIMENT = Experiment(
    "sizes",
    "retention and time over the dataset's size, from 10⁴ to 10⁷ rows (a gigabyte on disk)",
    (*(cell for rows in SIZES for cell in make_cells("default", rows, range(3))), *make_cells("steps", ALL, range(1))),
    describe_inputs,
    measure,
    toy=make_cells("default", SIZES[0], range(1)),
)
