"""A comparison of objectives, weights, initial pairs and solvers: variants × distillation seeds.

Every cell is one ``potstill distill``, with four episodes of each of ten students and ten of their ensemble. In all
variants, states have no noise and, unless the name states otherwise, uniform weights, and pairs stay within the action
bounds. Variants therefore differ only in the settings in their names.
"""

from __future__ import annotations

from typing import Any

from benchmarks.experiments.distilling import distil, select_student_scores, shorten_summary
from benchmarks.files import BUNDLED, Workspace, find_teacher_hash
from benchmarks.grid import Cell, Experiment, Record, make_product

Options = dict[str, Any]
EVALUATION: Options = {"students": 10, "episodes": 4, "curve_points": 1}
COMMON: Options = {"weighting": "uniform", "state_noise": 0.0, "action_limit": 1.0, "initial": "random"}
KERNEL: Options = {**COMMON, "solver": "kernel", "recipe": "plain", "objective": "q-gap", "steps": 150}
WEIGHTINGS = ("ranged", "density", "discounted", "early")
WIDE: Options = {**KERNEL, "recipe": "wide"}
AV_PBC: Options = {"objective": "av-pbc", "weighting": "ranged"}
UNROLL: Options = {**COMMON, **AV_PBC, "solver": "unroll", "recipe": "paper", "steps": 30, "batch": 2560} | {
    "learning_rate": 0.03
}
PAPER: Options = {**UNROLL, "optimiser": "sgd", "learning_rate": 0.1, "initial_actions": "data"}


# The variants of the main table, and then those of other pages.
MAIN: dict[str, Options] = {
    "q-gap": KERNEL,
    "q-gap, initial states by k-means": {**KERNEL, "initial": "k-means"},
    "av-pbc clipped": {**KERNEL, "objective": "av-pbc", "weighting": "clipped"},
    "av-pbc ranged": {**KERNEL, **AV_PBC},
    "av-pbc reference": {**KERNEL, "objective": "av-pbc", "weighting": "reference"},
    "pbc": {**KERNEL, "objective": "pbc"},
    "dbc": {**KERNEL, "objective": "dbc"},
    "random": {**KERNEL, "objective": "random"},
    "q-gap, 300 steps": {**KERNEL, "steps": 300},
    "q-gap, 75 steps": {**KERNEL, "steps": 75},
    "q-gap, learning rate 0.03": {**KERNEL, "learning_rate": 0.03},
    "q-gap, initial actions from the data": {**KERNEL, "initial_actions": "data"},
    "q-gap, sgd outside": {**KERNEL, "optimiser": "sgd"},
    "q-gap, kernel for the paper recipe": {**KERNEL, "recipe": "paper"},
    "q-gap, students start at zero": {**KERNEL, "student": {"initialisation": "antisymmetric"}},
    "q-gap, students take 300 steps": {**KERNEL, "student": {"steps": 300}},
    "q-gap, students 512 wide": {**KERNEL, "student": {"width": 512}},
    "wide students, q-gap": WIDE,
    "wide students, pbc": {**WIDE, "objective": "pbc"},
    "wide students, av-pbc ranged": {**WIDE, **AV_PBC},
    "unroll, paper (sgd outside)": PAPER,
    "unroll, adam outside": UNROLL,
    "unroll, adam outside, sampled students": {**UNROLL, "recipe": "reference"},
    "unroll, adam outside, momentum students": {**UNROLL, "recipe": "plain"},
    "unroll, adam outside, momentum students, q-gap": {**UNROLL, "recipe": "plain", "objective": "q-gap"}
    | {"weighting": "uniform"},
}
VARIANTS: dict[str, Options] = MAIN | {
    "q-gap, batch 4096": {**KERNEL, "batch": 4096},
    **{f"q-gap, weights {name}": {**KERNEL, "weighting": name} for name in WEIGHTINGS},
    "q-gap by the mean of the critics": {**KERNEL, "objective": "q-gap-mean"},
    "q-gap by each critic": {**KERNEL, "objective": "q-gap-each"},
    "wide students, q-gap, initial states by k-means": {**WIDE, "initial": "k-means"},
    "q-gap, initial states diverse": {**KERNEL, "initial": "diverse"},
    "q-gap, learned weights": {**KERNEL, "learn": "weights"},
    "q-gap, learned step size": {**KERNEL, "learn": "step-size"},
    "q-gap, average of the last quarter": {**KERNEL, "average": 0.25},
    "q-gap, chosen by students": {**KERNEL, "choose": "students"},
}
HOPPER, HALFCHEETAH = "hopper-medium-replay", "halfcheetah-medium-replay"
SEEDS: dict[str, dict[str, int]] = {
    BUNDLED: {
        **dict.fromkeys(("q-gap", "q-gap, learning rate 0.03"), 4),
        **dict.fromkeys(("q-gap, initial states by k-means", "q-gap, 300 steps", "q-gap, 75 steps"), 3),
        **dict.fromkeys(("pbc", "av-pbc clipped", "av-pbc ranged", "q-gap, batch 4096"), 3),
        **dict.fromkeys(("wide students, q-gap", "wide students, pbc", "wide students, av-pbc ranged"), 3),
        "wide students, q-gap, initial states by k-means": 0,
    },
    HOPPER: {
        **dict.fromkeys(("q-gap", "q-gap, initial states by k-means"), 4),
        "wide students, q-gap, initial states by k-means": 3,
        "q-gap, average of the last quarter": 2,
        **dict.fromkeys(("q-gap, batch 4096", "q-gap, learned weights", "q-gap by each critic"), 1),
        "q-gap, weights density": 1,
    },
    HALFCHEETAH: dict.fromkeys(("q-gap", "q-gap, initial states by k-means"), 2),
}
"""Number of seeds of each variant, by file. On the bundled dataset the default is 1."""


def describe_inputs(cell: Cell) -> Record:
    """Options, counts and the teacher's hash."""
    return {"options": {**VARIANTS[cell.method], **EVALUATION}, "teacher": find_teacher_hash(cell.file)}


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Distil, and record the returns of students of the pairs (of real pairs if the objective is ``random``)."""
    result = distil(cell, {**VARIANTS[cell.method], **EVALUATION}, workspace)
    seconds = {"seconds": result["seconds"]["distilling"]}
    if VARIANTS[cell.method]["objective"] == "random":
        return {**seconds, "student": shorten_summary(result["random"])}
    return {**seconds, "held_out_loss": result["curve"][-1]["held_out_loss"], **select_student_scores(result)}


def make_cells(file: str) -> tuple[Cell, ...]:
    """The cells of a file."""
    usual = dict.fromkeys(VARIANTS, 1) if file == BUNDLED else {}
    counts = usual | SEEDS[file]
    return tuple(cell for method, count in counts.items() for cell in make_product((method,), (file,), range(count)))


EXPERIMENT = Experiment(
    "choices",
    "objectives, weights, initial pairs and solvers on the bundled dataset and two of the nine files",
    (*make_cells(BUNDLED), *make_cells(HOPPER), *make_cells(HALFCHEETAH)),
    describe_inputs,
    measure,
    frozenset({"student", "seconds"}),
    toy=(Cell("random", BUNDLED),),
)
