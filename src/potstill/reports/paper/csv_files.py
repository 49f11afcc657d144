"""Write the tables and figures as CSV: one line for each number, with its place in the table."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from potstill.reports.paper.schema import Convergence, Curve, Posture, Score, ScoreTable

SCORES = tuple(Score.__dataclass_fields__)
RETENTION = ("mean_of_ratios", "retention_low", "retention_high", "ratio_of_means", "median", "capped")


def write_lines(head: Sequence[str], rows: Sequence[Mapping[str, object]]) -> str:
    """Format rows as CSV. Values that a row lacks are empty.

    >>> write_lines(["row", "mean"], [{"row": "pbc", "mean": 3.0}, {"row": "dbc"}]).splitlines()
    ['row,mean', 'pbc,3.0', 'dbc,']
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, head, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def list_scores(table: ScoreTable) -> str:
    """List a line for each row and dataset, and one for each row over all datasets."""
    rows: list[dict[str, object]] = []
    for section in table.sections:
        for row in section.rows:
            place = {"table": table.name, "section": section.key, "row": row.key, "label": row.label}
            for label, score in row.scores.items():
                values = {} if score is None else asdict(score)
                rows.append({**place, "dataset": label, **values, "paper": row.paper.get(label)})
            kept = row.retention
            summary: dict[str, object] = {"paper": row.paper_average}
            if kept is not None:
                ratios = (kept["mean_of_ratios"], kept["low"], kept["high"], kept["ratio_of_means"])
                summary |= zip(RETENTION, (*ratios, kept["median"], kept["capped"]), strict=True)
            rows.append({**place, "dataset": "all", **summary})
    return write_lines(["table", "section", "row", "label", "dataset", *SCORES, "paper", *RETENTION], rows)


def list_convergence(lines: Sequence[Convergence]) -> str:
    """List the lines of Table 4."""
    head = ["key", "label", "dataset", "rows", "batch", "steps", "updates", "seconds", "lowest", "paper"]
    rows = []
    for line in lines:
        score = {} if line.score is None else asdict(line.score)
        rows.append({**{name: getattr(line, name) for name in head}, **score})
    return write_lines([*head, *SCORES], rows)


def list_curves(curves: Sequence[Curve]) -> str:
    """List a line for each point of each seed."""
    rows = [
        {
            "key": curve.key,
            "dataset": curve.dataset,
            "seed": seed,
            "step": step,
            "score": score,
        }
        for curve in curves
        for seed, scores in enumerate(curve.seeds)
        for step, score in zip(curve.steps, scores, strict=True)
    ]
    return write_lines(["key", "dataset", "seed", "step", "score"], rows)


def list_postures(lines: Sequence[Posture]) -> str:
    """List the measurements of Figure 2."""
    spread = ("before", "after", "change", "excess")
    head = ["key", "label", "dataset", "quantity", "states"]
    rows = []
    for line in lines:
        row = {name: getattr(line, name) for name in head}
        for name in spread:
            values = getattr(line, name) or (None, None, None)
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
        rows.append(row)
    return write_lines([*head, *(f"{name}{end}" for name in spread for end in ("", "_low", "_high"))], rows)
