"""States visited by the teacher and the students in rollouts, for the outer loss.

By Theorem 2, the return that a student loses is an expectation over the states that the student itself visits. The
states of a dataset were visited by other policies. Here the teacher is rolled out first and then, every few outer
steps, the current student (as the solver computes it). The rollouts have noisy actions and run in a world model or in
any other stepper. The teacher labels the visited states, as in DAgger (Ross et al. 2011).

A student that falls early would visit early states only. In half of its episodes the teacher therefore acts first, for
a random number of steps, and only the later states count. DAgger mixes the teacher into the student's episodes for a
similar reason, step by step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from potstill.distillation.objectives.base import StateTable
from potstill.distillation.solvers.base import Solver
from potstill.distillation.state_table import evaluate_teacher
from potstill.environments.rollouts.stepper import Stepper
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.students.training import Pairs
from potstill.teachers.base import NetworkTeacher

UnitAct = Callable[[Float[Array, "B S"]], Float[Array, "B A"]]
"""A policy from standardised states to actions in [−1, 1]."""


@check_arguments
@dataclass(frozen=True)
class VisitSettings:
    """Settings of the rollouts that collect visits.

    Raises:
        PotstillError: a field has a wrong type or is out of range.

    Example:
        >>> VisitSettings(lanes=16, horizon=200, every=0).student_noise
        0.15
    """

    lanes: int = 64
    """Number of episodes in each rollout, which run in parallel."""
    horizon: int = 500
    """Largest number of steps in an episode."""
    every: int = 120
    """Outer steps between two rollouts of the current student. 0: only the teacher is rolled out."""
    teacher_noise: float = 0.3
    """Largest standard deviation of the noise on the teacher's actions. Each lane draws its own, uniformly from 0."""
    student_noise: float = 0.15
    """The same for the students' actions."""
    led: float = 0.5
    """Share of the students' episodes in which the teacher acts first, without noise, for a number of steps that is
    uniform below the horizon."""
    rows: int = 60_000
    """Rows of the state table. All rollouts have equal shares of them."""
    opening: float = 0.2
    """Share of the rows of a rollout that come from the first :attr:`opening_steps` steps of its episodes. A student
    that fails there never reaches the other states."""
    opening_steps: int = 20
    """Number of steps that count as the opening."""

    def __post_init__(self) -> None:
        check_ranges(self, lanes=1, horizon=1, every=0, teacher_noise=0.0, student_noise=0.0, rows=1)
        check_ranges(self, opening=0.0, opening_steps=1, led=0.0)
        if self.opening > 1.0:
            raise PotstillError(f"VisitSettings.opening {self.opening}: expected a share, at most 1")
        if self.led >= 1.0:
            raise PotstillError(f"VisitSettings.led {self.led}: expected a share below 1")

    @property
    def led_lanes(self) -> int:
        """The number of lanes in which the teacher acts first. They are the last ones."""
        return int(self.led * self.lanes)


@check_arguments
@dataclass
class Visits:
    """The states visited so far. It is mutable: use a new object for each run.

    Args:
        stepper: the environments to roll policies out in, such as a :class:`~potstill.worlds.WorldStepper`.
        teacher: the policy that is rolled out first and labels all states.
        settings: lengths, noise and sizes.
        seed: seed of the initial states, the noise and the rows.

    Raises:
        PotstillError: the teacher's actions are discrete, or the seed is negative.

    Example:
        >>> import numpy as np, potstill
        >>> from potstill.worlds import WorldSettings, WorldStepper, train_world
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(600))
        >>> world = train_world(data, WorldSettings(members=1, width=8, layers=2, steps=2))
        >>> teacher = potstill.load_teacher("hopper-medium-replay")
        >>> visits = Visits(WorldStepper(world), teacher, VisitSettings(lanes=2, horizon=3, rows=8))
        >>> visits.roll_out(teacher.act, noise=0.1)
        >>> visits.rollouts[0].shape[1], 0.0 <= visits.survived[0] <= 1.0
        (11, True)
    """

    stepper: Stepper
    teacher: NetworkTeacher
    settings: VisitSettings = field(default_factory=VisitSettings)
    seed: int = 0
    rollouts: list[Float[np.ndarray, "V S"]] = field(default_factory=list)
    """Standardised states visited in each rollout."""
    survived: list[float] = field(default_factory=list)
    """Share of the lanes of each rollout that reached the horizon."""

    def __post_init__(self) -> None:
        check_ranges(self, seed=0)
        if self.teacher.policy.action_bounds.discrete:
            raise PotstillError(
                "Visits: rollouts add noise to continuous actions, but those of the teacher are discrete"
            )

    @functools.cached_property
    def _teacher_act(self) -> UnitAct:
        """The teacher as a compiled function, which all rollouts share."""
        return jax.jit(self.teacher.act)

    def start(self, table: StateTable) -> StateTable:
        """Roll out the teacher; return the visited states as a table with the value scale of ``table``.

        Further calls return the same table, and so does a call with the rollouts of an interrupted run.
        """
        if not self.rollouts:
            self.roll_out(self._teacher_act, self.settings.teacher_noise)
        return self.build_table(table)

    def is_due(self, step: int) -> bool:
        """Whether the student is rolled out after this outer step."""
        return bool(step and self.settings.every) and step % self.settings.every == 0

    def extend(self, table: StateTable, solver: Solver, pairs: Pairs) -> StateTable:
        """Roll out the student of the current pairs; return all visited states as a table of the same size."""
        settings, number = self.settings, len(self.rollouts)
        key = jax.random.fold_in(jax.random.key(self.seed), number)
        led = np.zeros(settings.lanes, int)
        drawn = np.random.default_rng([self.seed, number, 2]).integers(settings.horizon, size=settings.led_lanes)
        led[settings.lanes - settings.led_lanes :] = drawn
        self.roll_out(solver.make_policy(pairs, key), settings.student_noise, led)
        return self.build_table(table)

    def roll_out(self, act: UnitAct, noise: float, led: Int[np.ndarray, " L"] | None = None) -> None:
        """Roll a policy out with noise on its actions, and add the states that it visits.

        Args:
            act: the policy.
            noise: largest standard deviation of the noise, in units in which the action bounds are ±1.
            led: number of steps of each lane in which the teacher acts first. These states are not added. Default: 0.
        """
        settings, scaling = self.settings, self.teacher.policy.scaling
        led = np.zeros(settings.lanes, int) if led is None else led
        number = len(self.rollouts)
        rng = np.random.default_rng([self.seed, number])
        size = (settings.lanes, len(scaling.action_bounds))
        spread = rng.uniform(0.0, noise, (settings.lanes, 1))
        seeds = 1_000_003 * (self.seed + 1) + settings.lanes * number + np.arange(settings.lanes)
        observations, active = self.stepper.reset(seeds), np.arange(settings.lanes)
        visited = []
        for step in range(settings.horizon):
            states = scaling.normaliser(observations.astype(np.float32))
            visited.append(states[active[led[active] <= step]])
            unit = np.asarray(act(jnp.asarray(states))) + spread * rng.standard_normal(size)
            if (led > step).any():
                unit = np.where((led > step)[:, None], self._teacher_act(jnp.asarray(states)), unit)
            unit = np.clip(unit, -1.0, 1.0)
            steps = self.stepper.step(active, scaling.action_bounds.from_unit(unit)[active])
            observations[active] = steps.observations
            active = active[~(steps.terminated | steps.truncated)]
            if not len(active):
                break
        self.rollouts.append(np.concatenate(visited).astype(np.float32))
        self.survived.append(len(active) / settings.lanes)

    def build_table(self, table: StateTable) -> StateTable:
        """Draw the same number of states from each rollout, and evaluate the teacher in them."""
        rng = np.random.default_rng([self.seed, len(self.rollouts), 1])
        shares = np.diff(np.linspace(0, self.settings.rows, len(self.rollouts) + 1).astype(int)).tolist()
        lanes = [self.settings.lanes - (self.settings.led_lanes if number else 0) for number in range(len(shares))]
        drawn = [self._draw_states(*rollout, rng) for rollout in zip(self.rollouts, shares, lanes, strict=True)]
        states = jnp.asarray(np.concatenate(drawn))
        actions, values = evaluate_teacher(states, self.teacher)
        return StateTable(states, actions, actions, values, jnp.ones(len(states)), table.value_scale)

    def _draw_states(
        self, states: Float[np.ndarray, "V S"], count: int, lanes: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Draw states of a rollout, the share ``opening`` of them from its first steps. States are in order of time.

        ``lanes`` lanes are counted from their first step; the few early states of the others are counted with them.
        """
        settings = self.settings
        early = round(count * settings.opening)
        opening = states[: lanes * settings.opening_steps]
        return np.concatenate(
            [part[rng.integers(len(part), size=n)] for part, n in ((opening, early), (states, count - early))]
        )
