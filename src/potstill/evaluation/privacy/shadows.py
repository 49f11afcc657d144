"""Shadow distillations: short distillations of random halves of the episodes, whose members are known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int

from potstill.data.bounds import DiscreteActions
from potstill.data.scaling import Scaling
from potstill.data.transitions import Transitions
from potstill.distillation.initial_states import InitialStates, make_initial_pairs
from potstill.distillation.objectives.base import ObjectiveFunction, StateTable
from potstill.distillation.outer_step import find_labeller, initialise_outer, make_update
from potstill.distillation.schedule import Schedule
from potstill.distillation.settings import OuterSettings
from potstill.distillation.solvers.base import Solver
from potstill.distillation.state_table import take_rows
from potstill.students.training import Pairs
from potstill.teachers.base import Teacher

CANARY_ROWS = 20  # of a canary
CANARY_NOISE = 0.05  # standard deviation of a canary's states around its centre
BEYOND = 1.2  # distance of a canary from the mean state, relative to the 99th percentile of the data's distances
INITIAL_ROWS = 8192  # rows that the initial pairs are chosen from
STREAM = 9_000  # shadows have the seeds from here


@dataclass(frozen=True)
class ShadowProblem:
    """What shadows distil, and how: the parts of the distillation that is audited."""

    table: StateTable
    """All rows, canaries last."""
    bounds: Int[np.ndarray, " n"]
    """The first row of each episode and canary, then the number of rows."""
    teacher: Teacher | None
    objective: ObjectiveFunction | None
    """``None``: pairs are the initial ones."""
    solver: Solver
    settings: OuterSettings
    choose_initial: InitialStates
    initial_actions: str
    size: int
    """N, the number of pairs."""
    steps: int
    """Outer steps of a shadow."""

    @property
    def count(self) -> int:
        """The number of episodes and canaries."""
        return len(self.bounds) - 1


def draw_members(shadows: int, episodes: int, rng: np.random.Generator) -> Bool[np.ndarray, "K E"]:
    """Draw the members of each shadow. Each episode is in exactly half of the shadows.

    >>> draw_members(4, 3, np.random.default_rng(0)).sum(axis=0).tolist()
    [2, 2, 2]
    """
    ranks = np.argsort(rng.random((shadows, episodes)), axis=0)
    return ranks < shadows // 2


def distil_shadows(
    problem: ShadowProblem,
    inside: Bool[np.ndarray, "K E"],
    seed: int,
    show: Callable[[int], object] = lambda done: None,
) -> Iterator[Pairs]:
    """Distil each shadow from the rows of its members.

    All shadows have equally many rows, so that one compiled step serves all: those of the smallest one; the others
    lose a random part of their rows.

    Args:
        problem: the data and the parts.
        inside: the members of each shadow.
        seed: determines rows, initial pairs and batches.
        show: called with the number of finished shadows.
    """
    lengths = np.diff(problem.bounds)
    rows = int((inside * lengths).sum(axis=1).min())
    settings = dataclasses.replace(problem.settings, widths=(), average=0.0, polish=0)
    update = None
    if problem.objective is not None and problem.steps:
        update = make_update(problem.objective, problem.solver, problem.teacher, settings)
    labeller = find_labeller(settings, problem.teacher)
    for number, members in enumerate(inside):
        rng = np.random.default_rng((STREAM, seed, number))
        chosen = rng.permutation(np.flatnonzero(np.repeat(members, lengths)))[:rows]
        few = take_rows(problem.table, jnp.asarray(chosen[: max(INITIAL_ROWS, problem.size)]))
        actions = "data" if problem.initial_actions == "data" else "teacher"
        pairs = make_initial_pairs(few, problem.size, problem.choose_initial, actions=actions, rng=rng)  # type: ignore[arg-type]
        if update is not None:
            table, schedule = take_rows(problem.table, jnp.asarray(chosen)), Schedule(problem.steps)
            state, key = initialise_outer(pairs, settings), jax.random.key(STREAM + seed * 1000 + number)
            for step in range(1, problem.steps + 1):
                rate = settings.learning_rate * schedule.compute_rate(step)
                state, _ = update(state, table, jax.random.fold_in(key, step), rate)
            pairs = state.learned.make_pairs(labeller)
        show(number + 1)
        yield pairs


def make_canaries(data: Transitions, scaling: Scaling, count: int, rng: np.random.Generator) -> Transitions:
    """Make canaries: episodes far from the data, each around a random state, with random actions.

    The centre of a canary is 1.2 times as far from the mean state as 99 % of the data's states, in standardised units.
    """
    sample = data.observations[np.linspace(0, len(data) - 1, min(len(data), 10_000)).astype(int)]
    norms = np.linalg.norm(scaling.normaliser(sample), axis=1)
    directions = rng.normal(size=(count, data.state_size))
    centres = directions / np.linalg.norm(directions, axis=1, keepdims=True) * BEYOND * np.quantile(norms, 0.99)
    states = np.repeat(centres, CANARY_ROWS, axis=0)
    states = states + CANARY_NOISE * rng.normal(size=states.shape)
    observations = scaling.normaliser.invert(states).astype(np.float32)
    bounds = data.action_bounds
    actions = bounds.draw_uniform(rng, len(states))
    actions = bounds.to_vectors(actions) if isinstance(bounds, DiscreteActions) else actions
    ends = np.arange(len(states)) % CANARY_ROWS == CANARY_ROWS - 1
    columns = {
        "observations": observations,
        "actions": actions.astype(np.float32),
        "rewards": np.zeros(len(states), np.float32),
        "next_observations": observations,
        "terminations": np.zeros(len(states), np.bool_),
        "truncations": ends,
    }
    return Transitions.of(columns, data.action_bounds, name="canaries", finite=True)
