"""The tables and figures of ``potstill reproduce``: the cells of each and, from their records, its results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from potstill.commands.paper.cells import Cell, DistillCell, TheoryCell
from potstill.commands.paper.convergence import assemble_convergence, list_convergence_cells
from potstill.commands.paper.figures import (
    POSED,
    assemble_curves,
    assemble_postures,
    list_curve_cells,
    list_posture_cells,
)
from potstill.commands.paper.measuring import Workplace
from potstill.commands.paper.plans import SCORE_TABLES
from potstill.commands.paper.scales import Scale
from potstill.commands.paper.tables import assemble_table, describe_dataset
from potstill.environments.posture import has_posture
from potstill.reports.paper import csv_files, markdown, pictures, sentences, theorems
from potstill.reports.states import render_states
from potstill.reports.theory import plot_theory
from potstill.runtime.files import JsonObject, to_json
from potstill.theory import DiscountResult, TheoryResult, TheorySettings


@dataclass(frozen=True)
class Outcome:
    """The results of one target."""

    title: str
    text: str
    """The tables, as Markdown."""
    said: Sequence[str]
    """Sentences that compare potstill's numbers with the paper's."""
    csv: str
    record: JsonObject
    """For ``result.json``."""
    draw: Callable[[Path], Path] | None
    """Draws the picture; ``None``: there is nothing to draw."""
    more_pictures: Mapping[str, Callable[[Path], object]] = field(default_factory=dict)
    """Further pictures by title. A function that cannot draw writes no file."""


@dataclass(frozen=True)
class Target:
    """A table or figure of the paper."""

    list_cells: Callable[[list[str], Scale], list[Cell]]
    """Maps the labels of datasets and a scale to the cells."""
    assemble: Callable[[Workplace], Outcome]
    needs_data: bool = True
    of_paper: bool = True
    """Whether it is in the paper, and therefore one of ``all``."""


def _list_table_cells(name: str, datasets: list[str], scale: Scale) -> list[Cell]:
    return SCORE_TABLES[name](scale).list_cells(datasets, scale)


def _assemble_score_table(name: str, at: Workplace) -> Outcome:
    table = assemble_table(SCORE_TABLES[name](at.scale), at)
    said = [text for compare in sentences.COMPARISONS[name] for text in compare(table)]
    plot = pictures.plot_sizes if table.over_size else pictures.plot_scores
    draw = partial(plot, table=table)
    return Outcome(
        table.title, markdown.format_score_table(table), said, csv_files.list_scores(table), to_json(table), draw
    )


CONVERGENCE_TEXT = (
    "Training has converged at the first step whose held-out loss is within 5 % of the lowest of the run. The loss "
    "is the mean squared error to the cloned actions: for all rows, the data's actions in held-out rows; for pairs, "
    "the teacher's actions in held-out states. *Of* is the number of steps of the whole run. *Seconds* is the time "
    "until convergence on this machine, without compilations and without the measurements of the loss."
)


def _assemble_table_4(at: Workplace) -> Outcome:
    lines = assemble_convergence(at)
    return Outcome(
        "Table 4: steps until convergence",
        f"{CONVERGENCE_TEXT}\n\n{markdown.format_convergence(lines)}",
        sentences.compare_convergence(lines),
        csv_files.list_convergence(lines),
        {"lines": to_json(lines)},
        partial(pictures.plot_convergence, lines=lines) if lines else None,
    )


CURVE_TEXT = (
    "The score of students over the outer steps. Each point has two students, with five episodes each. The band is the "
    "range over distillation seeds."
)


def _assemble_figure_1(at: Workplace) -> Outcome:
    curves = assemble_curves(at)
    return Outcome(
        "Figure 1: return over outer steps",
        f"{CURVE_TEXT}\n\n{markdown.format_curves(curves)}",
        sentences.compare_curves(curves),
        csv_files.list_curves(curves),
        {"curves": to_json(curves)},
        partial(pictures.plot_return_curves, curves=curves) if curves else None,
    )


POSTURE_TEXT = (
    "The simulator is set to each state and takes one environment step with the state's action. The error of the "
    "height and of the angle of the torso is its distance from the posture in which episodes start. Intervals are "
    "95 % bootstrap intervals over states; the change is measured for each state."
)


def _assemble_figure_2(at: Workplace) -> Outcome:
    lines = assemble_postures(at)
    return Outcome(
        "Figure 2: distilled states, and the states one step later",
        f"{POSTURE_TEXT}\n\n{markdown.format_postures(lines)}",
        sentences.compare_postures(lines),
        csv_files.list_postures(lines),
        {"lines": to_json(lines)},
        partial(pictures.plot_postures, lines=lines) if lines else None,
        _list_renderings(at),
    )


DISCOUNTS = TheorySettings().discounts


def _assemble_theory(at: Workplace) -> Outcome:
    found = [at.records.get(TheoryCell(gamma).name) for gamma in DISCOUNTS]
    measured = tuple(DiscountResult.from_json(record) for record in found if record is not None)
    result = TheoryResult(measured) if measured else None
    return Outcome(
        "Theory: the theorems on random MDPs",
        theorems.THEORY_TEXT if result is None else f"{theorems.THEORY_TEXT}\n\n{theorems.format_theory(result)}",
        [] if result is None else theorems.compare_theory(result),
        "" if result is None else theorems.list_theory(result),
        {"discounts": to_json(measured)},
        None if result is None else partial(plot_theory, result=result),
    )


def _list_renderings(at: Workplace) -> dict[str, Callable[[Path], object]]:
    """Pictures of the states of one distillate for each method and dataset."""
    found: dict[str, Callable[[Path], object]] = {}
    for label, source in at.sources.items():
        for method in POSED if has_posture(source.env_id) else ():
            cell = DistillCell(label, method)
            if cell.name in at.records:
                found[f"{label}-{method}"] = partial(render_states, at.place(cell) / "distillate.safetensors")
    return found


TARGETS: Mapping[str, Target] = {
    **{
        name: Target(partial(_list_table_cells, name), partial(_assemble_score_table, name))
        for name in ("table1", "table2", "table3")
    },
    "table4": Target(list_convergence_cells, _assemble_table_4),
    "table5": Target(partial(_list_table_cells, "table5"), partial(_assemble_score_table, "table5")),
    "figure1": Target(list_curve_cells, _assemble_figure_1),
    "figure2": Target(list_posture_cells, _assemble_figure_2),
    "theory": Target(lambda datasets, scale: [TheoryCell(gamma) for gamma in DISCOUNTS], _assemble_theory, False),
    "baselines": Target(
        partial(_list_table_cells, "baselines"), partial(_assemble_score_table, "baselines"), of_paper=False
    ),
}
"""By name: those of the paper in its order, then the baselines of its field."""
ALL = "all"


def select_targets(name: str) -> dict[str, Target]:
    """The target with a name; all of the paper's for ``all``."""
    return {one: target for one, target in TARGETS.items() if one == name or (name == ALL and target.of_paper)}


def describe_datasets(at: Workplace) -> str:
    """The table of the datasets and their teachers, as Markdown."""
    return markdown.format_datasets([describe_dataset(label, at) for label in at.sources])
