"""Figure 1: scores over outer steps. Figure 2: postures in distilled states, before and after one step."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from potstill.commands.paper.cells import Cell, DistillCell, PostureCell, TeacherCell
from potstill.commands.paper.measuring import Workplace
from potstill.commands.paper.methods import METHODS
from potstill.commands.paper.scales import Scale
from potstill.commands.paper.tables import find_curve, find_reference
from potstill.environments.posture import has_posture
from potstill.environments.references import normalised_return
from potstill.evaluation.aggregation import TAILS
from potstill.evaluation.statistics import RESAMPLES
from potstill.reports.paper.numbers import TABLE_1, find_number
from potstill.reports.paper.schema import Curve, Posture

DRAWN = tuple(name for name, method in METHODS.items() if not method.is_random and method.group != "baselines")
POSED = ("paper-av-pbc", "potstill")
POINTS = 41  # of a curve whose seeds have different steps

Triple = tuple[float, float, float]
Quantity: TypeAlias = Literal["angle", "height"]
QUANTITIES: tuple[Quantity, ...] = ("angle", "height")


def list_curve_cells(datasets: list[str], scale: Scale) -> list[Cell]:
    """The cells of Figure 1."""
    found: list[Cell] = []
    for label in datasets:
        cells = [DistillCell(label, name, seed=seed) for name in DRAWN for seed in range(scale.seeds)]
        found += [cell for cell in cells if cell.has_curve(scale)]
    return found


def assemble_curves(at: Workplace) -> list[Curve]:
    """The curves of Figure 1, of each dataset and method."""
    found = []
    for label, source in at.sources.items():
        reference = find_reference(label, at)
        for name in DRAWN:
            cells = [DistillCell(label, name, seed=seed) for seed in range(at.scale.seeds)]
            curves = [curve for curve in (find_curve(cell, at) for cell in cells) if curve]
            if reference is None or not curves:
                continue
            steps = _find_common_steps([[point["step"] for point in curve] for curve in curves])
            seeds = [
                np.interp(
                    steps,
                    [point["step"] for point in curve],
                    normalised_return([point["student"] for point in curve], reference),
                ).tolist()
                for curve in curves
            ]
            method = METHODS[name]
            paper = find_number(TABLE_1.get(method.row or ""), source.column)
            found.append(Curve(name, method.label, method.group, label, steps, seeds, paper))
    return found


def _find_common_steps(steps: list[list[int]]) -> list[float]:
    """The steps of all seeds if they agree, else evenly spaced ones up to the last step that all have reached.

    >>> _find_common_steps([[0, 10, 20], [0, 10, 20]])
    [0.0, 10.0, 20.0]
    """
    if all(each == steps[0] for each in steps):
        return [float(step) for step in steps[0]]
    return [float(step) for step in np.linspace(0.0, min(each[-1] for each in steps), POINTS)]


def list_posture_cells(datasets: list[str], scale: Scale) -> list[Cell]:
    """The cells of Figure 2: pairs of each seed, and rows of the dataset."""
    found: list[Cell] = []
    for label in datasets:
        distilled = [DistillCell(label, name, seed=seed) for name in POSED for seed in range(scale.seeds)]
        found += [TeacherCell(label), PostureCell(label), *(PostureCell(label, cell) for cell in distilled)]
    return found


def select_posed(at: Workplace) -> list[str]:
    """The datasets whose environments have a torso with a height and an angle."""
    return [label for label, source in at.sources.items() if has_posture(source.env_id)]


def assemble_postures(at: Workplace) -> list[Posture]:
    """The lines of Figure 2. States of all seeds of a method are one sample."""
    found = []
    for label in select_posed(at):
        sets: list[tuple[str, str, list[PostureCell]]] = [("data", "dataset", [PostureCell(label)])]
        for name in POSED:
            cells = [PostureCell(label, DistillCell(label, name, seed=seed)) for seed in range(at.scale.seeds)]
            sets.append((name, METHODS[name].label, cells))
        for quantity in QUANTITIES:
            data = _gather_errors([PostureCell(label)], quantity, at)
            for key, name, cells in sets:
                errors = _gather_errors(cells, quantity, at)
                if errors is not None:
                    found.append(_describe(key, name, label, quantity, errors, None if key == "data" else data))
    return found


def _gather_errors(cells: list[PostureCell], quantity: Quantity, at: Workplace) -> Float[np.ndarray, "N 2"] | None:
    found = [at.records[cell.name][quantity] for cell in cells if cell.name in at.records]
    return np.concatenate(found) if found else None


def _describe(
    key: str,
    name: str,
    label: str,
    quantity: Quantity,
    errors: Float[np.ndarray, "N 2"],
    data: Float[np.ndarray, "M 2"] | None,
) -> Posture:
    before, after = _bootstrap_means(errors[:, 0], 0), _bootstrap_means(errors[:, 1], 0)  # the same states in both
    change = _describe_means(float(np.diff(errors).mean()), after - before)
    excess = None
    if data is not None:
        of_data = _bootstrap_means(data[:, 0], 1)
        excess = _describe_means(float(errors[:, 0].mean() - data[:, 0].mean()), before - of_data)
    means = errors.mean(axis=0)
    both = _describe_means(float(means[0]), before), _describe_means(float(means[1]), after)
    return Posture(key, name, label, quantity, len(errors), *both, change, excess)


def _bootstrap_means(values: Float[np.ndarray, " N"], seed: int) -> Float[np.ndarray, " R"]:
    """Means of bootstrap resamples."""
    rng = np.random.default_rng(seed)
    return np.array([values[rng.integers(len(values), size=len(values))].mean() for _ in range(RESAMPLES)])


def _describe_means(mean: float, resampled: Float[np.ndarray, " R"]) -> Triple:
    low, high = np.quantile(resampled, TAILS)
    return mean, float(low), float(high)
