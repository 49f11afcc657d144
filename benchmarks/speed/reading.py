"""The speed of loading D4RL's HDF5 files: ``load_dataset`` against h5py on the same bytes.

A dataset of rows in order computes the array of next observations on first use; distillation does not use it. The last
two programs compute it: h5py with a copy of the observations, and the dataset. The former does the least work that any
reader needs to return both arrays.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np

from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.speed.harness import Call, Comparison, Prepare
from potstill.data.registry import load_dataset
from potstill.data.transitions import Transitions

ROWS, TOY_ROWS, STATES, ACTIONS, LIMIT = 1_000_000, 2_000, 11, 3, 1000
OPTIONS: dict[str, dict[str, Any]] = {"gzip": {"compression": "gzip"}, "uncompressed": {}}


def write_rows(path: Path, rows: int, options: dict[str, Any]) -> None:
    """Write rows of Hopper's sizes; episodes terminate at random or time out after 1,000 steps."""
    rng = np.random.default_rng(0)
    lengths = rng.geometric(1 / 400, size=rows // 100)
    ends = np.cumsum(np.minimum(lengths, LIMIT)) - 1
    inside = ends < rows
    terminals, timeouts = np.zeros(rows, bool), np.zeros(rows, bool)
    terminals[ends[inside & (lengths <= LIMIT)]] = True
    timeouts[ends[inside & (lengths > LIMIT)]] = True
    columns = {
        "observations": rng.normal(size=(rows, STATES)).astype(np.float32),
        "actions": rng.uniform(-1, 1, size=(rows, ACTIONS)).astype(np.float32),
        "rewards": rng.normal(size=rows).astype(np.float32),
        "terminals": terminals,
        "timeouts": timeouts,
    }
    with h5py.File(path, "w") as file:
        for key, values in columns.items():
            file.create_dataset(key, data=values, **options)


def read_plainly(path: Path) -> dict[str, np.ndarray]:
    """Every column, by h5py."""
    with h5py.File(path, "r") as file:
        return {key: file[key][()] for key in file}


def read_and_copy(path: Path) -> dict[str, np.ndarray]:
    """Every column, and a copy of the observations."""
    columns = read_plainly(path)
    return columns | {"next_observations": columns["observations"][1:].copy()}


def load_pairs(path: Path) -> Transitions:
    """The dataset, and its next observations as an array."""
    data = load_dataset(path)
    assert len(data.next_observations) == len(data)
    return data


def list_programs(cell: Cell, workspace: Workspace) -> dict[str, Prepare]:
    """Three readers of the same file."""
    readers = {
        "h5py": read_plainly,
        "load_dataset": load_dataset,
        "h5py and a copy": read_and_copy,
        "load_dataset and next observations": load_pairs,
    }

    def prepare(reader: Any) -> Call:
        path = workspace.find_folder("reading", cell.method).with_suffix(".hdf5")
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_rows(path, TOY_ROWS if workspace.toy else ROWS, OPTIONS[cell.method])

        def call() -> None:
            reader(path)

        return call

    return {name: lambda reader=reader: prepare(reader) for name, reader in readers.items()}  # type: ignore[misc]


def describe_inputs(cell: Cell) -> Record:
    """The file's size."""
    return {"rows": ROWS, "states": STATES, "actions": ACTIONS, "options": OPTIONS[cell.method]}


COMPARISON = Comparison(__name__, list_programs, rounds=9, baseline="h5py", packages=("h5py", "numpy"))
EXPERIMENT = Experiment(
    "reading",
    "reading a million rows of D4RL's layout, against h5py",
    tuple(Cell(name) for name in OPTIONS),
    describe_inputs,
    COMPARISON.measure,
    frozenset({"programs"}),
)
