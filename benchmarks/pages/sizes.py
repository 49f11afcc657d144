"""Retention and time over the dataset's size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.grid import Record
from benchmarks.pages.text import make_table, select_records
from potstill.reports.plots import BLUE, GREEN, GREY, make_figure, save_figure

HEAD = """\
Experiment `sizes`: a log of a teacher with noisy actions, and its first tenth, hundredth and thousandth;
`potstill distill --states data` without further options. Retention is given as mean ± standard deviation over
distillation seeds, each of ten students × ten episodes and ten episodes of the ensemble, relative to the teacher's own
ten episodes. Above a million rows, batches are drawn from a uniform sample of a million rows. *One step* is an outer
step alone: the median of five runs of ten steps on one core, alternating between sizes."""
PICTURE = "![Retention and time over the dataset's size](images/sizes.png)"
HEADS = ("rows", "seeds", "one student", "ensemble", "setup and distillation, s", "outer steps", "one step, s")


def list_retention(records: list[Record], kind: str) -> list[float]:
    """Returns of distillations divided by those of their teachers, evaluated in the same run."""
    return [record[kind]["mean"] / record["teacher"]["mean"] for record in records]


def group_by_rows() -> dict[int, list[Record]]:
    """The distillations of each size, smallest first."""
    records = select_records(load_records("sizes"), method="default")
    return {rows: select_records(records, rows=rows) for rows in sorted({record["rows"] for record in records})}


def find_step_seconds() -> dict[int, float]:
    """Seconds of an outer step, by the number of rows."""
    [record] = select_records(load_records("sizes"), method="steps")
    return {int(rows): times["clock"] for rows, times in record["programs"].items()}


def sizes() -> str:
    """A row for each size."""
    steps, lines = find_step_seconds(), []
    for rows, records in group_by_rows().items():
        shares = [list_retention(records, kind) for kind in ("student", "ensemble")]
        scores = [f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}" for values in shares]
        seconds, taken = (np.median([record[name] for record in records]) for name in ("seconds", "steps"))
        lines.append([f"{rows:,}", str(len(records)), *scores, f"{seconds:.0f}", f"{taken:.0f}", f"{steps[rows]:.3f}"])
    return "\n\n".join([HEAD, make_table(HEADS, lines), PICTURE])


def draw(path: Path) -> None:
    """Retention and seconds over rows."""
    groups, steps = group_by_rows(), find_step_seconds()
    figure, (left, right) = make_figure(2)
    for kind, colour in (("student", BLUE), ("ensemble", GREEN)):
        values = [list_retention(records, kind) for records in groups.values()]
        bars = [np.std(v, ddof=1) for v in values]
        places = [rows * (0.94 if kind == "student" else 1.06) for rows in groups]  # beside each other
        label = "one student" if kind == "student" else "ensemble"
        left.errorbar(places, [np.mean(v) for v in values], bars, color=colour, marker="o", capsize=3, label=label)
    left.axhline(1.0, color=GREY, linewidth=1.0, linestyle="--", label="teacher")
    left.set(xscale="log", xlabel="rows", ylabel="return / return of the teacher", ylim=(0, 1.25))
    left.legend(title="dot = mean, bar = ± 1 std over seeds", frameon=False, fontsize=8, title_fontsize=8)
    right.plot(list(groups), [steps[rows] for rows in groups], color=BLUE, marker="o")
    right.set(xscale="log", xlabel="rows", ylabel="seconds of an outer step", ylim=(0, 1.25 * max(steps.values())))
    save_figure(figure, path)
