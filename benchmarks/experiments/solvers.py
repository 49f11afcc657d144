"""A comparison of solvers by the returns of students. ``solver-steps`` measures the cost of an outer step.

Every cell is one ``potstill distill``, with three episodes of each of eight students and ten of their ensemble.
"""

from __future__ import annotations

from typing import Any

from benchmarks.experiments.choices import COMMON
from benchmarks.experiments.distilling import distil, select_student_scores
from benchmarks.files import BUNDLED, Workspace, find_teacher_hash
from benchmarks.grid import Cell, Experiment, Record, make_product

Options = dict[str, Any]
BASE: Options = {**COMMON, "objective": "q-gap", "recipe": "plain", "steps": 150}
EVALUATION: Options = {"students": 8, "episodes": 3, "curve_points": 1}
FEW: Options = {"steps": 60, "batch": 512}  # for a solver whose steps are expensive
VARIANTS: dict[str, Options] = {
    "kernel": {},
    "lazy students": {"student": {"initialisation": "antisymmetric", "output_gain": 2.0, "learning_rate": 0.03}},
    "ridge": {"solver": "ridge"},
    "features": {"solver": "features"},
    "kernel, drawn start": {"solver": "kernel", "solver_fields": {"initialisation": "drawn"}},
    "empirical": {"solver": "empirical", **FEW},
    "kernel, then 20 steps of the unroll": {"polish": 20},
}


def describe_inputs(cell: Cell) -> Record:
    """Options, counts and the teacher's hash."""
    return {"options": {**BASE, **VARIANTS[cell.method], **EVALUATION}, "teacher": find_teacher_hash(cell.file)}


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Distil, and record the returns of students of the pairs."""
    options = {**BASE, **VARIANTS[cell.method], **EVALUATION}
    result = distil(cell, options, workspace)
    return {"seconds": result["seconds"]["distilling"], **select_student_scores(result)}


EXPERIMENT = Experiment(
    "solvers",
    "returns of students trained on the pairs of each solver",
    (
        *make_product(VARIANTS, (BUNDLED,), (0,)),
        *make_product(("kernel", "lazy students", "ridge"), (BUNDLED,), (1,)),
        *make_product(("kernel", "ridge", "features"), ("halfcheetah-medium-replay",), (0,)),
    ),
    describe_inputs,
    measure,
    frozenset({"student", "ensemble", "seconds"}),
    toy=(Cell("kernel, drawn start", BUNDLED),),
)
