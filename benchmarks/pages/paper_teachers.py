"""Distillates of the paper's own teachers, beside Tables 1 and 3 of the paper."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.experiments.paper_teachers import COUNTS, EXPERIMENT, METHODS, STATES, TEACHER, TEACHER_EPISODES
from benchmarks.files import FILES
from benchmarks.grid import Record
from benchmarks.pages.baselines import format_spread
from benchmarks.pages.text import make_table, select_records
from potstill.reports.paper.numbers import TABLE_1, TABLE_3, Row, find_number

ROWS = {"random": "random", "dbc": "dbc", "pbc": "pbc", "av-pbc": "av-pbc", "algorithm-1": "av-pbc"}
COMPARED = ("random", "dbc", "pbc", "av-pbc")
LABELS = {
    "random": "random rows",
    "dbc": "DBC",
    "pbc": "PBC",
    "av-pbc": "Av-PBC",
    "algorithm-1": "Av-PBC by Algorithm 1, 400 outer steps",
    "potstill, paper's student": "potstill, the paper's student",
    "potstill": "potstill, the data's states, its own student",
    "potstill, imagined states": "potstill, imagined states, its own student",
}
HEAD = """\
Experiment `paper-teachers`: 256 pairs for each seed; {students} students × {episodes} episodes, and ensembles of
{students}. All rows but the last two are for the paper's student. *File*: the states of the file of the same name;
*log*: those of a log of the teacher with noisy actions. Scores are means ± standard deviations over distillation
seeds, whose number is in brackets. A number with one seed shows that the method ran, and no more. *Table 1* and
*Table 3* are the paper's."""
HEADS = ("pairs", "file", "log", "Table 1", "ensemble: file", "log", "Table 3")


def format_cell(records: list[Record], kind: str) -> str:
    """The scores of the seeds, and their number."""
    return f"{format_spread([record[kind]['mean'] for record in records])} ({len(records)})" if records else "–"


def format_paper(row: str | None, file: str, table: Mapping[str, Row]) -> str:
    """A number of the paper."""
    number = find_number(table.get(row or ""), file)
    return "–" if number is None else f"{number:.1f}"


def compare(records: list[Record], file: str) -> list[str]:
    """Where the means of a file agree with Table 1: the return of Av-PBC, and the order of the pairs.

    One seed says nothing: a file is compared if all pairs have two or more.
    """
    sentences = []
    paper = {method: find_number(TABLE_1[ROWS[method]], file) or np.nan for method in COMPARED}
    for origin in STATES:
        groups = {method: select_records(records, method=method, states=origin) for method in COMPARED}
        if all(len(each) > 1 for each in groups.values()):
            ours = {method: np.mean([record["student"]["mean"] for record in each]) for method, each in groups.items()}
            same = sorted(COMPARED, key=ours.__getitem__) == sorted(COMPARED, key=paper.__getitem__)
            sentences.append(
                f"From the {origin}, Av-PBC has {ours['av-pbc'] / paper['av-pbc']:.2f} of the paper's return. The "
                f"order of random\nrows, DBC, PBC and Av-PBC is {'' if same else 'not '}the paper's."
            )
    return ["\n".join(sentences)] if sentences else []


def paper_teachers() -> str:
    """A table for each measured file."""
    found, parts = load_records("paper-teachers"), [HEAD.format(**COUNTS)]
    for file in FILES:
        of_file = select_records(found, file=file)
        teachers = select_records(of_file, method=TEACHER)
        lines = []
        for method in METHODS:
            by_states = [select_records(of_file, method=method, states=origin) for origin in STATES]
            if any(by_states):
                cells = [LABELS[method]]
                for kind, table in (("student", TABLE_1), ("ensemble", TABLE_3)):
                    cells += [format_cell(each, kind) for each in by_states]
                    cells.append(format_paper(ROWS.get(method), file, table))
                lines.append(cells)
        if lines and teachers:
            score = teachers[0]["student"]["mean"]
            paper = format_paper("teacher", file, TABLE_1)
            title = f"`{file}` (teacher {score:.1f} in {TEACHER_EPISODES} episodes; in the paper {paper}):"
            parts += [title, make_table(HEADS, lines), *compare(of_file, file)]
    files = {record["file"] for record in found}
    declared = len((*EXPERIMENT.cells, *EXPERIMENT.extra))
    parts.append(f"Measured: {len(found)} of {declared} declared cells, on {len(files)} of the nine files.")
    return "\n\n".join(parts)
