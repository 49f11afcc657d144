"""The results that ``make demo`` prints: the bundled dataset with default settings."""

from __future__ import annotations

from benchmarks.experiments.distilling import distil
from benchmarks.files import BUNDLED, Workspace
from benchmarks.grid import Cell, Experiment, Record
from potstill.config.states import IMAGINED

FIELDS = ("dataset", "env_id", "reference", "pairs", "seconds", "sha256", "command")
POLICIES = ("teacher", "random", "student", "ensemble", "bc")


def describe_inputs(cell: Cell) -> Record:
    """No options: all settings have their defaults."""
    return {"options": {}, "defaults": IMAGINED}


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Distil, and record the values in the command's table."""
    result = distil(cell, {"states": None}, workspace)
    record = {name: result[name] for name in FIELDS}
    for name in (name for name in POLICIES if result.get(name)):
        record[name] = {key: value for key, value in result[name].items() if key not in ("returns", "interval", "iqm")}
    return record


EXPERIMENT = Experiment(
    "demo",
    "`make demo`: the bundled dataset with default settings",
    (Cell("default", BUNDLED),),
    describe_inputs,
    measure,
    frozenset({*FIELDS, *POLICIES} - {"bc"}),
)
