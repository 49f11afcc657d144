"""How retention and time depend on the dataset's size: a part of ``docs/results.md``, made of sizes.py's results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from potstill.reports.plots import BLUE, GREEN, new_figure

Entry = dict[str, Any]
HEAD = """## Size of the dataset

One log of a teacher with noisy actions (`benchmarks/sizes.py`), and its first tenth, hundredth and thousandth;
`potstill distill` without further options. Retention, mean ± standard deviation over distillation seeds, each of ten
students × ten episodes and ten of the ensemble, against the teacher's own ten. Above a million rows batches come from
a uniform million: from there on a step works on the same number of rows. *A step* is an outer one alone, median of
five runs of ten, sizes in turn, on one core.

| rows | seeds | one student | ensemble | setting up and distilling, s | outer steps | a step, s |
|---|---|---|---|---|---|---|"""


def kept(entries: list[Entry], kind: str) -> list[float]:
    return [entry[kind]["mean"] / entry["teacher"]["mean"] for entry in entries]


def by_rows(results: dict[str, Entry]) -> dict[int, list[Entry]]:
    """The distillations of each size, smallest first."""
    found: dict[int, list[Entry]] = {}
    for entry in results.values():
        if "rows" in entry:
            found.setdefault(entry["rows"], []).append(entry)
    return dict(sorted(found.items()))


def sizes(results: dict[str, Entry]) -> str:
    """The table."""
    steps, lines = results["steps"]["seconds"], [HEAD]
    for rows, entries in by_rows(results).items():
        scores = [
            f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"
            for values in (kept(entries, kind) for kind in ("student", "ensemble"))
        ]
        seconds = np.median([entry["seconds"]["distilling"] for entry in entries])
        taken = np.median([entry["pace"]["steps"] for entry in entries])
        last = f"{seconds:.0f} | {taken:.0f} | {steps[str(rows)]['median']:.3f}"
        lines.append(f"| {rows:,} | {len(entries)} | {' | '.join(scores)} | {last} |")
    return "\n".join([*lines, "", "![Retention and time over the dataset's size](images/sizes.png)"])


def draw(results: dict[str, Entry], path: Path, save: Any) -> None:
    """Retention and seconds over rows."""
    groups, steps = by_rows(results), results["steps"]["seconds"]
    figure, (left, right) = new_figure(2)
    for kind, colour in (("student", BLUE), ("ensemble", GREEN)):
        values = [kept(entries, kind) for entries in groups.values()]
        bars = [np.std(v, ddof=1) for v in values]
        left.errorbar(list(groups), [np.mean(v) for v in values], bars, color=colour, marker="o", label=kind)
    left.set(xscale="log", xlabel="rows", ylabel="retention", ylim=(0, 1.25))
    left.legend(frameon=False)
    right.plot(list(groups), [steps[str(rows)]["median"] for rows in groups], color=BLUE, marker="o")
    most = max(entry["median"] for entry in steps.values())
    right.set(xscale="log", xlabel="rows", ylabel="seconds of an outer step", ylim=(0, 1.25 * most))
    save(figure, path)
