"""Measure the cells of a reproduction on any executor. A failed cell does not stop the others."""

from __future__ import annotations

import contextlib
import functools
import io
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from potstill.commands.paper.cells import Cell
from potstill.commands.paper.datasets import Source
from potstill.commands.paper.measuring import Workplace, measure_cell
from potstill.commands.paper.scales import Scale
from potstill.errors import PotstillError, PotstillWarning
from potstill.runtime.executors.base import Executor
from potstill.runtime.files import JsonObject, read_json, write_json
from potstill.runtime.progress import Tracker
from potstill.runtime.run_folder import RunFolder
from potstill.runtime.tasks import Task, run_tasks
from potstill.runtime.work import Work

RECORDS = "cell "  # prefix of the cells' names among the parts of the run folder


def run_cells(cells: Sequence[Cell], at: Workplace, folder: RunFolder, executor: Executor) -> dict[str, str]:
    """Measure all cells that an interrupted run has not measured; add their records to ``at``.

    Args:
        cells: each after the cells that it needs.
        at: what they share.
        folder: the run folder, in which each record is saved as soon as it is known.
        executor: runs the cells.

    Returns:
        The reason of each failure, by the cell's name. A cell that needs one that failed is not run.
    """
    failed: dict[str, str] = {}
    left = {cell.name: cell for cell in cells if RECORDS + cell.name not in folder.parts}
    at.records.update({cell.name: folder.parts[RECORDS + cell.name] for cell in cells if cell.name not in left})
    costs = {name: cell.estimate_cost(at.scale) for name, cell in left.items()}
    work = Work()
    work.left = {"cost": sum(costs.values())}
    done = len(cells) - len(left)
    _WORKPLACES.clear()
    _WORKPLACES[at.path] = at
    with Tracker("reproduce", len(cells), done=done, work=work, covers=True) as tracker:
        since = time.perf_counter()

        def watch(labels: list[str]) -> contextlib.AbstractContextManager[object]:
            return tracker.phase(labels[0] if len(labels) == 1 else f"{len(labels)} at a time, {labels[0]}")

        tasks = [_make_task(cell, at) for cell in left.values()]
        for number, outcome in enumerate(run_tasks(tasks, executor, watch), start=done + 1):
            if outcome.failure is None:
                keep: functools.partial[JsonObject] = functools.partial(dict, outcome.value)
                at.records[outcome.name] = folder.compute_once(RECORDS + outcome.name, keep)
                work.measure("cost", costs[outcome.name], time.perf_counter() - since)
            else:
                failed[outcome.name] = outcome.failure
            since = time.perf_counter()
            work.left["cost"] -= costs[outcome.name]
            tracker.update(number)
    _WORKPLACES.clear()
    found = {cell.name: at.records.pop(cell.name) for cell in cells if cell.name in at.records}
    at.records.update(found)  # in the order of the cells, not in the order in which they finished
    return failed


def _make_task(cell: Cell, at: Workplace) -> Task:
    """The measurement of a cell as a call that any process can run."""

    def prepare() -> tuple[object, ...]:
        records = {needed.name: at.records[needed.name] for needed in list_needed(cell)}
        return measure_anywhere, cell, at.path, tuple(at.sources.items()), at.scale, records

    return Task(cell.name, str(cell), tuple(needed.name for needed in cell.needs), prepare)


def list_needed(cell: Cell) -> Iterable[Cell]:
    """The cells that a cell needs, and those that they need."""
    for needed in cell.needs:
        yield from list_needed(needed)
        yield needed


_WORKPLACES: dict[Path, Workplace] = {}  # only the last one of this process, because it holds a dataset in memory


def measure_anywhere(
    cell: Cell, path: Path, sources: tuple[tuple[str, Source], ...], scale: Scale, records: Mapping[str, JsonObject]
) -> JsonObject:
    """Measure a cell, in this or in another process. Its record is also kept as a file beside its run folder.

    If this process, or the process that waits for it, is killed, a resumed reproduction reads the file.
    """
    at = _WORKPLACES.get(path)
    if at is None or at.sources != dict(sources) or at.scale != scale:
        _WORKPLACES.clear()
        at = _WORKPLACES[path] = Workplace(path, dict(sources), scale)
    at.records.update(records)
    place = at.place(cell)
    file = place.with_name(f"{place.name}.json")
    if file.exists():
        with contextlib.suppress(PotstillError):
            return read_json(file)
    with _muted() as said:
        record = measure_cell(cell, at)
    record |= {"warnings": list(dict.fromkeys(said))}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, record)
    return record


@contextlib.contextmanager
def _muted() -> Iterator[list[str]]:
    """Collect potstill's warnings, and drop what a command prints. Its progress is part of the reproduction's."""
    said: list[str] = []
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        show = warnings.showwarning

        def collect(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, PotstillWarning):
                said.append(str(message))
            else:
                show(message, category, *where, **more)

        warnings.simplefilter("always", PotstillWarning)
        warnings.showwarning = collect
        yield said


def describe_failures(failed: Mapping[str, str]) -> str:
    """The failures in one line: their number, and the first reason.

    >>> describe_failures({"x-teacher": "the rewards are constant", "x-clone-0": "needs 'x: teacher', which failed"})
    '2 cells failed, the first of them x-teacher: the rewards are constant'
    """
    name, reason = next(iter(failed.items()))
    more = "1 cell failed" if len(failed) == 1 else f"{len(failed)} cells failed, the first of them"
    return f"{more}{':' if len(failed) == 1 else ''} {name}: {reason}"
