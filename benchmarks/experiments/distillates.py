"""Distillates of the nine files: methods × files × distillation seeds, with one fixed teacher for each file.

Every cell is one ``potstill distill``, with ten episodes of each of ten students and ten of their ensemble.
The default settings were chosen by returns on these files, mostly with seed 0.
"""

from __future__ import annotations

from typing import Any

from benchmarks.experiments.distilling import distil, select_student_scores, shorten_summary
from benchmarks.files import BUNDLED, FILES, Workspace, find_teacher_hash
from benchmarks.grid import Cell, Experiment, Record, make_product

MAIN = ("default", "paper-recipe")
METHODS: dict[str, dict[str, Any]] = {
    "default": {},
    "paper-recipe": {"recipe": "paper"},
    # One part of the default removed or replaced at a time.
    "plain-students": {"recipe": "plain"},
    "towers": {"recipe": "towers"},
    "all-states": {"weighting": "uniform", "state_noise": 0.0},
    "even-weights": {"weighting": "uniform"},
    "random-start": {"initial": "random"},
    "data-actions": {"initial_actions": "data"},
    "pbc": {"objective": "pbc"},  # with the states of the Q-gap: see STATES_OF_Q_GAP
    "av-pbc": {"objective": "av-pbc"},
    "sgd-outside": {"optimiser": "sgd", "steps": 150},
    "600-steps": {"steps": 600},
    "further-pairs": {"action_limit": 2.0},
    # The paper's recipe without the defaults that potstill adds.
    "paper-within-bounds": {"recipe": "paper", "action_limit": 1.0},
    "paper-less-noise": {"recipe": "paper", "state_noise": 0.2},
    # Other numbers of pairs.
    "16-pairs": {"size": 16},
    "64-pairs": {"size": 64},
    "1024-pairs": {"size": 1024},
}
ABLATION = (
    "plain-students",
    "towers",
    "all-states",
    "even-weights",
    "random-start",
    "data-actions",
    "pbc",
    "av-pbc",
    "sgd-outside",
    "600-steps",
    "further-pairs",
)
PAPER_VARIANTS = ("paper-within-bounds", "paper-less-noise")
SIZES = {16: "16-pairs", 64: "64-pairs", 256: "default", 1024: "1024-pairs"}
# The Q-gap's default weighting and noise for a file, which PBC gets as options. No episode of HalfCheetah terminates.
Q_GAP_STATES: dict[bool, dict[str, Any]] = {
    True: {"weighting": "opening", "state_noise": 0.2},
    False: {"weighting": "occupancy", "state_noise": 0.1},
}
WITH_NOISE = tuple(file for file in FILES if not file.startswith("halfcheetah"))  # HalfCheetah's default is 0.2


def make_options(method: str, file: str) -> dict[str, Any]:
    """The options of ``potstill distill`` for a cell."""
    chosen = METHODS[method]
    if method == "pbc":
        chosen = chosen | Q_GAP_STATES[not file.startswith("halfcheetah")]
    return chosen if method in MAIN else chosen | {"curve_points": 1}  # no page shows the other curves


def describe_inputs(cell: Cell) -> Record:
    """Options and the teacher's hash."""
    return {"options": make_options(cell.method, cell.file), "teacher": find_teacher_hash(cell.file)}


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Distil, and record the returns of students of the pairs."""
    result = distil(cell, make_options(cell.method, cell.file), workspace)
    seconds = {name: result["seconds"][name] for name in ("distilling", "training")}
    found = {
        **select_student_scores(result),
        "random": shorten_summary(result["random"], returns=False),
        "seconds": seconds,
    }
    if cell.method in MAIN:
        names = ("step", "seconds", "student", "ensemble")
        found["curve"] = [{name: point[name] for name in names} for point in result["curve"]]
    return {**found, "sha256": result["sha256"], "command": result["command"]}


CELLS = (
    *make_product(MAIN, FILES, (0, 1, 2)),
    *make_product(ABLATION, FILES, (0,)),
    *make_product(("even-weights",), ("walker2d-medium-expert",), (1, 2)),
    *make_product(("paper-within-bounds",), FILES, (0,)),
    *make_product(("paper-less-noise",), WITH_NOISE, (0,)),
    *make_product(tuple(name for name in SIZES.values() if name != "default"), FILES, (0,)),
)
EXPERIMENT = Experiment(
    "distillates",
    "distillates of the nine files: the default, parts of it removed, numbers of pairs",
    CELLS,
    describe_inputs,
    measure,
    frozenset({"student", "ensemble", "random", "seconds", "sha256", "command"}),
    extra=make_product(METHODS, (BUNDLED,), (0, 1, 2)),
    toy=(Cell("16-pairs", BUNDLED),),
)
