"""Run a thousand short distillations in one process. Neither memory nor the number of open files may grow."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import shutil
from pathlib import Path

import jax
import numpy as np

import potstill
from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record

REPEATS, TOY_REPEATS = 1000, 3
POINTS = 20  # measurements
GROWTH = 64.0  # largest growth of memory in the second half, in megabytes
RECIPE = potstill.Recipe(width=16, steps=10, layers=3)


def measure_memory() -> float:
    """Measure the resident memory of this process in megabytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def open_files() -> int:
    """Count the open file descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Distil repeatedly, and record memory and open files."""
    toy = Workspace(workspace.runs, toy=True)
    given = {"teacher": toy.find_teacher(""), "size": 4, "steps": 2, "batch": 16, "students": 1, "episodes": 0}
    data = potstill.load_dataset(toy.find_dataset(""))
    repeats = TOY_REPEATS if workspace.toy else REPEATS
    every, used, files = max(1, repeats // POINTS), [], []
    for number in range(repeats):
        with contextlib.redirect_stdout(io.StringIO()):
            potstill.distill(data, **given, recipe=RECIPE, seed=number, out=workspace.runs / "run", force=True)  # type: ignore[arg-type]
        if number % every == 0:
            gc.collect()
            used.append(round(measure_memory(), 1))
            files.append(open_files())
    shutil.rmtree(workspace.runs / "run")
    half = len(used) // 2
    grown, opened = np.mean(used[-2:]) - used[half], files[-1] - files[half]
    failures = [f"memory grew by {grown:.0f} MB"] if grown > GROWTH else []
    failures += [f"{opened} files more are open"] if opened > 0 else []
    return {"repeats": repeats, "megabytes": used, "open_files": files, "failures": failures}


def describe_inputs(cell: Cell) -> Record:
    """Return the number of distillations."""
    return {"repeats": REPEATS, "jax": jax.__version__}


EXPERIMENT = Experiment(
    "repeats",
    "distil a thousand times in one process",
    (),
    describe_inputs,
    measure,
    frozenset({"repeats", "failures"}),
    extra=(Cell("distill"),),
    toy=(Cell("distill"),),
)
