"""The value that a student loses in rollouts in a world model.

An objective of single actions counts what one action loses if the teacher acts ever after. Here the student acts for H
steps in a world model, from states of the batch:

    J(π, s) = Σ_{t<H} γᵗ r_t + γᴴ q*(s_H, π*(s_H)),    loss(s) = max(J(π*, s) − J(π, s), 0) / σ_q        (1)

with q* the minimum over the teacher's critics, σ_q the standard deviation of the values over the dataset, and no value
after a termination. The teacher is rolled out from the same states with the same members of the model. For H = 1 and
critics that agree with the model, (1) is the Q-gap. The loss is differentiated through the student and the model, so it
includes where an error leads. Sources: H-step returns of a model with a value at the end, Feinberg et al. 2018 (MVE);
their gradient through the model, Heess et al. 2015 (SVG).
"""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from potstill.distillation.objectives.base import StateTable
from potstill.distillation.solvers.base import StudentPolicy
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_finite, check_ranges
from potstill.teachers.base import Teacher
from potstill.worlds.base import World
from potstill.worlds.dynamics import predict_by_member


@check_arguments
@dataclass(frozen=True, eq=False)
class RolloutGap:
    """The mean over states of (1), times ``weight``: what a student loses against the teacher in H steps of a model.

    Args:
        world: the model. Row i of the states has member i, modulo the number of members.
        steps: H.
        states: number of states of a batch from which rollouts start.
        weight: factor on the loss.
        discount: γ of the teacher's critics.
        noise: largest standard deviation of the noise on actions. Each rollout draws its own, uniformly from 0. The
            noise of the teacher and of the student is the same.

    Raises:
        PotstillError: a field has a wrong type or is out of range; or, when it is called, there is no teacher.

    Example:
        >>> import numpy as np, potstill
        >>> from potstill.worlds import WorldSettings, train_world
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(600))
        >>> world = train_world(data, WorldSettings(members=1, width=8, layers=2, steps=2))
        >>> teacher, states = potstill.load_teacher("hopper-medium-replay"), jnp.zeros((2, 11))
        >>> best = teacher.act(states)
        >>> batch = StateTable(states, best, best, teacher.action_values(states, best).T, jnp.ones(2), jnp.ones(()))
        >>> float(RolloutGap(world, steps=3)(teacher.act, batch, teacher, jax.random.key(0)))
        0.0
    """

    world: World
    steps: int = 16
    states: int = 64
    weight: float = 1.0
    discount: float = 0.99
    noise: float = 0.0

    def __post_init__(self) -> None:
        check_ranges(self, steps=1, states=1, weight=0.0, discount=0.0, noise=0.0)
        check_finite(self, "weight", "discount", "noise")
        if self.discount > 1.0:
            raise PotstillError(f"RolloutGap.discount {self.discount}: expected at most 1")

    def __call__(
        self, student: StudentPolicy, batch: StateTable, teacher: Teacher | None, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """The loss of a student, from the first :attr:`states` rows of a batch. ``key`` determines the noise."""
        if teacher is None:
            raise PotstillError("RolloutGap requires a teacher with action values")
        starts = batch.states[: self.states]
        noise = self.draw_noise(key, len(starts), batch.teacher_actions.shape[-1]) if self.noise else None
        best = jax.lax.stop_gradient(self.compute_values(teacher.act, starts, teacher, noise))
        lost = jnp.maximum(best - self.compute_values(student, starts, teacher, noise), 0.0)
        return self.weight * jnp.mean(lost) / batch.value_scale

    def draw_noise(self, key: PRNGKeyArray, count: int, size: int) -> Float[Array, "H B A"]:
        """Draw the noise on the actions of ``count`` rollouts, with ``size`` components."""
        spread, draw = jax.random.split(key)
        spreads = self.noise * jax.random.uniform(spread, (count, 1))
        return spreads * jax.random.normal(draw, (self.steps, count, size))

    def compute_values(
        self, act: StudentPolicy, states: Float[Array, "B S"], teacher: Teacher, noise: Float[Array, "H B A"] | None
    ) -> Float[Array, " B"]:
        """Compute J of (1) for a policy, in units of return.

        Args:
            act: the policy, from states as the teacher standardises them to actions in [−1, 1].
            states: first states, standardised in the same way.
            teacher: its critics give the values of the last states.
            noise: added to the actions of each of H steps.
        """
        own, outer, world = self.world.normaliser, teacher.normaliser, self.world

        def advance(
            at: tuple[Float[Array, "B S"], Bool[Array, " B"]], step: Int[Array, ""]
        ) -> tuple[tuple[Float[Array, "B S"], Bool[Array, " B"]], Float[Array, " B"]]:
            inner, alive = at
            actions = act(outer(own.invert(inner)))
            if noise is not None:
                actions = jnp.clip(actions + noise[step], -1.0, 1.0)
            after = predict_by_member(world.dynamics, inner, actions, world.terminates)
            return (after.states, alive & ~after.terminated), jnp.where(alive, after.rewards, 0.0)

        start = own(outer.invert(states)), jnp.ones(len(states), bool)
        (last, alive), rewards = jax.lax.scan(advance, start, jnp.arange(self.steps))
        ends = outer(own.invert(last))
        values = teacher.action_values(ends, teacher.act(ends)).min(axis=0)
        factors = self.discount ** jnp.arange(self.steps, dtype=rewards.dtype)
        return factors @ rewards + self.discount**self.steps * jnp.where(alive, values, 0.0)
