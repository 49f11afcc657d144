"""Baselines of the field on the nine files: the same teacher, number of pairs and students for all.

The pairs are made for the paper's student, which they train. potstill's own pairs for this student, with the same
teachers, are those of the experiment ``distillates``.
"""

from __future__ import annotations

from typing import Any

import potstill
from benchmarks.experiments.distilling import TOY, select_student_scores
from benchmarks.experiments.parts import TOY_RECIPE
from benchmarks.files import BUNDLED, FILES, Workspace, find_teacher_hash
from benchmarks.grid import Cell, Experiment, Record, make_product
from potstill.distillation.baselines import BASELINES
from potstill.evaluation.scores import score_students, train_for_evaluation
from potstill.runtime.files import to_json

METHODS: dict[str, dict[str, Any]] = {
    "random-rows": {},
    "medoids": {},
    "best-episodes": {},
    "longest-episodes": {},
    "sdr": {},
    "sdw": {},
    "gradient-matching": {},
    "distribution-matching": {},
    "trajectory-matching": {},
    "hades": {"budget": 200_000, "population": 32, "students": 1},
    "hades-from-rows": {"budget": 200_000, "population": 32, "students": 1, "begin": "rows"},
}
SHORT = {"steps": 2, "sections": 2, "section": 2, "experts": 1, "budget": 10, "population": 2, "batch": 16}  # --toy
STUDENTS, EPISODES, SIZE = 10, 10, 256
SEEDS = (0, 1, 2)
MEASURED: tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]], ...] = (
    (
        ("random-rows", "medoids", "best-episodes", "longest-episodes", "sdr", "sdw", "distribution-matching"),
        ("hopper-medium-replay",),
        (0,),
    ),
)
"""Methods, files and seeds of the cells that are measured."""


def make_options(method: str, toy: bool = False) -> dict[str, Any]:
    """The fields of a cell's baseline, apart from the recipe."""
    kind = BASELINES[find_baseline(method)]
    short = {name: value for name, value in SHORT.items() if name in kind.__dataclass_fields__}
    return METHODS[method] | (short if toy else {})


def find_baseline(method: str) -> str:
    """The name of a cell's baseline."""
    return "hades" if method.startswith("hades") else method


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Make the pairs, and train and evaluate students."""
    toy = workspace.toy
    recipe = TOY_RECIPE if toy else potstill.RECIPES["paper"]
    baseline = BASELINES[find_baseline(cell.method)](recipe=recipe, **make_options(cell.method, toy))
    data = potstill.load_dataset(workspace.find_dataset(cell.file))
    teacher = workspace.find_teacher(cell.file)
    size = TOY["size"] if toy else SIZE
    pairs = potstill.make_baseline(baseline, data, teacher, size=size, seed=cell.seed)
    students, _ = train_for_evaluation(pairs, 2 if toy else STUDENTS, cell.seed)
    scores = score_students(students, str(data.env_id), 1 if toy else EPISODES, cell.seed, pairs.reference)
    return {**select_student_scores(scores), "baseline": to_json(pairs.metadata["baseline"])}


def describe_inputs(cell: Cell) -> Record:
    """The settings of the baseline and of the evaluation, and the teacher's hash."""
    return {
        "options": make_options(cell.method),
        "students": STUDENTS,
        "episodes": EPISODES,
        "teacher": find_teacher_hash(cell.file),
    }


CELLS = tuple(cell for measured in MEASURED for cell in make_product(*measured))
ALL = make_product(METHODS, (*FILES, BUNDLED), SEEDS)
EXPERIMENT = Experiment(
    "baselines",
    "baselines of the field: selections, SDR, SDW, matching, HaDES",
    CELLS,
    describe_inputs,
    measure,
    frozenset({"student", "ensemble", "baseline"}),
    extra=tuple(cell for cell in ALL if cell not in CELLS),
    toy=make_product(("sdr",), (BUNDLED,), (0,)),
)
