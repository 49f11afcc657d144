"""Distillation on imagined states against distillation on dataset states."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.experiments.imagination import DEVELOPED_ON
from benchmarks.grid import Record
from benchmarks.pages.text import make_table, select_records
from potstill.commands.distillation_loop import LEAST_HORIZON

HEAD = """\
Experiment `imagination`: 256 pairs, with the teacher of each file that has the highest return. The outer loss is
evaluated on the states of the dataset, with default settings, or on imagined states (`--states imagined`). The table
shows the retention of single students / of their ensemble: returns of ten students × ten episodes, mean over
distillation seeds. *Range*: lowest and highest retention of single students over seeds. *Own students*: those of the
distillate's recipe, `default` for the dataset's states and `adam-towers` for imagined states. *PyTorch-style*: the
recipe `pytorch`, two hidden layers of 256, PyTorch's default initialisation, Adam at 1e-3, 1,000 full-batch steps.
*Data, portfolio*: labels, solver and students as for imagined states, on the dataset's states. *Imagined, no rollouts*:
without the loss of students in rollouts (`--rollout-steps 0`). *Imagined, no noise*: without noise on the actions of
the rollouts (`--rollout-noise 0`). *Imagined, last pairs*: without a selection by the world model (`--choose last`).
*Auto*: the states that `--states auto` chooses, by the accuracy of the model. *Preferred*: the own student, of ten,
with the highest score in the world model. Files marked * were used to develop the method."""
HEADS = ("file", "teacher", "states", "seeds", "own students", "range", "PyTorch-style", "range", "preferred", "s")
LABELS = {
    "data": "data",
    "imagined": "imagined",
    "visits": "imagined, no rollouts",
    "quiet": "imagined, no noise",
    "last": "imagined, last pairs",
    "portfolio": "data, portfolio",
}


def format_shares(records: list[Record], read: Any) -> tuple[str, str]:
    """Mean retention of single students and of the ensemble over records, and the range of the singles."""
    found = {kind: [read(r)[kind]["mean"] / r["teacher"]["mean"] for r in records] for kind in ("student", "ensemble")}
    singles = found["student"]
    return f"{np.mean(singles):.2f} / {np.mean(found['ensemble']):.2f}", f"{min(singles):.2f} to {max(singles):.2f}"


def format_preferred(records: list[Record]) -> str:
    """Mean retention of the student that the world model prefers."""
    chosen = [r for r in records if "imagined" in r]
    scores = [np.mean(r["student"]["returns"][r["imagined"]["best"]]) / r["teacher"]["mean"] for r in chosen]
    return f"{np.mean(scores):.2f}" if scores else "–"


def make_mean_row(records: list[Record], files: list[str], method: str, label: str) -> list[str]:
    """The mean over files of each file's mean over its seeds."""

    def retention(record: Record, kind: str) -> float:
        return float(record[kind]["mean"] / record["teacher"]["mean"])

    cells = []
    for other in (False, True):
        means = []
        for kind in ("student", "ensemble"):
            of_files = [select_records(records, file=file, method=method) for file in files]
            teachers = [[{**r, **(r["pytorch_style"] if other else {})} for r in found] for found in of_files]
            means.append([np.mean([retention(r, kind) for r in found]) for found in teachers])
        cells += [" / ".join(f"**{np.mean(x):.2f}**" for x in means), f"{min(means[0]):.2f} to {max(means[0]):.2f}"]
    return [f"mean of {len(files)} files, range over files", "", label, "", *cells, "", ""]


def make_automatic_row(records: list[Record]) -> list[list[str]]:
    """The mean over all files with the states that ``--states auto`` chooses, if all are measured."""
    horizons = {r["file"]: r["imagined"]["horizon"] for r in records if "imagined" in r}
    chosen = {file: "imagined" if horizon >= LEAST_HORIZON else "data" for file, horizon in horizons.items()}
    found = [{**r, "method": "auto"} for r in records if r["method"] == chosen.get(r["file"])]
    if {r["file"] for r in found} != set(chosen):
        return []
    of_data = " and ".join(file for file in sorted(chosen) if chosen[file] == "data")
    return [make_mean_row(found, sorted(chosen), "auto", f"auto (data: {of_data})")]


def imagination() -> str:
    """A row for each file and method."""
    records, lines = load_records("imagination"), []
    for file in sorted({record["file"] for record in records}):
        for method, label in LABELS.items():
            chosen = select_records(records, file=file, method=method)
            if not chosen:
                continue
            name = f"{file}{' *' if file in DEVELOPED_ON else ''}"
            teacher = f"{np.mean([r['teacher']['mean'] for r in chosen]):.0f}"
            own, other = format_shares(chosen, lambda r: r), format_shares(chosen, lambda r: r["pytorch_style"])
            seconds = f"{np.median([r['seconds']['distilling'] for r in chosen]):.0f}"
            lines.append([name, teacher, label, str(len(chosen)), *own, *other, format_preferred(chosen), seconds])
    measured = [method for method in ("data", "imagined") if select_records(records, method=method)]
    files = sorted(
        {r["file"] for r in records if all(select_records(records, file=r["file"], method=m) for m in measured)}
    )
    lines += [make_mean_row(records, files, method, LABELS[method]) for method in measured]
    lines += make_automatic_row(records)
    return "\n\n".join([HEAD, make_table(HEADS, lines)])
