"""The outer loop of ``potstill distill``: its initial pairs, its state table and, with imagined states, its model."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np

from potstill.commands.distillation_progress import Progress
from potstill.commands.distillation_tables import Tables
from potstill.commands.resolve import Problem
from potstill.config import DistillConfig
from potstill.distillation.initial_states import make_initial_pairs
from potstill.distillation.objectives.rollout import RolloutGap
from potstill.distillation.outer_loop import Iterate, optimise_pairs
from potstill.distillation.private import PrivateGradients, make_public_pairs
from potstill.distillation.visits import Visits
from potstill.errors import PotstillError, name_option
from potstill.teachers.base import NetworkTeacher
from potstill.worlds.base import World
from potstill.worlds.stepper import WorldStepper


def iterate_pairs(
    config: DistillConfig,
    problem: Problem,
    tables: Tables,
    teacher: NetworkTeacher | None,
    progress: Progress,
    world: World | None = None,
    private: PrivateGradients | None = None,
) -> Iterator[Iterate]:
    """Run the outer loop of a config, seeded by ``config.seed``, from the initial pairs or the last step so far."""
    rng = np.random.default_rng(config.seed)
    visits = None if world is None or teacher is None else Visits(WorldStepper(world), teacher, seed=config.seed)
    if visits is not None and progress.visited is not None:
        visits.rollouts, visits.survived = progress.visited
    if progress.last is not None:
        pairs = progress.last.pairs
    elif private is not None and teacher is not None:
        pairs = make_public_pairs(teacher, config.size, jax.random.fold_in(jax.random.key(config.seed), 0))
    else:
        table = tables.training if visits is None else visits.start(tables.training)  # pairs are chosen from it
        choose, actions = problem.choose_initial, config.initial_actions
        pairs = make_initial_pairs(table, config.size, choose, actions=actions, rng=rng)
    return optimise_pairs(
        pairs,
        tables.training,
        teacher,
        objective=problem.objective,
        solver=problem.solver,
        schedule=progress.schedule,
        settings=problem.settings,
        visits=visits,
        rollout=None if visits is None else make_rollout(config, problem, world, teacher),
        private=private,
        resume=progress.state,
        key=jax.random.key(config.seed),
    )


def make_rollout(
    config: DistillConfig, problem: Problem, world: World | None, teacher: NetworkTeacher | None
) -> RolloutGap | None:
    """Make the loss of the students' rollouts in the world model, if the config has one.

    Raises:
        PotstillError: the config asks for it, but the objective has no critics.
    """
    if not config.rollout_steps or world is None or teacher is None:
        return None
    if not getattr(problem.objective, "uses_critics", False):
        if "rollout_steps" in getattr(config, "defaulted", ()):
            return None
        raise PotstillError(
            f"{name_option('rollout_steps', config.rollout_steps)} requires an objective with critics, such as "
            "q-gap, and critics that rewards distinguish"
        )
    return RolloutGap(world, config.rollout_steps, discount=find_discount(teacher), noise=config.rollout_noise or 0.0)


def find_discount(teacher: NetworkTeacher) -> float:
    """Find the discount of a teacher's critics, or 0.99 if its metadata have none."""
    settings = teacher.metadata.get("settings")
    discount = settings.get("discount") if isinstance(settings, dict) else None
    return discount if isinstance(discount, float) and 0.0 <= discount <= 1.0 else 0.99
