"""The returns of teachers in a world model: the option ``--world`` of ``potstill teach``."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from potstill.config import TeachConfig
from potstill.data.transitions import Transitions
from potstill.environments.references import Reference, find_reference_returns
from potstill.errors import PotstillError, name_option
from potstill.evaluation.statistics import summarise
from potstill.networks.mlp import Params, apply_mlp
from potstill.runtime.files import JsonObject
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.rows import has_returns
from potstill.worlds.base import World, load_world
from potstill.worlds.dynamics import Dynamics
from potstill.worlds.returns import compute_imagined_returns, find_episode_limit
from potstill.worlds.settings import LEAST_HORIZON
from potstill.worlds.stepper import WorldStepper

EPISODES = 20  # of each teacher
KEPT = ("mean", "iqm", "interval", "raw_mean")  # of a summary


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
        """The mean return of a teacher, its interquartile mean with its 95 % interval, and the mean raw return."""
        world, stepper = self.world, WorldStepper(self.world)
        stepper.reset(self.seed * EPISODES + np.arange(EPISODES))
        normalisers = [
            (jnp.asarray(one.mean), jnp.asarray(one.scale)) for one in (world.normaliser, teacher.normaliser)
        ]
        returns = play(
            world.dynamics,
            teacher.policy.layers,
            normalisers,
            jnp.asarray(stepper.states),
            steps=find_episode_limit(world),
            terminates=world.terminates,
            actions=len(world.action_bounds),
        )
        summary = summarise(np.asarray(returns, float)[None], self.reference)
        return {name: summary[name] for name in sorted(KEPT)}  # type: ignore[literal-required]

    def describe(self, scores: JsonObject, label: str) -> str:
        """One line about the scores of a teacher."""
        low, high = scores["interval"]
        return (
            f"in the world model: {label} {scores['mean']:.1f}, interquartile mean {scores['iqm']:.1f} "
            f"[{low:.1f}, {high:.1f}]; the model is accurate for {self.world.horizon} steps"
        )


@functools.partial(jax.jit, static_argnames=("steps", "terminates", "actions"))
def play(
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


def load_judge(config: TeachConfig, data: Transitions) -> TeacherJudge | None:
    """Load the world model of the config, if it has one.

    Raises:
        PotstillError: the model is of another dataset, or is not accurate for long enough to compare teachers.
    """
    if config.world is None:
        return None
    world = load_world(config.world)
    world.check_dataset(data.content_hash, data.name)
    if not has_returns(data):
        raise PotstillError(
            f"{name_option('world', str(config.world))}: returns cannot compare teachers of {data.name}"
        )
    if world.horizon < LEAST_HORIZON:
        raise PotstillError(
            f"{name_option('world', str(config.world))}: the model is accurate for {world.horizon} steps; comparing "
            f"teachers requires {LEAST_HORIZON}: train without it, or train a better model (potstill model --steps)"
        )
    return TeacherJudge(world, find_reference_returns(data.env_id, data.card), config.seed)
