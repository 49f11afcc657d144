"""Baselines of the field beside potstill's pairs, for the paper's student."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.experiments.baselines import EPISODES, METHODS, STUDENTS
from benchmarks.files import FILES
from benchmarks.grid import Record
from benchmarks.pages.text import average, make_table, select_records

LABELS = {
    "random-rows": "random rows",
    "medoids": "medoids",
    "best-episodes": "best episodes",
    "longest-episodes": "longest episodes",
    "sdr": "SDR",
    "sdw": "SDW",
    "gradient-matching": "gradient matching",
    "distribution-matching": "distribution matching",
    "trajectory-matching": "trajectory matching",
    "hades": "HaDES †",
    "hades-from-rows": "HaDES from rows †",
}
HEAD = """\
Experiment `baselines`: 256 pairs, made for the paper's student, with the fixed teacher of each file; {students}
students of each seed with {episodes} episodes each, and their ensemble. The row of potstill is that of the experiment
`distillates`, with the same teacher and student. Scores are means ± standard deviations over seeds; *seeds* is their
number. A row with one seed shows that the method ran, and no more. † plays in the environment: {budget:,} steps for
each set of pairs."""
HEADS = ("pairs", "seeds", "one student", "ensemble")
OWN = "paper-recipe"  # the method of the experiment `distillates` with the paper's student


def format_spread(values: Sequence[float]) -> str:
    """Format the mean, and the standard deviation if there are several values.

    >>> format_spread([1.0]), format_spread([1.0, 3.0])
    ('1.0', '2.0 ± 1.4')
    """
    mean = f"{np.mean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.1f}"


def make_row(label: str, records: list[Record]) -> list[str]:
    """A row: the scores of the seeds."""
    scores = [format_spread([record[kind]["mean"] for record in records]) for kind in ("student", "ensemble")]
    return [label, str(len(records)), *scores]


def list_rows(file: str, found: list[Record]) -> list[list[str]]:
    """The rows of a file: its measured baselines, then potstill's pairs."""
    groups = {method: select_records(found, file=file, method=method) for method in METHODS}
    rows = [make_row(LABELS[method], group) for method, group in groups.items() if group]
    own = select_records(load_records("distillates"), file=file, method=OWN)
    return [*rows, make_row("potstill", own)] if rows else []


def baselines() -> str:
    """A table for each measured file."""
    found = load_records("baselines")
    budget = METHODS["hades"]["budget"]
    parts = [HEAD.format(students=STUDENTS, episodes=EPISODES, budget=budget)]
    teachers = select_records(load_records("fixed-teachers"), method="100 episodes")
    for file in FILES:
        rows = list_rows(file, found)
        if rows:
            teacher = average(select_records(teachers, file=file), "teacher")
            parts += [f"`{file}` (teacher {teacher:.1f}):", make_table(HEADS, rows)]
    return "\n\n".join([*parts, describe_seeds(found)])


def describe_seeds(found: list[Record]) -> str:
    """Say how many files and cells are measured, and what the seeds allow to say."""
    files = sorted({record["file"] for record in found})
    compared = [sentence for file in files for sentence in compare(file, found)]
    return " ".join([f"Measured: {len(found)} cells on {len(files)} of the nine files.", *compared])


def compare(file: str, found: list[Record]) -> list[str]:
    """Compare the best baseline with several seeds with potstill's pairs."""
    several = {}
    for method in METHODS:
        means = [record["student"]["mean"] for record in select_records(found, file=file, method=method)]
        if len(means) > 1:
            several[LABELS[method]] = means
    own = [record["student"]["mean"] for record in select_records(load_records("distillates"), file=file, method=OWN)]
    if not several:
        return []
    best = max(several, key=lambda label: float(np.mean(several[label])))
    where = "above" if min(several[best]) > max(own) else "below" if max(several[best]) < min(own) else "among"
    return [
        f"`{file}`: of {len(several)} baselines with several seeds, {best} has the highest mean, "
        f"{np.mean(several[best]):.1f}; its seeds are {where} those of potstill ({np.mean(own):.1f})."
    ]
