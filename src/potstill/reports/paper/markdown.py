"""Format the tables and figures as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from potstill.reports.paper.numbers import COLUMNS
from potstill.reports.paper.schema import Convergence, Curve, Dataset, Posture, Row, Score, ScoreTable, Section
from potstill.reports.text import format_number

NONE = "–"


def format_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table with text in the first column and numbers in the others.

    >>> print(format_table(["method", "score"], [["PBC", "3.0"]]))
    | method | score |
    |---|---:|
    | PBC | 3.0 |
    """
    lines = [head, ["---", *["---:"] * (len(head) - 1)]]
    texts = [f"|{'|'.join(lines[1])}|" if i == 1 else f"| {' | '.join(line)} |" for i, line in enumerate(lines)]
    return "\n".join([*texts, *(f"| {' | '.join(row)} |" for row in rows)])


def format_score(score: Score | None) -> str:
    """Format a mean with its interval.

    >>> format_score(Score(28.04, 20.31, 33.0, 893.0, 0.29, 1, 2, 5))
    '28.0 [20.3, 33.0]'
    """
    return NONE if score is None else f"{score.mean:.1f} [{score.low:.1f}, {score.high:.1f}]"


def format_datasets(datasets: Sequence[Dataset]) -> str:
    """Format the datasets and their teachers, whose scores are the denominators of retention."""
    head = ["dataset", "environment", "rows", "teacher's score", "its return", "episodes"]
    rows = [
        [
            one.label,
            one.env_id,
            f"{one.rows:,}",
            format_score(one.teacher),
            NONE if one.teacher is None else format_number(one.teacher.raw),
            NONE if one.teacher is None else f"{one.teacher.episodes}",
        ]
        for one in datasets
    ]
    return format_table(head, rows)


def format_score_table(table: ScoreTable) -> str:
    """Format all sections of a table of scores, and the retention of all rows."""
    parts = []
    for section in table.sections:
        parts += [f"### {section.title}", section.text, _format_section(section, table.datasets)]
    parts += ["### Returns and retention", _format_retention(table)]
    return "\n\n".join(parts)


RETENTION_TEXT = (
    "*Return* is the mean undiscounted return. Retention is the score divided by that of the dataset's teacher: the "
    "mean of these ratios over datasets with its 95 % bootstrap interval, the mean score divided by the mean score of "
    "the teachers, the median ratio, and the mean of ratios that are capped at 1."
)


def _format_section(section: Section, datasets: Sequence[Dataset]) -> str:
    """Format the scores of a section: ours with the interval, and the paper's after a slash."""
    averaged = len(datasets) > 1 or any(row.paper_average is not None for row in section.rows)
    head = ["method", *(one.label for one in datasets), *(["average"] if averaged else [])]
    rows = []
    for row in section.rows:
        cells = [_format_beside(format_score(row.scores.get(one.label)), row.paper.get(one.label)) for one in datasets]
        rows.append([row.label, *cells, *([_format_average(row, datasets)] if averaged else [])])
    table = format_table(head, rows)
    notes = []
    if any("†" in cell for line in rows for cell in line):
        notes.append("† The paper prints only the average over its nine datasets.")
    if any(score and score.last_points is not None for row in section.rows for score in row.scores.values()):
        notes.append(f"Mean over the last five points of the curves: {_format_last_points(section)}.")
    return "\n\n".join([table, *notes])


def _format_beside(ours: str, paper: float | None, mark: str = "") -> str:
    return ours if paper is None else f"{ours} / {paper:.1f}{mark}"


def _format_average(row: Row, datasets: Sequence[Dataset]) -> str:
    found = [score.mean for score in row.scores.values() if score]
    complete = len(found) == len(datasets) and len(datasets) > 1
    ours = f"{np.mean(found):.1f}" if complete else NONE
    nine = {one.column for one in datasets} >= set(COLUMNS)
    if row.paper_average is not None:
        return _format_beside(ours, row.paper_average, "" if nine else " †")
    values = [value for value in row.paper.values() if value is not None]
    return _format_beside(ours, float(np.mean(values)) if len(values) == len(datasets) else None)


def _format_last_points(section: Section) -> str:
    return "; ".join(
        f"{row.label} on {label} {score.last_points:.1f}"
        for row in section.rows
        for label, score in row.scores.items()
        if score and score.last_points is not None
    )


def _format_retention(table: ScoreTable) -> str:
    labels = [one.label for one in table.datasets]
    head = ["method", *(f"return, {label}" for label in labels), "mean of ratios", "ratio of means", "median", "capped"]
    rows = []
    for section in table.sections:
        for row in section.rows:
            found = [row.scores.get(label) for label in labels]
            returns = [NONE if score is None else format_number(round(score.raw, 1)) for score in found]
            kept = row.retention
            ratios = [NONE] * 4
            if kept is not None:
                ratios = [f"{kept['mean_of_ratios']:.2f} [{kept['low']:.2f}, {kept['high']:.2f}]"]
                ratios += [f"{kept['ratio_of_means']:.2f}", f"{kept['median']:.2f}", f"{kept['capped']:.2f}"]
            label = row.label if len(table.sections) == 1 else f"{row.label} ({section.title.lower()})"
            rows.append([label, *returns, *ratios])
    return format_table(head, rows)


def format_convergence(lines: Sequence[Convergence]) -> str:
    """Format Table 4."""
    head = ["training", "dataset", "rows", "batch", "steps", "of", "the paper's steps", "seconds", "lowest loss"]
    head += ["score at the end"]
    rows = [
        [
            line.label,
            line.dataset,
            f"{line.rows:,}",
            f"{line.batch:,}",
            f"{line.steps:,.0f}",
            f"{line.updates:,}",
            NONE if line.paper is None else f"{line.paper:,.0f}",
            f"{line.seconds:.2f}",
            f"{line.lowest:.4f}",
            format_score(line.score),
        ]
        for line in lines
    ]
    return format_table(head, rows)


def format_curves(curves: Sequence[Curve]) -> str:
    """Format the first, last and highest scores of the curves of Figure 1."""
    head = ["method", "dataset", "outer steps", "at step 0", "at the end", "highest", "the paper's end"]
    rows = []
    for curve in curves:
        mean = np.mean(curve.seeds, axis=0)
        group = {"equal": " (equal conditions)", "paper": " (as in the paper)"}.get(curve.group, "")
        values = [f"{curve.steps[-1]:,.0f}", f"{mean[0]:.1f}", f"{mean[-1]:.1f}", f"{mean.max():.1f}"]
        rows.append(
            [curve.label + group, curve.dataset, *values, NONE if curve.paper is None else f"{curve.paper:.1f}"]
        )
    return format_table(head, rows)


def format_postures(lines: Sequence[Posture]) -> str:
    """Format the measurements of Figure 2."""
    head = ["states", "dataset", "error of", "number", "before", "after one step", "change", "before, minus the data's"]
    rows = [
        [
            line.label,
            line.dataset,
            f"{line.quantity}, {'rad' if line.quantity == 'angle' else 'm'}",
            f"{line.states:,}",
            _format_triple(line.before),
            _format_triple(line.after),
            _format_triple(line.change, signed=True),
            NONE if line.excess is None else _format_triple(line.excess, signed=True),
        ]
        for line in lines
    ]
    return format_table(head, rows)


def _format_triple(values: tuple[float, float, float], *, signed: bool = False) -> str:
    mean, low, high = (f"{value:+.4f}" if signed else f"{value:.4f}" for value in values)
    return f"{mean} [{low}, {high}]"
