"""The cost of an outer step on one device and on two, where each device is a core.

The step has the bundled dataset, N = 256 pairs, batches of 2,560 states, PBC and the paper's recipe (T = 100, width
256). Other load on the machine affects its processor time only slightly.
"""

from __future__ import annotations

import os
from typing import Any

from benchmarks.files import BUNDLED, Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.speed.harness import Call, Comparison, Prepare

METHODS: dict[str, dict[str, Any]] = {
    "kernel": {"solver": "kernel"},
    "unroll": {"solver": "unroll"},
    "unroll, two starts": {"solver": "unroll", "starts": 2},
}
COMMON: dict[str, Any] = {"recipe": "paper", "objective": "pbc", "batch": 2560}
DEVICES = {"one": 1, "two": 2}


def make_step(cell: Cell, workspace: Workspace, count: int) -> Call:
    """The next outer step on ``count`` devices."""
    from benchmarks.speed.steps import make_outer_steps
    from potstill.distillation import SOLVERS, OuterSettings, PolicyCloning
    from potstill.runtime import devices
    from potstill.students.recipe import RECIPES

    devices.use_devices(count)
    method = METHODS[cell.method]
    return make_outer_steps(
        workspace.find_dataset(cell.file),
        workspace.find_teacher(cell.file),
        size=4 if workspace.toy else 256,
        objective=PolicyCloning(),
        solver=SOLVERS[method["solver"]](RECIPES[COMMON["recipe"]]),
        settings=OuterSettings(batch=8 if workspace.toy else COMMON["batch"], initialisations=method.get("starts", 1)),
    )


def list_programs(cell: Cell, workspace: Workspace) -> dict[str, Prepare]:
    """One device and, if the process has two cores, two; at toy size one."""
    cores = 1 if workspace.toy else len(os.sched_getaffinity(0))
    counts = {name: count for name, count in DEVICES.items() if count <= max(cores, 1)}
    return {name: lambda count=count: make_step(cell, workspace, count) for name, count in counts.items()}  # type: ignore[misc]


def describe_inputs(cell: Cell) -> Record:
    """The options."""
    return {"options": {**COMMON, **METHODS[cell.method]}}


COMPARISON = Comparison(__name__, list_programs, rounds=3, calls=3, cores=lambda cell, program: DEVICES[program])
EXPERIMENT = Experiment(
    "devices",
    "an outer step on one device and on two",
    tuple(Cell(name, BUNDLED) for name in METHODS),
    describe_inputs,
    COMPARISON.measure,
    frozenset({"programs"}),
)
