"""From the records of cells to the tables of scores."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from potstill.commands.paper.cells import BaselineCell, Cell, DistillCell, StudentsCell, TeacherCell
from potstill.commands.paper.measuring import Workplace
from potstill.commands.paper.plans import RowPlan, SectionPlan, TablePlan
from potstill.environments.references import Reference, normalised_return
from potstill.evaluation.aggregation import Retention, estimate_mean, summarise_retention
from potstill.reports.paper.schema import Dataset, Row, Score, ScoreTable, Section
from potstill.runtime.files import JsonObject

LAST_POINTS, LEAST_POINTS = 5, 20  # the paper's protocol: the mean of five evaluations, of a curve with at least 20

Scores = Float[np.ndarray, "D K E"]


def assemble_table(plan: TablePlan, at: Workplace) -> ScoreTable:
    """Compute all scores of a table. A row in which the record of a cell is missing has fewer seeds, or no score."""
    datasets = [describe_dataset(label, at) for label in plan.select_datasets(at.sources)]
    teachers = {dataset.label: dataset.teacher.mean for dataset in datasets if dataset.teacher}
    labels = [dataset.label for dataset in datasets]
    sections = [_assemble_section(section, at, labels, teachers) for section in plan.sections]
    return ScoreTable(plan.name, plan.title, datasets, sections, plan.over_size)


def describe_dataset(label: str, at: Workplace) -> Dataset:
    """The column of a dataset, with its teacher."""
    source = at.sources[label]
    scores = collect_scores([TeacherCell(label)], label, at)
    teacher = None if scores is None else make_score(scores, float(scores.mean()), at.records[TeacherCell(label).name])
    return Dataset(label, source.column, source.env_id, source.rows, teacher)


def _assemble_section(plan: SectionPlan, at: Workplace, labels: list[str], teachers: dict[str, float]) -> Section:
    rows = [_assemble_row(row, at, labels, teachers) for row in plan.rows]
    return Section(plan.key, plan.title, plan.text, rows)


def _assemble_row(plan: RowPlan, at: Workplace, labels: list[str], teachers: dict[str, float]) -> Row:
    scores: dict[str, Score | None] = {}
    found: dict[str, Scores] = {}
    for label in labels:
        cells = plan.list_cells(label, at.scale)
        values = collect_scores(cells, label, at, plan.take)
        scores[label] = None
        if values is not None:
            found[label] = values
            record = at.records[TeacherCell(label).name]
            scores[label] = make_score(values, teachers.get(label), record, compute_last_points(cells, label, at))
    paper = {} if plan.paper is None else {label: plan.paper(at.sources[label].column) for label in labels}
    return Row(plan.key, plan.label, scores, paper, plan.paper_average, compute_retention(found, teachers))


def collect_scores(cells: list[Cell], label: str, at: Workplace, take: str = "returns") -> Scores | None:
    """Normalised scores of seeds × students × episodes, of the cells that have been measured; ``None``: none has."""
    reference = find_reference(label, at)
    found = [at.records[cell.name][take] for cell in cells if cell.name in at.records]
    if reference is None or not found:
        return None
    return np.asarray(normalised_return(np.array(found, np.float64), reference))


def find_reference(label: str, at: Workplace) -> Reference | None:
    """The returns that score 0 and 100 on a dataset, which are measured with its teacher if none are known."""
    record = at.records.get(TeacherCell(label).name)
    return None if record is None else Reference(**record["reference"])


def make_score(scores: Scores, teacher: float | None, record: JsonObject, points: float | None = None) -> Score:
    """Summarise scores.

    Args:
        scores: normalised, of one row on one dataset.
        teacher: the mean score of the dataset's teacher.
        record: that of the teacher, with the reference returns.
        points: the mean score over the last points of the curves.
    """
    reference, estimate = Reference(**record["reference"]), estimate_mean(scores)
    raw = reference.random + estimate.mean * (reference.expert - reference.random) / 100.0
    ratio = estimate.mean / teacher if teacher is not None and teacher > 0.0 else None
    seeds, students, episodes = scores.shape
    return Score(*estimate, raw, ratio, seeds, students, episodes, points)


def compute_last_points(cells: list[Cell], label: str, at: Workplace) -> float | None:
    """The mean score over the last five points of the curves of distillations as in the paper, if they are long."""
    reference = find_reference(label, at)
    distilled = [cell.of for cell in cells if isinstance(cell, StudentsCell) and cell.student == "own"]
    curves = [find_curve(cell, at) for cell in distilled if cell.has_curve(at.scale)]
    if reference is None or not curves or any(len(curve) < LEAST_POINTS for curve in curves):
        return None
    returns = [point["student"] for curve in curves for point in curve[-LAST_POINTS:]]
    return float(normalised_return(returns, reference).mean())


def find_curve(cell: DistillCell | BaselineCell, at: Workplace) -> list[JsonObject]:
    """The curve of a distillation, in returns; empty if the cell failed."""
    curve: list[JsonObject] = at.records.get(cell.name, {}).get("curve", [])
    return curve


def compute_retention(found: dict[str, Scores], teachers: dict[str, float]) -> Retention | None:
    """The retention of a row over the datasets whose teacher has a score above 0."""
    usable = {label: values for label, values in found.items() if teachers.get(label, 0.0) > 0.0}
    return summarise_retention(usable, teachers) if usable else None
