"""Scores in a world model: estimates of returns without the environment."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from potstill.environments.references import Reference
from potstill.environments.rollouts import Act
from potstill.evaluation.statistics import summarise
from potstill.networks.mlp import Params, apply_mlp
from potstill.runtime.files import JsonObject
from potstill.students.ensemble import Students
from potstill.teachers.base import NetworkTeacher
from potstill.worlds.base import World
from potstill.worlds.dynamics import Dynamics
from potstill.worlds.returns import compute_imagined_returns, find_episode_limit, measure_imagined_returns
from potstill.worlds.stepper import WorldStepper

TEACHER_EPISODES = 20  # of each teacher that is judged


def score_imagined(
    world: World, students: Students, reference: Reference, *, episodes: int, seed: int, teacher: Act | None = None
) -> JsonObject:
    """Score students, and the teacher if given, in a world model.

    The scores may be far from the true returns if a policy visits states unlike those of the data.

    Returns:
        ``student`` and ``teacher``: summaries, see :func:`~potstill.evaluation.statistics.summarise`; ``best``: the
        index of the student with the highest mean; ``horizon``: the horizon of the model, in steps.
    """
    count = len(students)
    returns = measure_imagined_returns(world, students.act_separately, count * episodes, seed=seed).reshape(
        count, episodes
    )
    found: JsonObject = {
        "student": summarise(returns, reference),
        "best": int(np.argmax(returns.mean(axis=1))),
        "horizon": world.horizon,
    }
    if teacher is not None:
        found["teacher"] = summarise(
            measure_imagined_returns(world, teacher, max(10, episodes), seed=seed)[None], reference
        )
    return found


@dataclass(frozen=True)
class TeacherJudge:
    """Estimates the returns of teachers in a world model.

    Args:
        world: the model.
        reference: the returns that count as 0 and 100.
        seed: seed of the first states.
    """

    world: World
    reference: Reference
    seed: int = 0

    def __call__(self, teacher: NetworkTeacher) -> JsonObject:
        """Measure the returns of a teacher with continuous actions in 20 episodes.

        Returns:
            ``mean`` and ``iqm``, the interquartile mean, of normalised returns; the 95 % ``interval`` of the latter;
            and ``raw_mean``, the mean in the units of the data's rewards.
        """
        world, stepper = self.world, WorldStepper(self.world)
        stepper.reset(self.seed * TEACHER_EPISODES + np.arange(TEACHER_EPISODES))
        normalisers = [
            (jnp.asarray(one.mean), jnp.asarray(one.scale)) for one in (world.normaliser, teacher.normaliser)
        ]
        returns = run_in_world(
            world.dynamics,
            teacher.policy.layers,
            normalisers,
            jnp.asarray(stepper.states),
            steps=find_episode_limit(world),
            terminates=world.terminates,
            actions=len(world.action_bounds),
        )
        summary = summarise(np.asarray(returns, float)[None], self.reference)
        return {
            "interval": summary["interval"],
            "iqm": summary["iqm"],
            "mean": summary["mean"],
            "raw_mean": summary["raw_mean"],
        }

    def describe(self, scores: JsonObject, label: str) -> str:
        """One line about the scores of a teacher."""
        low, high = scores["interval"]
        return (
            f"in the world model: {label} {scores['mean']:.1f}, interquartile mean {scores['iqm']:.1f} "
            f"[{low:.1f}, {high:.1f}]; the model is accurate for {self.world.horizon} steps"
        )


@functools.partial(jax.jit, static_argnames=("steps", "terminates", "actions"))
def run_in_world(
    dynamics: Dynamics,
    layers: Params,
    normalisers: list[tuple[Array, Array]],
    states: Float[Array, "L S"],
    *,
    steps: int,
    terminates: bool,
    actions: int,
) -> Float[Array, " L"]:
    """Returns of a policy in a world model, as :func:`~potstill.worlds.measure_imagined_returns` measures them.

    The layers are an argument, so that all teachers of a training share one compiled loop.

    Args:
        dynamics: the arrays of the model.
        layers: of the policy's network.
        normalisers: mean and scale of the model's states and of the policy's.
        states: first states, standardised.
        steps: time limit of an episode.
        terminates: whether episodes can terminate.
        actions: number of action components.
    """
    (mean, scale), (own_mean, own_scale) = normalisers

    def act(x: Float[Array, "L S"]) -> Float[Array, "L A"]:
        return jnp.tanh(apply_mlp(layers, (x * scale + mean - own_mean) / own_scale)[..., :actions])

    return compute_imagined_returns(dynamics, act, states, steps, terminates)
