"""Solvers for students of Adam: how near they are to trained networks, and what students of their pairs earn.

Every cell is one ``potstill distill`` for PyTorch-style students, on the states of the dataset, with the teacher of the
highest return. The solver is then compared with networks that are trained on two sets of pairs: the initial ones, which
are k-means states with the teacher's actions, and the distilled ones. Distances are mean squared distances of actions
in [−1, 1], summed over the components, on states of the dataset.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

import potstill
from benchmarks.experiments.distilling import TOY, select_student_scores, shorten_summary, strip_folders
from benchmarks.experiments.parts import TOY_RECIPE, distill_options
from benchmarks.files import BUNDLED, Workspace, find_teacher_hash
from benchmarks.grid import Cell, Experiment, Record, make_product
from potstill.distillation import SOLVERS, Solver, build_state_table, make_initial_pairs
from potstill.runtime.files import read_json
from potstill.students import Pairs, train_students
from potstill.teachers.base import NetworkTeacher, load_teacher

METHODS = ("drawn", "interpolation")
FILES = ("hopper-medium-replay", "walker2d-medium", "halfcheetah-medium-expert")
SEEDS = (0, 1, 2)
COUNTS: dict[str, Any] = {"students": 5, "episodes": 5, "curve_points": 1}
NETWORKS = 4  # trained networks, and drawn kernels, whose actions are averaged
STATES = 3000  # states of the dataset on which actions are compared
RECIPE = potstill.RECIPES["pytorch"]
USE = "highest-return"


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Distil, record the returns of students, and compare the solver with trained networks."""
    data, teacher = workspace.find_dataset(cell.file), workspace.find_teacher(cell.file, USE)
    recipe = TOY_RECIPE if workspace.toy else RECIPE
    options = {"solver": cell.method, "recipe": recipe, **COUNTS}
    options = (
        distill_options({**options, **TOY}, toy=True) | {"recipe": recipe}
        if workspace.toy
        else distill_options(options)
    )
    out = workspace.find_folder(cell.file, cell.method, cell.seed)
    run = potstill.distill(data, teacher=teacher, seed=cell.seed, out=out, force=True, **options)
    result, distillate = read_json(Path(run) / "result.json"), potstill.load(run)
    known, rows = load_teacher(teacher), potstill.load_dataset(data)
    table = build_state_table(rows, known)
    rng = np.random.default_rng(cell.seed)
    initial = make_initial_pairs(table, len(distillate), rng=rng)
    index = jnp.asarray(rng.choice(len(table.states), min(STATES, len(table.states)), replace=False))
    states, wanted = table.states[index], table.teacher_actions[index]
    distances = {
        name: compare(pairs, states, wanted, SOLVERS[cell.method](recipe), known)
        for name, pairs in {"initial": initial, "distilled": distillate.pairs}.items()
    }
    command = strip_folders(str(distillate.metadata["command"]))
    found = {**select_student_scores(result), "teacher": shorten_summary(result["teacher"])}
    return {**found, "distances": distances, "seconds": result["seconds"]["distilling"], "command": command}


def compare(pairs: Pairs, states: Array, wanted: Array, solver: Solver, teacher: NetworkTeacher) -> Record:
    """Compare the solver, averaged over keys, with trained networks: distances to their mean and to the teacher."""
    students = train_students(pairs, range(NETWORKS), solver.recipe, teacher.policy.scaling)
    observations = teacher.normaliser.invert(np.asarray(states))
    each = np.stack([students.make_policy(i).compute_unit_actions(observations) for i in range(NETWORKS)])
    solve = jax.jit(solver)
    solved = np.mean([solve(pairs, states, jax.random.key(i)) for i in range(NETWORKS)], axis=0)
    mean = each.mean(axis=0)
    return {
        "solver to networks": measure_distance(solved, mean),
        "network to networks": float(np.mean([measure_distance(one, mean) for one in each])),
        "solver to teacher": measure_distance(solved, np.asarray(wanted)),
        "network to teacher": float(np.mean([measure_distance(one, np.asarray(wanted)) for one in each])),
    }


def measure_distance(a: np.ndarray, b: np.ndarray) -> float:
    """The mean over states of the squared distance of two actions."""
    return float(np.square(a - b).sum(axis=-1).mean())


def describe_inputs(cell: Cell) -> Record:
    """Options of the distillation and of the students, and the teacher's hash."""
    counts = {**COUNTS, "networks": NETWORKS, "states": STATES}
    return {"solver": cell.method, "student": RECIPE.to_metadata(), "counts": counts} | {
        "teacher": find_teacher_hash(cell.file, USE)
    }


EXPERIMENT = Experiment(
    "fitted-students",
    "solvers for students of Adam against trained networks",
    make_product(METHODS, FILES, SEEDS),
    describe_inputs,
    measure,
    frozenset({"student", "ensemble", "teacher", "distances", "seconds", "command"}),
    extra=make_product(METHODS, (BUNDLED,), SEEDS),
    toy=(Cell("interpolation", BUNDLED),),
)
