"""Table 4: steps and seconds until training converges, on the whole dataset and on distillates of it."""

from __future__ import annotations

import numpy as np

from potstill.commands.paper.cells import Cell, CloneCell, DistillCell, StudentsCell, TeacherCell, TraceCell
from potstill.commands.paper.measuring import Workplace
from potstill.commands.paper.methods import METHODS
from potstill.commands.paper.scales import Scale
from potstill.commands.paper.tables import collect_scores, make_score
from potstill.reports.paper.numbers import DISTILLED_STEPS_4, STEPS_4, find_number
from potstill.reports.paper.schema import Convergence
from potstill.students.cloning import CloningSettings

TRACED = ("paper-av-pbc", "potstill")


def list_convergence_cells(datasets: list[str], scale: Scale) -> list[Cell]:
    """The cells of Table 4: a run of each way to train, and the students at its end."""
    found: list[Cell] = []
    for label in datasets:
        found += [TeacherCell(label), *(CloneCell(label, seed) for seed in range(scale.seeds))]
        for method in TRACED:
            distilled = [DistillCell(label, method, seed=seed) for seed in range(scale.seeds)]
            found += [*map(TraceCell, distilled), *map(StudentsCell, distilled)]
    return found


def assemble_convergence(at: Workplace) -> list[Convergence]:
    """The lines of Table 4, of each dataset."""
    found = []
    for label, source in at.sources.items():
        seeds = range(at.scale.seeds)
        clones: list[Cell] = [CloneCell(label, seed) for seed in seeds]
        paper = find_number(STEPS_4, source.column)
        batch = CloningSettings.batch
        found.append(_assemble(at, "bc", "BC on all rows", label, (source.rows, batch), clones, clones, paper))
        for method in TRACED:
            distilled = [DistillCell(label, method, seed=seed) for seed in seeds]
            traces, played = list(map(TraceCell, distilled)), list(map(StudentsCell, distilled))
            steps = DISTILLED_STEPS_4 if METHODS[method].group == "paper" and source.column else None
            name = f"{METHODS[method].label}, {distilled[0].size} pairs"
            sizes = (distilled[0].size, distilled[0].size)
            found.append(_assemble(at, method, name, label, sizes, [*traces], [*played], steps))
    return [line for line in found if line is not None]


def _assemble(
    at: Workplace,
    key: str,
    name: str,
    label: str,
    sizes: tuple[int, int],
    traces: list[Cell],
    played: list[Cell],
    paper: float | None,
) -> Convergence | None:
    """One line, from the seeds that were measured; ``None``: none was."""
    records = [at.records[cell.name] for cell in traces if cell.name in at.records]
    if not records:
        return None
    scores, teacher = collect_scores(played, label, at), collect_scores([TeacherCell(label)], label, at)
    mean = None if teacher is None else float(teacher.mean())
    return Convergence(
        key,
        name,
        label,
        *sizes,
        steps=float(np.mean([record["converged"] for record in records])),
        updates=records[0]["updates"],
        seconds=float(np.mean([record["until"] for record in records])),
        lowest=float(np.mean([min(loss for _, loss in record["losses"]) for record in records])),
        score=None if scores is None else make_score(scores, mean, at.records[TeacherCell(label).name]),
        paper=paper,
        losses=[[(step, loss) for step, loss in record["losses"]] for record in records],
    )
