"""Scores of the teachers from which distillates are made. Retention is relative to them.

The method is the number of episodes. The returns of some teachers vary too much for the ten episodes of
``potstill distill``. ``choices`` refers to 50 episodes, ``bounds`` to 20, all others to 100.
"""

from __future__ import annotations

import potstill
from benchmarks.experiments.distilling import shorten_summary
from benchmarks.files import BUNDLED, FILES, Workspace, find_teacher_hash
from benchmarks.grid import Cell, Experiment, Record, make_product
from potstill.evaluation.scores import TEACHER_SEED, measure_policy_returns
from potstill.evaluation.statistics import summarise

EPISODES = {"100 episodes": 100, "50 episodes": 50, "20 episodes": 20}
CHOICES_FILES = (BUNDLED, "hopper-medium-replay", "halfcheetah-medium-replay")


def describe_inputs(cell: Cell) -> Record:
    """The teacher and its episodes."""
    return {"teacher": find_teacher_hash(cell.file), "episodes": EPISODES[cell.method]}


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Roll out the teacher."""
    teacher = potstill.load_teacher(workspace.find_teacher(cell.file))
    env_id = str(teacher.metadata["env_id"])
    returns = measure_policy_returns(
        teacher.policy, env_id, 2 if workspace.toy else EPISODES[cell.method], TEACHER_SEED
    )
    return {"teacher": shorten_summary(summarise(returns, env_id))}


EXPERIMENT = Experiment(
    "fixed-teachers",
    "scores of the teachers that are distilled",
    (
        *make_product(("100 episodes", "20 episodes"), FILES, (0,)),
        *make_product(("50 episodes",), CHOICES_FILES, (0,)),
    ),
    describe_inputs,
    measure,
    frozenset({"teacher"}),
    toy=(Cell("50 episodes", BUNDLED),),
)
