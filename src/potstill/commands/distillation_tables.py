"""The state tables of a distillation, and the schedule and the selection of pairs that observe losses on them."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from typing import NamedTuple

import jax.numpy as jnp

from potstill.commands.resolve import Problem, resolve_weighting
from potstill.config import DistillConfig
from potstill.data.scaling import Scaling
from potstill.data.split import select_held_out_rows, select_training_rows, split_episodes
from potstill.data.transitions import Transitions
from potstill.distillation.objectives.base import StateTable
from potstill.distillation.schedule import MAX_STEPS, Schedule
from potstill.distillation.selection import CRITERIA, LATE, IterateSelection, make_held_out_loss, make_imagined_loss
from potstill.distillation.state_table import build_state_table, measure_action_deviation, take_rows
from potstill.teachers.base import NetworkTeacher
from potstill.worlds.base import World

OBSERVED_STATES = 2048  # held-out states on which the schedule observes the loss


class Tables(NamedTuple):
    """State tables of the training rows and of the held-out rows, with the same scale of values."""

    training: StateTable
    held_out: StateTable

    @classmethod
    def build(cls, problem: Problem, data: Transitions, teacher: NetworkTeacher | None) -> Tables:
        """Compute both tables, with the teacher's actions and values if there is a teacher."""
        weighting = resolve_weighting(problem.weighting)
        deviation = functools.cache(lambda: measure_action_deviation(data, teacher))  # all rows, once for both tables
        rows = (select_training_rows(len(data)), select_held_out_rows(len(data)))
        if problem.private:  # which rows of an episode are used must not depend on the other episodes
            rows = split_episodes(data.episode_bounds)
        training, held_out = (build_state_table(data, teacher, weighting, index, deviation) for index in rows)
        if problem.private and teacher is not None:  # the bounds of the data may be those of their actions
            unit = teacher.policy.action_bounds.to_unit
            training = training._replace(actions=jnp.asarray(unit(data.actions[rows[0]])))
        return cls(training, held_out._replace(value_scale=training.value_scale))

    def make_schedule(self, config: DistillConfig, problem: Problem, teacher: NetworkTeacher | None) -> Schedule:
        """Make the schedule of a config. It may observe the loss on some of the held-out states."""
        count = len(self.held_out.states)
        few = take_rows(self.held_out, jnp.arange(0, count, max(1, count // OBSERVED_STATES)))
        loss = make_held_out_loss(problem.objective, problem.solver, few, teacher)
        steps = 0 if problem.objective is None else config.given_steps
        limit = config.max_steps or MAX_STEPS
        return Schedule(steps, loss, decays=config.optimiser == "adam", budget=config.seconds, max_steps=limit)


def make_selection(
    config: DistillConfig,
    problem: Problem,
    tables: Tables,
    teacher: NetworkTeacher | None,
    world: World | None,
    scaling: Scaling,
) -> IterateSelection:
    """Make the selection of the pairs to keep, with the schedule of the loop, which begins now.

    Args:
        config: names the criterion.
        problem: the parts of the distillation.
        tables: the state tables.
        teacher: the teacher, if any.
        world: the world model of the criterion ``imagined``.
        scaling: of the pairs.
    """
    schedule = replace(tables.make_schedule(config, problem, teacher), started=time.perf_counter())
    if config.choose == "imagined":
        assert world is not None  # the problem needs one
        return IterateSelection(schedule, make_imagined_loss(world, problem.solver, scaling), first=LATE)
    criterion = CRITERIA[str(config.choose)]
    loss = criterion and criterion(problem.objective, problem.solver, tables.held_out, teacher)
    return IterateSelection(schedule, loss)
