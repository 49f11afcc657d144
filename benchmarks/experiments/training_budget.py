"""How long networks must be trained to earn the return of the best teachers, with as many states as they can use.

A distillate is for students that are trained for a second or two. Here networks of the recipe ``pytorch`` are trained
by Adam on batches of 256 of up to 60,000 states with the teacher's actions: the states of the dataset, or those that
the teacher visits in the environment with noisy actions, as it does in a world model (``--states imagined``). Where
they earn little after a student's 1,000 updates, and the teacher's return after many more, neither states nor labels
are missing: a student's training is too short for the precision that the teacher's behaviour needs.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

import potstill
from benchmarks.experiments.bounds import label_states
from benchmarks.experiments.cloning import train_clones
from benchmarks.experiments.distilling import shorten_summary
from benchmarks.experiments.parts import TOY_RECIPE
from benchmarks.files import BUNDLED, FILES, Workspace, find_teacher_hash
from benchmarks.grid import Cell, Experiment, Record, make_product
from potstill.data.transitions import Transitions
from potstill.distillation import Visits, VisitSettings, build_state_table
from potstill.environments.rollouts.playing import make_stepper
from potstill.evaluation.scores import measure_policy_returns, measure_student_returns
from potstill.evaluation.statistics import summarise
from potstill.networks.mlp import Params
from potstill.students.recipe import RECIPES
from potstill.students.training import Pairs, compute_mean_actions
from potstill.teachers.base import NetworkTeacher, load_teacher

METHODS = ("data", "visits")
UPDATES = (1_000, 5_000, 20_000)
STATES, HELD_OUT, BATCH = 60_000, 4_000, 256
CLONES, EPISODES, TEACHER_EPISODES = 3, 5, 10
CLONE_SEED, TEACHER_SEED = 400, 401  # seeds of the episodes' initial states
VISITS = VisitSettings(horizon=1_000, every=0, rows=STATES + HELD_OUT)
USE = "highest-return"


def find_pairs(method: str, data: Transitions, teacher: NetworkTeacher, toy: bool) -> Pairs:
    """Find standardised states in random order, with the teacher's actions."""
    rng = np.random.default_rng(0)
    if method == "data":
        return label_states(data, teacher, rng.permutation(len(data))[: STATES + HELD_OUT])
    settings = VisitSettings(lanes=2, horizon=5, every=0, rows=80) if toy else VISITS
    visits = Visits(make_stepper(str(data.env_id), settings.lanes), teacher, settings)
    table = visits.start(build_state_table(data, teacher))
    order = rng.permutation(len(table.states))
    return Pairs(table.states[order], table.teacher_actions[order])


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Train networks for each number of updates; measure their returns and their distance to the teacher."""
    data = potstill.load_dataset(workspace.find_dataset(cell.file))
    teacher = load_teacher(workspace.find_teacher(cell.file, USE))
    scaling, env_id = teacher.policy.scaling, str(data.env_id)
    pairs = find_pairs(cell.method, data, teacher, workspace.toy)
    held = min(HELD_OUT, len(pairs.states) // 2)
    rows = Pairs(pairs.states[held:], pairs.actions[held:])
    recipe, counts = (TOY_RECIPE, (5, 10)) if workspace.toy else (RECIPES["pytorch"], UPDATES)
    networks, episodes = (1, 1) if workspace.toy else (CLONES, EPISODES)

    def find_distance(params: Params) -> float:
        found = compute_mean_actions(params, pairs.states[:held], rows.actions.shape[1])
        return float(jnp.mean(jnp.sum((found - pairs.actions[:held]) ** 2, axis=-1)))

    budgets = {}
    for updates in counts:
        clones = train_clones(rows, recipe, scaling, networks, updates=updates, batch=BATCH, decay=True)
        returns = measure_student_returns(clones, env_id, episodes, CLONE_SEED)
        distances = [find_distance(jax.tree.map(lambda leaf: leaf[i], clones.params)) for i in range(networks)]  # noqa: B023
        budgets[str(updates)] = {
            "student": shorten_summary(summarise(returns, env_id)),
            "distance": float(np.mean(distances)),
        }
    own = measure_policy_returns(teacher.policy, env_id, 1 if workspace.toy else TEACHER_EPISODES, TEACHER_SEED)
    return {"budgets": budgets, "teacher": shorten_summary(summarise(own, env_id))}


def describe_inputs(cell: Cell) -> Record:
    """Return the teacher and the budgets."""
    budget = {"states": STATES, "held_out": HELD_OUT, "batch": BATCH, "updates": list(UPDATES), "clones": CLONES}
    return {"teacher": find_teacher_hash(cell.file, USE), "recipe": "pytorch", **budget}


DECLARED = (
    *make_product(METHODS, ("halfcheetah-medium-expert",), (0,)),
    *make_product(("visits",), ("hopper-medium", "walker2d-medium-expert"), (0,)),
)
EXPERIMENT = Experiment(
    "training-budget",
    "returns over the number of updates, of networks trained on as many states as they can use",
    DECLARED,
    describe_inputs,
    measure,
    frozenset({"budgets", "teacher"}),
    extra=tuple(cell for cell in make_product(METHODS, (*FILES, BUNDLED), (0,)) if cell not in DECLARED),
    toy=(Cell("data", BUNDLED), Cell("visits", BUNDLED)),
)
