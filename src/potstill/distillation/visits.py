"""States that the teacher and the students visit, as the states of the outer loss.

By Theorem 2, the return that a student loses is an expectation over the states that the student itself visits. A
dataset's states are those of other policies. Here the teacher walks first, then, every few outer steps, the current
student (as the solver computes it). Both take noisy actions, in a world model or in any other stepper; the teacher
labels the states. This is DAgger (Ross et al. 2011) on the way to the pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from potstill.distillation.objectives.base import StateTable
from potstill.distillation.solvers.base import Solver
from potstill.distillation.state_table import evaluate_teacher
from potstill.environments.rollouts.stepper import Stepper
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges, check_types
from potstill.students.training import Pairs
from potstill.teachers.base import NetworkTeacher

UnitAct = Callable[[Float[Array, "B S"]], Float[Array, "B A"]]
"""A policy from standardised states to actions in [−1, 1]."""


@check_arguments
@dataclass(frozen=True)
class VisitSettings:
    """How visits are collected.

    Raises:
        PotstillError: a field has a wrong type or is out of range.
    """

    lanes: int = 64
    """Number of episodes in each walk."""
    horizon: int = 500
    """Longest episode, in steps."""
    every: int = 30
    """Outer steps between two walks of the current student. 0: only the teacher walks."""
    teacher_noise: float = 0.3
    """Largest standard deviation of the noise on the teacher's actions. Each lane draws its own, uniformly from 0."""
    student_noise: float = 0.15
    """The same for the students' actions."""
    rows: int = 60_000
    """Rows of the state table. Every walk has the same share of them."""

    def __post_init__(self) -> None:
        check_types(self)
        check_ranges(self, lanes=1, horizon=1, every=0, teacher_noise=0.0, student_noise=0.0, rows=1)


@check_arguments
@dataclass
class Visits:
    """The visits so far. It is mutable: use a new object for each run.

    Args:
        stepper: the environments to walk in, such as a :class:`~potstill.worlds.WorldStepper`.
        teacher: walks first, and labels all states.
        settings: lengths, noise and sizes.
        seed: chooses initial states, noise and rows.
    """

    stepper: Stepper
    teacher: NetworkTeacher
    settings: VisitSettings = field(default_factory=VisitSettings)
    seed: int = 0
    walks: list[Float[np.ndarray, "V S"]] = field(default_factory=list)
    """Standardised states of each walk."""
    survived: list[float] = field(default_factory=list)
    """Share of the lanes of each walk that reached the horizon."""

    def start(self, table: StateTable) -> StateTable:
        """Roll out the teacher; return the visited states as a table on the scale of the dataset's ``table``.

        Calling it again returns the same table.
        """
        if not self.walks:
            self.walk(jax.jit(self.teacher.act), self.settings.teacher_noise)
        return self.build_table(table)

    def is_due(self, step: int) -> bool:
        """Whether the student is rolled out after this outer step."""
        return bool(step and self.settings.every) and step % self.settings.every == 0

    def extend(self, table: StateTable, solver: Solver, pairs: Pairs) -> StateTable:
        """Roll out the student of the current pairs; return all visited states as a table of the same size."""
        key = jax.random.fold_in(jax.random.key(self.seed), len(self.walks))
        self.walk(solver.policy(pairs, key), self.settings.student_noise)
        return self.build_table(table)

    def walk(self, act: UnitAct, noise: float) -> None:
        """Roll a policy out with noise on its actions, and add the visited states."""
        settings, scaling = self.settings, self.teacher.policy.scaling
        number = len(self.walks)
        rng = np.random.default_rng([self.seed, number])
        size = (settings.lanes, len(scaling.action_bounds))
        spread = rng.uniform(0.0, noise, (settings.lanes, 1))
        seeds = 1_000_003 * (self.seed + 1) + settings.lanes * number + np.arange(settings.lanes)
        observations, active = self.stepper.reset(seeds), np.arange(settings.lanes)
        visited = []
        for _ in range(settings.horizon):
            states = scaling.normaliser(observations.astype(np.float32))
            visited.append(states[active])
            unit = np.clip(np.asarray(act(jnp.asarray(states))) + spread * rng.standard_normal(size), -1.0, 1.0)
            steps = self.stepper.step(active, scaling.action_bounds.from_unit(unit)[active])
            observations[active] = steps.observations
            active = active[~(steps.terminated | steps.truncated)]
            if not len(active):
                break
        self.walks.append(np.concatenate(visited).astype(np.float32))
        self.survived.append(len(active) / settings.lanes)

    def build_table(self, table: StateTable) -> StateTable:
        """Draw the same number of rows from each walk and evaluate the teacher there."""
        rng = np.random.default_rng([self.seed, len(self.walks), 1])
        shares = np.diff(np.linspace(0, self.settings.rows, len(self.walks) + 1).astype(int))
        drawn = [walk[rng.integers(len(walk), size=n)] for walk, n in zip(self.walks, shares, strict=True)]
        states = jnp.asarray(np.concatenate(drawn))
        actions, values = evaluate_teacher(states, self.teacher)
        return StateTable(states, actions, actions, values, jnp.ones(len(states)), table.value_scale)
