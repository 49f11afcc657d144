"""Returns of students with the default settings of ``potstill distill`` and the best teacher of each file."""

from __future__ import annotations

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.experiments.imagination import DEVELOPED_ON
from benchmarks.files import FILES
from benchmarks.grid import Record
from benchmarks.pages.retention import draw_retention, format_interval, format_retention, group_by_file, retention
from benchmarks.pages.text import average, format_count, make_table
from potstill.worlds.settings import LEAST_HORIZON

KINDS = ("student", "ensemble", "pytorch_student", "pytorch_ensemble")
COLUMNS = ("one own student", "ensemble", "one PyTorch-style student", "ensemble")
HEAD = """\
{files} D4RL-like datasets, best teachers, {seeds} × {students} students × {episodes} episodes: mean
normalised returns of one student, the ensemble. 256 pairs. *States*: imagined if a world model is accurate, else the
data's. *PyTorch-style*: 256 × 256 units, Adam. *s*: seconds on a busy core, without the model's."""
HEADS = ("dataset", "teacher", "states", "own students", "PyTorch-style", "s")
BY_FILE = """\
Retention: the mean return of students, divided by that of their teacher (a hundred episodes). Intervals: 95 %
bootstrap, of seeds, then students, then episodes; teachers' returns are not drawn."""


def load_imagination_records() -> list[Record]:
    """The records, in the order of the files, with the fields of :mod:`benchmarks.pages.retention` for ``KINDS``."""
    found = [
        {
            **record,
            "teacher_score": float(record["teacher"]["mean"]),
            **{f"pytorch_{kind}": scores for kind, scores in record["pytorch_style"].items()},
        }
        for record in load_records("imagination")
        if record["file"] in FILES
    ]
    return sorted(found, key=lambda record: FILES.index(record["file"]))


def choose_states(records: list[Record]) -> dict[str, str]:
    """The states that the default chooses for each file, by the horizon of its world model and by nothing else."""
    models = group_by_file([record for record in records if "imagined" in record])
    horizons = {group[0]["file"]: min(r["imagined"]["horizon"] for r in group) for group in models}
    return {file: "imagined" if steps >= LEAST_HORIZON else "data" for file, steps in horizons.items()}


METHODS = {"imagined": "imagined", "data": "portfolio"}
"""The method with the default settings, by the states that the default chooses."""


def select_default(records: list[Record]) -> list[Record]:
    """The records of the default."""
    chosen = {file: METHODS[states] for file, states in choose_states(records).items()}
    return [record for record in records if record["method"] == chosen.get(record["file"])]


def select_pairs(first: list[Record], second: list[Record]) -> tuple[list[Record], list[Record]]:
    """The records of two methods on the files and seeds that both have, in the same order."""
    found = [{(record["file"], record["seed"]): record for record in records} for records in (first, second)]
    places = [place for place in found[0] if place in found[1]]
    return [found[0][place] for place in places], [found[1][place] for place in places]


def headline() -> str:
    """The table of the committed records."""
    return make_headline(load_imagination_records())


def make_headline(records: list[Record]) -> str:
    """A row for each file, the retention, and in words what must be known about it."""
    default, states, lines = select_default(records), choose_states(records), []
    groups = group_by_file(default)
    for group in groups:
        scores = format_pairs([f"{average(group, kind):.1f}" for kind in KINDS])
        seconds = f"{np.median([r['seconds']['distilling'] for r in group]):.0f}"
        lines.append([group[0]["file"], f"{group[0]['teacher_score']:.1f}", states[group[0]["file"]], *scores, seconds])
    shares = format_pairs([format_retention(default, kind) for kind in KINDS])
    lines.append(["retention: share of the teacher's return [95 %]", "", "", *shares, ""])
    students, episodes = np.array(default[0]["student"]["returns"]).shape
    files = format_count(len(groups))
    head = HEAD.format(files=files.capitalize(), seeds=count_seeds(groups), students=students, episodes=episodes)
    used = format_count(sum(group[0]["file"] in DEVELOPED_ON for group in groups))
    last = f"Used to develop the method: {used} of the {files} datasets."
    return "\n\n".join([head, make_table(HEADS, lines), last])


def format_pairs(cells: list[str]) -> list[str]:
    """Single students and their ensemble in one cell, for each kind of student."""
    return [", ".join(cells[:2]), ", ".join(cells[2:])]


def describe_missing(groups: list[list[Record]]) -> str:
    """What the intervals leave out if files have a single seed."""
    few = sum(len(group) == 1 for group in groups)
    which = "" if few == len(groups) else f" of {format_count(few, 'file')} with one seed"
    return f" The intervals leave out the variation\nbetween distillations{which}." if few else ""


def count_seeds(groups: list[list[Record]]) -> str:
    """How many distillation seeds the files have."""
    counts = sorted({len(group) for group in groups})
    range_of = " to ".join(format_count(count) for count in (counts[0], counts[-1])[-len(counts) :])
    return f"{range_of} distillation {'seed' if counts[-1] == 1 else 'seeds'}"


def retention_by_file() -> str:
    """A row for each file: the retention of each kind of student, with its interval."""
    records, lines = load_imagination_records(), []
    groups, states = group_by_file(select_default(records)), choose_states(records)
    for group in groups:
        cells = [f"{retention(group, k):.2f} {format_interval(draw_retention(group, k), 2)}" for k in KINDS]
        lines.append([group[0]["file"], states[group[0]["file"]], str(len(group)), *cells])
    return "\n\n".join([BY_FILE + describe_missing(groups), make_table(("file", "states", "seeds", *COLUMNS), lines)])
