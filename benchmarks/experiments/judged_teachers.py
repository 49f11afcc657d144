"""The policies of a training run, judged by a world model and by fitted Q-evaluation, against their returns.

These are the two estimates by which ``potstill teach`` can stop and by which ``--algorithm auto`` can select. Neither
uses the environment.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import potstill
from benchmarks.experiments.criteria import train_policies
from benchmarks.experiments.imagination import TOY_WORLD, WORLD, find_world
from benchmarks.experiments.teachers import make_options
from benchmarks.files import BUNDLED, Workspace
from benchmarks.grid import Cell, Experiment, Record, make_product
from potstill.environments.references import find_reference_returns, normalised_return
from potstill.evaluation.imagined import TEACHER_EPISODES, TeacherJudge
from potstill.evaluation.scores import measure_policy_returns
from potstill.teachers import ALGORITHMS, Training
from potstill.teachers.evaluation.fqe import make_pessimistic_evaluator
from potstill.teachers.rows import load_with_returns
from potstill.worlds import load_world

EVERY = {"rebrac": 2_500, "iql": 4_000}  # updates between two policies
POLICIES, PLAYED = 8, 10  # policies of a run, and episodes of each in the environment
FITTED_UPDATES = 2_000
ACCURATE = ("hopper-medium-replay", "hopper-medium-expert", "walker2d-medium")  # files with an accurate model


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Train; measure the returns of the policies, their returns in the model, and their pessimistic values."""
    algorithm = ALGORITHMS[cell.method](**make_options(cell.method, cell.file).get("algorithm_fields", {}))
    every, batch = (20, 16) if workspace.toy else (EVERY[cell.method], Training.batch)
    training = Training(updates=200_000, evaluate_every=every, batch=batch, seed=cell.seed)
    data = potstill.load_dataset(workspace.find_dataset(cell.file))
    policies = train_policies(algorithm, data, training, 2 if workspace.toy else POLICIES)
    env_id, reference = str(data.env_id), find_reference_returns(data.env_id, data.card)
    world = load_world(find_world(cell.file, workspace) / "world.safetensors")
    judge = TeacherJudge(world, reference, cell.seed)
    evaluate = make_pessimistic_evaluator(load_with_returns(data, training.discount), data, training)
    episodes = 1 if workspace.toy else PLAYED
    returns = [measure_policy_returns(teacher.policy, env_id, episodes, seed=0) for teacher in policies]
    return {
        "updates": [every * (k + 1) for k in range(len(policies))],
        "returns": [float(normalised_return(np.asarray(each), env_id).mean()) for each in returns],
        "imagined": [judge(teacher) for teacher in policies],
        "values": [float(evaluate(teacher, 2 if workspace.toy else FITTED_UPDATES)) for teacher in policies],
        "horizon": world.horizon,
    }


def describe_inputs(cell: Cell) -> dict[str, Any]:
    """The options of the training and of both estimates."""
    counts = {"every": EVERY[cell.method], "policies": POLICIES, "played": PLAYED, "episodes": TEACHER_EPISODES}
    options = {"options": make_options(cell.method, cell.file), "world": WORLD | {"toy": TOY_WORLD}}
    return {**options, **counts, "fitted_updates": FITTED_UPDATES}


EXPERIMENT = Experiment(
    "judged-teachers",
    "policies of training runs, judged by a world model and by fitted Q-evaluation",
    make_product(("rebrac", "iql"), ACCURATE, (0,)),
    describe_inputs,
    measure,
    frozenset({"updates", "returns", "imagined", "values", "horizon"}),
    extra=make_product(("rebrac", "iql"), ACCURATE, (1, 2)),
    toy=(Cell("iql", BUNDLED),),
)
