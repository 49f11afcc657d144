"""Run the cells of a reproduction one after the other. A failed cell does not stop the others."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from potstill.commands.paper.cells import Cell
from potstill.commands.paper.measuring import Workplace, measure_cell
from potstill.errors import PotstillWarning
from potstill.runtime.files import JsonObject
from potstill.runtime.progress import Tracker
from potstill.runtime.run_folder import RunFolder
from potstill.runtime.work import Work

RECORDS = "cell "  # prefix of the cells' names among the parts of the run folder


def run_cells(cells: Sequence[Cell], at: Workplace, folder: RunFolder) -> dict[str, str]:
    """Measure all cells that an interrupted run has not measured; add their records to ``at``.

    Returns:
        The reason of each failure, by the cell's name. A cell that needs one that failed is not run.
    """
    failed: dict[str, str] = {}
    work = Work()
    left = [cell for cell in cells if RECORDS + cell.name not in folder.parts]
    at.records.update({cell.name: folder.parts[RECORDS + cell.name] for cell in cells if cell not in left})
    work.left = {"cost": sum(cell.estimate_cost(at.scale) for cell in left)}
    done = len(cells) - len(left)
    with Tracker("reproduce", len(cells), done=done, work=work, covers=True) as tracker:
        for number, cell in enumerate(left, start=done + 1):
            missing = next((needed for needed in cell.needs if needed.name in failed), None)
            with tracker.phase(str(cell), cost=cell.estimate_cost(at.scale)):
                if missing is None:
                    _run_cell(cell, at, folder, failed)
                else:
                    failed[cell.name] = f"needs '{missing}', which failed"
            tracker.update(number)
    return failed


def _run_cell(cell: Cell, at: Workplace, folder: RunFolder, failed: dict[str, str]) -> None:
    """Measure one cell and keep its record, or the reason why it failed."""

    def measure() -> JsonObject:
        with _muted() as said:
            record = measure_cell(cell, at)
        return record | {"warnings": list(dict.fromkeys(said))}

    try:
        at.records[cell.name] = folder.compute_once(RECORDS + cell.name, measure)
    except Exception as error:  # a fault of one cell must not lose the others, whatever it is
        failed[cell.name] = f"{'' if type(error).__name__ == 'PotstillError' else type(error).__name__ + ': '}{error}"


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
