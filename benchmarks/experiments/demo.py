"""What ``make demo`` prints: the bundled dataset, default settings."""

from __future__ import annotations

from benchmarks.experiments.distilling import distil
from benchmarks.files import BUNDLED, Place
from benchmarks.grid import Cell, Experiment, Record

SHOWN = ("dataset", "env_id", "reference", "pairs", "seconds", "sha256", "command")
POLICIES = ("teacher", "random", "student", "ensemble", "bc")


def inputs(cell: Cell) -> Record:
    """No inputs: all settings have their defaults."""
    return {"options": {}}


def measure(cell: Cell, place: Place) -> Record:
    """Distil, and record what the command's table shows."""
    result = distil(cell, {}, place)
    kept = {name: result[name] for name in SHOWN}
    for name in (name for name in POLICIES if result.get(name)):
        kept[name] = {key: value for key, value in result[name].items() if key not in ("returns", "interval", "iqm")}
    return kept


EXPERIMENT = Experiment(
    "demo",
    "`make demo`: the bundled dataset with default settings",
    (Cell("default", BUNDLED),),
    inputs,
    measure,
    frozenset({*SHOWN, *POLICIES} - {"bc"}),
)
