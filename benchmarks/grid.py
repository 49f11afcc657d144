"""Experiments as grids of cells, with one runner and one rule for which cells are done.

A cell is a method on a file with a seed. Its measurements are one record, a line of the experiment's result file
``results/NAME.jsonl``. A cell is done if the file contains its record with the hash of the cell's current inputs, such
as options, budgets and weights. Only cells whose declaration has changed are therefore measured again.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import itertools
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.files import BUNDLED, Workspace
from potstill.runtime.executors.base import Executor, SerialExecutor
from potstill.runtime.files import to_json, write_atomically
from potstill.runtime.tasks import Task, run_tasks

Axis = str | int | float
Record = dict[str, Any]
Inputs = Mapping[str, Any]


@dataclass(frozen=True)
class Cell:
    """One measurement: a method on a file with a seed, and further axes where an experiment has them."""

    method: str
    file: str = ""
    seed: int = 0
    axes: tuple[tuple[str, Axis], ...] = ()

    @property
    def key(self) -> dict[str, Axis]:
        """The fields that identify the cell in its record."""
        return {"method": self.method, "file": self.file, "seed": self.seed, **dict(self.axes)}

    def __getitem__(self, axis: str) -> Any:
        """Return the cell's value on one of the further axes."""
        return dict(self.axes)[axis]

    def __str__(self) -> str:
        """Format the cell for logs and messages."""
        words = [self.method, self.file, *(f"{name} {value}" for name, value in self.axes), f"seed {self.seed}"]
        return ", ".join(word for word in words if word)


def make_product(methods: Iterable[str], files: Iterable[str], seeds: Iterable[int]) -> tuple[Cell, ...]:
    """Make a cell for every method on every file with every seed, in the order of the seeds.

    >>> [str(cell) for cell in make_product(["a", "b"], ["hopper"], [0])]
    ['a, hopper, seed 0', 'b, hopper, seed 0']
    """
    return tuple(Cell(m, f, s) for s, m, f in itertools.product(seeds, methods, files))


@dataclass(frozen=True)
class Experiment:
    """The declaration of an experiment: its cells, their inputs, and the function that measures a cell."""

    name: str
    about: str
    """One line for ``python -m benchmarks list``."""
    cells: tuple[Cell, ...]
    inputs: Callable[[Cell], Inputs]
    """All settings that a cell's result depends on, besides the code and the dataset's rows. Their hash is recorded."""
    measure: Callable[[Cell, Workspace], Record]
    fields: frozenset[str] = frozenset()
    """Fields that every record must have."""
    extra: tuple[Cell, ...] = ()
    """Cells that are run only when ``--files`` or ``--methods`` names them, such as those of the bundled dataset."""
    toy: tuple[Cell, ...] = ()
    """The cells that ``--toy`` runs; by default the first."""
    packages: tuple[str, ...] = ()
    """Packages that are not among potstill's own requirements."""

    @property
    def needs_shared(self) -> bool:
        """Whether some declared cell needs the nine files."""
        return any(needs_shared(cell) for cell in self.cells)

    @property
    def needs(self) -> str:
        """The data and packages that the experiment needs, for ``list``."""
        alone = any(not needs_shared(cell) for cell in (*self.cells, *self.extra))
        data = "the repository"
        if self.needs_shared:
            data = f"../shared, or --files {BUNDLED}" if alone else "../shared"
        return ", ".join([data, *self.packages])


def needs_shared(cell: Cell) -> bool:
    """Whether a cell reads one of the nine files in ``../shared``."""
    return cell.file not in ("", BUNDLED)


def hash_inputs(experiment: Experiment, cell: Cell) -> str:
    """Compute the first 16 hexadecimal digits of the SHA-256 of the cell's inputs, as JSON with sorted keys."""
    text = json.dumps(to_json({"cell": cell.key, **experiment.inputs(cell)}), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def to_line(record: Record) -> str:
    """Format a record as one compact line of JSON."""
    return json.dumps(to_json(record), separators=(",", ":"), ensure_ascii=False)


class Results:
    """An experiment's result file: one record for each cell, sorted by cell."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read_records(self) -> list[Record]:
        """Read all records, in the order of the file."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines()]

    def group_by_cell(self, experiment: Experiment) -> dict[Cell, Record]:
        """Read the records by cell."""
        axes = [name for name, _ in (*experiment.cells, *experiment.extra)[0].axes]
        return {read_cell(record, axes): record for record in self.read_records()}

    def add(self, experiment: Experiment, cell: Cell, record: Record) -> None:
        """Write a cell's record, replacing an older one. Other processes may write at the same time."""
        with lock(self.path):
            found = self.group_by_cell(experiment) | {cell: record}
            ordered = sorted(found, key=sort_key)
            write_atomically(self.path, "".join(to_line(found[cell]) + "\n" for cell in ordered).encode())


def read_cell(record: Record, axes: Iterable[str] = ()) -> Cell:
    """Read the cell of a record."""
    return Cell(record["method"], record["file"], record["seed"], tuple((name, record[name]) for name in axes))


def sort_key(cell: Cell) -> tuple[Any, ...]:
    """Return a sort key: by file in alphabetical order, then by method, seed and further axes."""
    return cell.file, cell.method, cell.seed, tuple(value for _, value in cell.axes)


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Prevent other benchmark processes from writing to ``path`` within this context."""
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


class Counts(NamedTuple):
    """The numbers of cells that a run measured, and that failed."""

    measured: int
    failed: int


def is_done(experiment: Experiment, cell: Cell, records: Mapping[Cell, Record]) -> bool:
    """Whether the cell has a record with its current inputs."""
    return cell in records and records[cell]["inputs"] == hash_inputs(experiment, cell)


def run(
    experiment: Experiment,
    cells: Iterable[Cell],
    workspace: Workspace,
    results: Results,
    executor: Executor | None = None,
) -> Counts:
    """Measure the cells that are not done. A cell that fails is reported, and the others continue.

    Args:
        experiment: the declaration.
        cells: the cells to measure.
        workspace: the paths of inputs and run folders.
        results: the result file. Each record is written as soon as it is known.
        executor: runs the cells. Default: one after the other in this process.
    """
    known = results.group_by_cell(experiment)
    left = {str(cell): cell for cell in cells if not is_done(experiment, cell, known)}
    calls = {name: functools.partial(tuple, (experiment.measure, cell, workspace)) for name, cell in left.items()}
    tasks = [Task(name, name, (), call) for name, call in calls.items()]
    started, measured, failed = time.perf_counter(), 0, 0
    with executor or SerialExecutor() as place:
        for outcome in run_tasks(tasks, place):
            cell = left[outcome.name]
            if outcome.failure is None:
                record = {**cell.key, "inputs": hash_inputs(experiment, cell), **outcome.value}
                results.add(experiment, cell, record)
            measured, failed = measured + (outcome.failure is None), failed + (outcome.failure is not None)
            said = "measured" if outcome.failure is None else f"failed: {outcome.failure}"
            print(f"{experiment.name}: {cell} {said}, {time.perf_counter() - started:.0f} s so far", flush=True)
    return Counts(measured, failed)


def find_faults(experiment: Experiment, results: Results) -> list[str]:
    """Find malformed, incomplete, unknown, outdated and failed records of a result file; one message for each."""
    try:
        found = results.group_by_cell(experiment)
    except (ValueError, KeyError, TypeError) as error:
        return [f"{results.path.name}: unreadable: {error!r}"]
    lines = [to_line(found[cell]) for cell in sorted(found, key=sort_key)]
    known = {*experiment.cells, *experiment.extra}
    messages = []
    if found and results.path.read_text() != "".join(f"{line}\n" for line in lines):
        messages.append("the lines are not compact, not sorted by cell, or not one for each cell")
    for cell, record in found.items():
        missing = sorted(experiment.fields - record.keys())
        if cell not in known:
            messages.append(f"{cell}: no such cell is declared")
        elif missing:
            messages.append(f"{cell}: {', '.join(missing)} missing")
        elif not is_done(experiment, cell, found):
            messages.append(f"{cell}: measured with other inputs than the declared ones")
        elif record.get("failures"):
            messages.append(f"{cell}: {len(record['failures'])} failures")
    return [f"{results.path.name}: {text}" for text in messages]
