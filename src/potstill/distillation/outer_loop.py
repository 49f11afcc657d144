"""The outer loop: from a state table and a teacher to N pairs."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from potstill.distillation.labels import fix_actions
from potstill.distillation.objectives.base import ObjectiveFunction, StateTable
from potstill.distillation.objectives.rollout import RolloutGap
from potstill.distillation.outer_step import (
    Learned,
    OuterState,
    Update,
    find_labeller,
    initialise_outer,
    make_outer_optimiser,
    make_update,
)
from potstill.distillation.private import PrivateGradients, find_public_scale
from potstill.distillation.schedule import Schedule
from potstill.distillation.settings import OuterSettings
from potstill.distillation.solvers.base import Solver
from potstill.distillation.stages import make_stages
from potstill.distillation.visits import Visits
from potstill.errors import PotstillError
from potstill.runtime import devices
from potstill.runtime.arguments import check_arguments
from potstill.students.training import Pairs
from potstill.teachers.base import Teacher

DEFAULT_SETTINGS = OuterSettings()


class LoopState(NamedTuple):
    """The outer loop after a step: all that it needs to continue, apart from the schedule.

    The next step donates these arrays; copy them to keep them.
    """

    outer: OuterState
    mean: Learned
    """The average of the last iterates, if the settings ask for one; otherwise the last iterate."""
    step: int = 0
    """The number of steps taken."""
    stage: int = 0
    """The number of the stage."""
    before: int = 0
    """The number of steps before the stage, if the stage counts its own."""
    visits: Visits | None = None
    """The visits so far, if there are any."""


class Iterate(NamedTuple):
    """The result of an outer step; :func:`optimise_pairs` yields one after each step.

    >>> Iterate(step=0, pairs=Pairs(jnp.zeros((4, 2)), jnp.zeros((4, 1))), metrics={}).pairs.states.shape
    (4, 2)
    """

    step: int
    """The number of steps taken; 0 for the initial pairs."""
    pairs: Pairs
    """The pairs, averaged over the last iterates if ``average`` is set."""
    metrics: dict[str, Array]
    """``loss`` and ``gradient_norm``; empty for the initial pairs."""
    state: LoopState | None = None
    """The state to resume from, until the next step is taken; ``None`` for the initial pairs."""


@check_arguments
def optimise_pairs(
    pairs: Pairs,
    table: StateTable,
    teacher: Teacher | None,
    *,
    objective: ObjectiveFunction | None,
    solver: Solver,
    schedule: Schedule,
    settings: OuterSettings = DEFAULT_SETTINGS,
    visits: Visits | None = None,
    rollout: RolloutGap | None = None,
    private: PrivateGradients | None = None,
    resume: LoopState | None = None,
    key: PRNGKeyArray,
) -> Iterator[Iterate]:
    """Run the outer loop: optimise pairs for an objective, as a generator.

    Args:
        pairs: the initial pairs, see :func:`~potstill.distillation.initial_states.make_initial_pairs`.
        table: the dataset's states, see :func:`~potstill.distillation.state_table.build_state_table`.
        teacher: evaluated in states with noise; ``None`` for objectives without a teacher.
        objective: what to minimise. With ``None``, only the initial pairs are yielded.
        solver: maps pairs to a student's actions.
        schedule: learning rates and number of steps. Use a new object for each run.
        settings: all other settings.
        visits: rollouts of the teacher and the students. Their states replace those of ``table`` in the loss.
        rollout: what students lose in rollouts in a world model, which is added to the objective.
        private: makes the steps differentially private. The initial pairs must then not depend on the data.
        resume: the state of an interrupted loop with the same arguments, schedule and visits.
        key: determines the batches, the noise and the students' initialisations.

    Raises:
        PotstillError: the teacher labels the pairs, but there is none; or the steps cannot be private.

    Yields:
        The initial pairs (step 0), then the pairs and metrics after each outer step.

    Example:
        >>> import jax, numpy as np, potstill, potstill.distillation as still
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(2000))
        >>> teacher = potstill.load_teacher("hopper-medium-replay")
        >>> table = still.build_state_table(data, teacher)
        >>> pairs = still.make_initial_pairs(table, 16, rng=np.random.default_rng(0))
        >>> parts = {"objective": still.PolicyCloning(), "solver": still.KernelDescent(), "schedule": Schedule(steps=2)}
        >>> [iterate.step for iterate in optimise_pairs(pairs, table, teacher, **parts, key=jax.random.key(0))]
        [0, 1, 2]
    """
    labeller = find_labeller(settings, teacher)
    pairs = _label(pairs, labeller, fixed=settings.labels == "fixed" and solver.recipe.loss == "cross-entropy")
    if resume is None:
        schedule.observe(0, pairs)
        yield Iterate(0, pairs, {})
    if objective is None:
        return
    table = _prepare_table(table, teacher, private, schedule, settings, visits, rollout)
    make = functools.partial(make_update, objective, teacher=teacher, rollout=rollout, private=private)
    compiled = functools.cache(make)
    start, table, key = _start(pairs, table, key, settings, resume)
    _fit_budget(schedule, compiled(solver=solver, settings=settings), (start, table, key), settings)
    yield from _take_steps(start, table, key, solver, schedule, settings, compiled, visits, labeller)


def _start(
    pairs: Pairs, table: StateTable, key: PRNGKeyArray, settings: OuterSettings, resume: LoopState | None
) -> tuple[LoopState, StateTable, PRNGKeyArray]:
    """Start with the initial pairs, or where an interrupted loop stopped. All arrays are copied to all devices."""
    outer = resume.outer if resume else initialise_outer(pairs, settings)
    outer, table, key = devices.place((outer, table, key), devices.find_all_devices())
    return resume._replace(outer=outer) if resume else LoopState(outer, outer.learned), table, key


def _prepare_table(
    table: StateTable,
    teacher: Teacher | None,
    private: PrivateGradients | None,
    schedule: Schedule,
    settings: OuterSettings,
    visits: Visits | None,
    rollout: RolloutGap | None,
) -> StateTable:
    """Add the visited states; with private gradients, replace what depends on the rows of several episodes."""
    if private is None:
        return table if visits is None else visits.start(table)
    private.check_loop(table, schedule)
    if visits is not None or rollout is not None or settings.polish:
        raise PotstillError("private gradients have neither visits, nor rollouts in a world model, nor a polish")
    table = table._replace(weights=jnp.ones_like(table.weights))  # they were divided by their mean, which rounds
    return table if teacher is None else table._replace(value_scale=find_public_scale(teacher))


def _label(pairs: Pairs, labeller: Teacher | None, *, fixed: bool) -> Pairs:
    """Label the initial pairs: by the labeller, or by the most probable of their discrete actions if ``fixed``."""
    actions = fix_actions(pairs.actions) if fixed else pairs.actions
    return pairs._replace(actions=actions if labeller is None else labeller.act(pairs.states))


def _fit_budget(
    schedule: Schedule, update: Update, inputs: tuple[LoopState, StateTable, PRNGKeyArray], settings: OuterSettings
) -> None:
    """Time the first step of a new loop, on a copy, because an update donates its input."""
    (start, table, key), rate = inputs, settings.learning_rate
    if start.step:
        return
    schedule.fit_budget(lambda: jax.block_until_ready(update(jax.tree.map(jnp.copy, start.outer), table, key, rate)))


def _take_steps(
    start: LoopState,
    table: StateTable,
    key: PRNGKeyArray,
    solver: Solver,
    schedule: Schedule,
    settings: OuterSettings,
    compiled: Callable[..., Update],
    visits: Visits | None,
    labeller: Teacher | None,
) -> Iterator[Iterate]:
    """Take all outer steps, stage by stage. ``compiled`` returns the update for a solver and settings."""
    mesh, to_pairs = devices.find_all_devices(), functools.partial(Learned.make_pairs, labeller=labeller)
    total = (schedule.steps or 0) + settings.polish
    first = total - math.ceil(settings.average * total) + 1 if settings.average else math.inf  # iterate in the average
    state, mean, step, *_ = start
    for number, stage in enumerate(make_stages(solver, schedule, settings)):
        if number < start.stage:
            continue
        before = start.before if number == start.stage else 0
        if stage.resets and number > start.stage:
            fresh = make_outer_optimiser(stage.settings).init(state.learned)
            state = state._replace(optimiser=devices.place(fresh, mesh))
            before = step
        update = compiled(solver=stage.solver, settings=stage.settings)
        while stage.schedule.continues(step + 1 - before) and (stage.last is None or step < stage.last):
            if visits is not None and visits.is_due(step):
                student = to_pairs(devices.localise(state.learned))
                table = devices.place(visits.extend(table, stage.solver, student), mesh)
            step += 1
            rate = stage.settings.learning_rate * stage.schedule.compute_rate(step - before)
            state, metrics = update(state, table, jax.random.fold_in(key, step), rate)
            newest = devices.localise(state.learned)
            share = 1.0 / max(1.0, step - first + 1)
            mean = newest if step <= first else jax.tree.map(lambda m, x, s=share: m + s * (x - m), mean, newest)
            stage.schedule.observe(step - before, to_pairs(newest))
            yield Iterate(step, to_pairs(mean), metrics, LoopState(state, mean, step, number, before, visits))
