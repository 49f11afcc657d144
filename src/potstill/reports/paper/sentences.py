"""Compare our numbers with the paper's in sentences. Each sentence is generated from the numbers alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from potstill.reports.paper.numbers import AVERAGES_2, FAMILIES, TABLE_1, find_number
from potstill.reports.paper.schema import Convergence, Curve, Dataset, Posture, Row, Score, ScoreTable

RANKED = ("random", "dbc", "pbc", "av-pbc")  # the paper's order by its averages
WHERE = {
    "above": "ours are above the paper's for",
    "below": "ours are below the paper's for",
    "inside": "the paper's number is inside our interval for",
}


def compare_numbers(table: ScoreTable) -> list[str]:
    """List for each dataset which scores are above or below the paper's, and which intervals contain the paper's."""
    found = []
    for section in table.sections:
        for dataset in table.datasets:
            groups: dict[str, list[str]] = {name: [] for name in WHERE}
            for row in section.rows:
                score, paper = row.scores.get(dataset.label), row.paper.get(dataset.label)
                if score is not None and paper is not None:
                    groups[score.compare(paper)].append(f"{row.label} ({score.mean:.1f}, paper {paper:.1f})")
            said = [f"{WHERE[name]} {', '.join(rows)}" for name, rows in groups.items() if rows]
            if said:
                found.append(f"{section.title}, {dataset.label}: {'; '.join(said)}.")
    return found


def compare_order(table: ScoreTable) -> list[str]:
    """Compare the order of the objectives, by their means over the paper's datasets, in each section."""
    columns = {one.label: one.column for one in table.datasets if one.column}
    found = []
    for section in table.sections:
        rows = {row.key.partition("-")[2]: row for row in section.rows if row.key.partition("-")[2] in RANKED}
        ours = {name: _compute_mean(row, list(columns)) for name, row in rows.items()}
        known = {name: mean for name, mean in ours.items() if mean is not None}
        if len(known) < len(RANKED):
            continue
        theirs = {
            name: float(np.mean([find_number(TABLE_1[name], column) for column in columns.values()])) for name in RANKED
        }
        orders = [sorted(RANKED, key=lambda name, means=means: means[name]) for means in (theirs, known)]  # type: ignore[misc]
        texts = [
            " < ".join(f"{rows[name].label} {means[name]:.1f}" for name in order)
            for order, means in zip(orders, (theirs, known), strict=True)
        ]
        verdict = "Ours have the same order" if orders[0] == orders[1] else "Ours have another order"
        where = next(iter(columns)) if len(columns) == 1 else f"the mean of {len(columns)} datasets"
        found.append(f"{section.title}, {where}: the paper has the order {texts[0]}. {verdict}: {texts[1]}.")
    return found


def _compute_mean(row: Row, labels: Sequence[str]) -> float | None:
    scores = [row.scores.get(label) for label in labels]
    means = [score.mean for score in scores if score is not None]
    return float(np.mean(means)) if means and len(means) == len(scores) else None


def compare_cloning(table: ScoreTable) -> list[str]:
    """Check the claim that students of a distillate score above behavioural cloning of the whole dataset."""
    cloned, found = table.find_row("bc"), []
    for dataset in table.datasets:
        bc = None if cloned is None else cloned.scores.get(dataset.label)
        if bc is None:
            continue
        texts = []
        for key in ("paper-av-pbc", "potstill"):
            row = table.find_row(key)
            score = None if row is None else row.scores.get(dataset.label)
            if row is not None and score is not None:
                texts.append(f"{row.label} {_describe_difference(score, bc, 'BC')}")
        theirs = [find_number(TABLE_1[key], dataset.column) for key in ("av-pbc", "bc")]
        claim = "the paper has no such dataset"
        if theirs[0] is not None and theirs[1] is not None:
            above = "above" if theirs[0] > theirs[1] else "below"
            claim = f"in the paper, Av-PBC is {above} BC ({theirs[0]:.1f} and {theirs[1]:.1f})"
        if texts:
            found.append(f"Distillate against cloning all rows, {dataset.label}: {claim}; ours: {'; '.join(texts)}.")
    return found


def _describe_difference(one: Score, other: Score, name: str) -> str:
    """Describe which of two scores is higher, and whether their intervals overlap."""
    where = "is above" if one.mean > other.mean else "is below"
    apart = one.low > other.high or one.high < other.low
    sure = "the intervals do not overlap" if apart else "the intervals overlap"
    return f"{where} {name} ({one.mean:.1f} and {other.mean:.1f}; {sure})"


def compare_levels(table: ScoreTable) -> list[str]:
    """Check the claim that pairs of medium-replay data give higher scores than pairs of medium-expert data."""
    by_column = {one.column: one.label for one in table.datasets if one.column}
    found = []
    for family in FAMILIES:
        columns = [f"{family}-{level}" for level in ("medium-replay", "medium-expert")]
        if not set(columns) <= set(by_column):
            continue
        theirs = [find_number(TABLE_1["av-pbc"], column) for column in columns]
        texts = []
        for key in ("paper-av-pbc", "potstill"):
            row = table.find_row(key)
            scores = [None if row is None else row.scores.get(by_column[column]) for column in columns]
            if row is not None and scores[0] is not None and scores[1] is not None:
                texts.append(
                    f"{row.label} on medium-replay {_describe_difference(scores[0], scores[1], 'medium-expert')}"
                )
        if texts:
            found.append(
                f"Medium-replay against medium-expert, {family}: in the paper, Av-PBC has {theirs[0]} and {theirs[1]}; "
                f"ours: {'; '.join(texts)}."
            )
    if not found:
        found = [
            "Medium-replay against medium-expert: the paper's students of medium-replay sets score higher on all three "
            "robots. The comparison needs both datasets of a robot, which this run does not have."
        ]
    return found


def compare_students(table: ScoreTable) -> list[str]:
    """Compare the scores of other students with those of the default student (Table 2)."""
    others = [mean for name, mean in AVERAGES_2.items() if name != "own"]
    low, high = min(others) / AVERAGES_2["own"], max(others) / AVERAGES_2["own"]
    found = [
        f"The paper's other students have {low:.2f} to {high:.2f} of the score of its default student, on average."
    ]
    for prefix, default, name in (("", "paper", "Av-PBC"), ("potstill-", "potstill-own", "potstill")):
        for dataset in table.datasets:
            row = table.find_row(default)
            base = None if row is None else row.scores.get(dataset.label)
            scores = {
                row.label: row.scores.get(dataset.label)
                for row in (table.find_row(f"{prefix}{key}") for key in AVERAGES_2 if key != "own")
                if row is not None
            }
            ratios = {
                label: score.mean / base.mean for label, score in scores.items() if score and base and base.mean > 0
            }
            if ratios:
                worst, best = min(ratios, key=ratios.__getitem__), max(ratios, key=ratios.__getitem__)
                span = f"{ratios[worst]:.2f} ({worst}) to {ratios[best]:.2f} ({best})"
                found.append(f"Ours, {name} sets of {dataset.label}: {span}.")
    return found


def compare_ensembles(table: ScoreTable) -> list[str]:
    """List the gains of ensembles over single students (Table 3)."""
    found = ["In the paper, ensembles add 7.0 (DBC), 7.5 (PBC) and 9.9 (Av-PBC) to the average score."]
    for section in table.sections:
        if section.key != "ensemble":
            continue
        for dataset in table.datasets:
            texts = []
            for row in section.rows:
                single = table.find_row(row.key.removeprefix("ensemble-"))
                scores = row.scores.get(dataset.label), None if single is None else single.scores.get(dataset.label)
                if scores[0] is not None and scores[1] is not None:
                    texts.append(f"{row.label} {scores[0].mean - scores[1].mean:+.1f}")
            if texts:
                found.append(f"Ours, {dataset.label}: {', '.join(texts)}.")
    return found


def compare_sizes(table: ScoreTable) -> list[str]:
    """Check whether more pairs give higher scores (Table 5)."""
    found = ["In the paper, every doubling of N raises the score, on all three medium-replay sets."]
    for section in table.sections:
        for dataset in table.datasets:
            scores = [(row.label, row.scores.get(dataset.label)) for row in section.rows]
            steps = [(a, b) for a, b in itertools.pairwise(scores) if a[1] is not None and b[1] is not None]
            falls = [f"{a[0]} to {b[0]}" for a, b in steps if a[1] and b[1] and b[1].mean <= a[1].mean]
            if steps:
                verdict = "every step up in N raises it" if not falls else f"it does not rise from {', '.join(falls)}"
                found.append(f"Ours, {section.title}, {dataset.label}: {verdict}.")
    return found


def compare_convergence(lines: Sequence[Convergence]) -> list[str]:
    """Compare the training steps on pairs with those on all rows (Table 4)."""
    found = []
    for dataset in dict.fromkeys(line.dataset for line in lines):
        own = {line.key: line for line in lines if line.dataset == dataset}
        whole = own.pop("bc", None)
        for line in own.values():
            if whole is None or not line.steps:
                continue
            text = (
                f"{dataset}: cloning all rows takes {whole.steps:,.0f} steps and {whole.seconds:.1f} s to converge, a "
                f"student of {line.label} {line.steps:,.0f} steps and {line.seconds:.1f} s: "
                f"{whole.steps / line.steps:,.1f} times as many steps"
            )
            theirs = "" if not (whole.paper and line.paper) else f" (paper: {whole.paper / line.paper:,.0f} times)"
            late = "; the loss of the whole dataset was still falling at the end of its run"
            found.append(text + theirs + (late if whole.steps > 0.9 * whole.updates else "") + ".")
    return found


def compare_curves(curves: Sequence[Curve]) -> list[str]:
    """Compare the first and last scores of the methods (Figure 1)."""
    found = []
    for dataset in dict.fromkeys(curve.dataset for curve in curves):
        for group, name in (("paper", "as in the paper"), ("equal", "under equal conditions")):
            ends = {
                curve.label: (float(np.mean(curve.seeds, axis=0)[0]), float(np.mean(curve.seeds, axis=0)[-1]))
                for curve in curves
                if curve.dataset == dataset and curve.group == group
            }
            if len(ends) < 2:
                continue
            best = max(ends, key=lambda label, ends=ends: ends[label][1])  # type: ignore[misc]
            texts = [f"{label} from {first:.1f} to {last:.1f}" for label, (first, last) in ends.items()]
            theirs = " (in the paper: Av-PBC)" if group == "paper" else ""
            found.append(f"{dataset}, {name}: {', '.join(texts)}. {best} is highest at the end{theirs}.")
    return found


def compare_postures(lines: Sequence[Posture]) -> list[str]:
    """Check whether distilled states are less balanced than the data's, and better one step later (Figure 2)."""
    found = [
        "The paper states for HalfCheetah: distilled states are mostly unbalanced, and one step with the distilled "
        "action brings them nearer to balance."
    ]
    for line in lines:
        if line.excess is None:
            continue
        first = _describe_sign(line.excess, "larger than", "smaller than", "not clearly different from")
        second = _describe_sign(line.change, "raises", "lowers", "does not clearly change")
        agrees = {
            (1, -1): "both parts of the claim hold",
            (1, 0): "only the first part of the claim holds",
            (1, 1): "only the first part of the claim holds",
            (0, -1): "only the second part of the claim holds",
            (-1, -1): "only the second part of the claim holds",
        }.get((_find_sign(line.excess), _find_sign(line.change)), "neither part of the claim holds")
        found.append(
            f"{line.dataset}, pairs of {line.label}: the error of the torso's {line.quantity} is {first} that of the "
            f"data's states, and one step {second} it: {agrees} for the {line.quantity}."
        )
    return found


def _find_sign(values: tuple[float, float, float]) -> int:
    return 1 if values[1] > 0.0 else -1 if values[2] < 0.0 else 0


def _describe_sign(values: tuple[float, float, float], above: str, below: str, neither: str) -> str:
    return {1: above, -1: below, 0: neither}[_find_sign(values)]


def describe_columns(datasets: Sequence[Dataset]) -> list[str]:
    """State which datasets are not among those of the paper."""
    own = [one.label for one in datasets if one.column is None]
    return [f"{', '.join(own)}: not among the paper's datasets, so there is nothing beside our numbers."] if own else []


def compare_baselines(table: ScoreTable) -> list[str]:
    """Name the best baseline on each dataset, and say whether potstill's pairs are above or below it."""
    found = []
    for dataset in table.datasets:
        scores = {row.label: row.scores.get(dataset.label) for row in table.sections[0].rows}
        known = {label: score for label, score in scores.items() if score is not None}
        row = table.find_row("student-potstill")
        ours = None if row is None else row.scores.get(dataset.label)
        if not known or ours is None:
            continue
        best = max(known, key=lambda label: known[label].mean)
        found.append(
            f"{dataset.label}: the highest of {len(known)} baselines is {best}; potstill "
            f"{_describe_difference(ours, known[best], 'it')}."
        )
    return found


COMPARISONS: Mapping[str, tuple[Callable[[ScoreTable], list[str]], ...]] = {
    "table1": (compare_numbers, compare_order, compare_cloning, compare_levels),
    "table2": (compare_students,),
    "table3": (compare_numbers, compare_ensembles),
    "table5": (compare_numbers, compare_sizes),
    "baselines": (compare_baselines,),
}
