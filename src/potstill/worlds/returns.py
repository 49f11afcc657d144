"""Returns of policies in a world model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from potstill.environments.making import find_time_limit
from potstill.environments.rollouts import Act, run_episodes
from potstill.environments.rollouts.playing import DEFAULT_STEPS
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.worlds.base import World
from potstill.worlds.dynamics import Dynamics, predict_by_member
from potstill.worlds.stepper import WorldStepper

UnitAct: TypeAlias = Callable[[Float[Array, "L S"]], Float[Array, "L A"]]
"""A policy from standardised states to actions in [−1, 1] that JAX can trace."""


def compute_imagined_returns(
    dynamics: Dynamics, act: UnitAct, states: Float[Array, "L S"], steps: int, terminates: bool = True
) -> Float[Array, " L"]:
    """Sum the rewards of L episodes in a world model: a compiled loop, unlike :func:`measure_imagined_returns`.

    Args:
        dynamics: the arrays of the model.
        act: the policy.
        states: first states, standardised. The member of episode i is i, modulo the number of members.
        steps: time limit of an episode.
        terminates: whether episodes can terminate.
    """
    Rollout: TypeAlias = tuple[Int[Array, ""], Float[Array, "L S"], Bool[Array, " L"], Float[Array, " L"]]

    def is_running(rollout: Rollout) -> Bool[Array, ""]:
        step, _, alive, _ = rollout
        return (step < steps) & alive.any()

    def advance(rollout: Rollout) -> Rollout:
        step, states, alive, returns = rollout
        after = predict_by_member(dynamics, states, act(states), terminates)
        return step + 1, after.states, alive & ~after.terminated, returns + alive * after.rewards

    alive = jnp.ones(len(states), bool)
    start = jnp.zeros((), int), states, alive, jnp.zeros(len(states), states.dtype)
    returns: Array = jax.lax.while_loop(is_running, advance, start)[-1]
    return returns


@check_arguments
def measure_imagined_returns(
    world: World, act: Act, episodes: int = 20, *, steps: int | None = None, seed: int = 0
) -> Float[np.ndarray, " E"]:
    """Measure undiscounted returns of a policy in a world model, from initial states of the data's episodes.

    The members of the model take turns, one for each episode. The model may be wrong in the states that the policy
    visits. Compare policies by these returns, but do not rely on their level (docs/how-to/worlds.md).

    Args:
        world: the model.
        act: a policy, from observations [E, S] to actions [E, A].
        episodes: E, the number of episodes.
        steps: time limit of an episode. Default: that of the environment, or 1,000.
        seed: seed of the initial states.

    Returns:
        The sum of the predicted rewards of each episode, in the units of the data's rewards.

    Raises:
        PotstillError: ``episodes`` or ``steps`` is below 1.

    Example:
        >>> import potstill
        >>> from potstill.worlds import WorldSettings, train_world
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(600))
        >>> world = train_world(data, WorldSettings(members=1, width=8, layers=2, steps=2))
        >>> policy = potstill.load_teacher("hopper-medium-replay").policy
        >>> measure_imagined_returns(world, policy, episodes=3, steps=5).shape
        (3,)
    """
    limit = steps if steps is not None else find_episode_limit(world)
    for name, value in {"episodes": episodes, "steps": limit}.items():
        if value < 1:
            raise PotstillError(f"{name} {value}: expected at least 1")
    return run_episodes(act, WorldStepper(world), seed * episodes + np.arange(episodes), limit)


def find_episode_limit(world: World) -> int:
    """Find the time limit of an episode: that of the environment if it is installed, or 1,000."""
    import gymnasium

    env_id = world.metadata["env_id"]
    try:
        return (find_time_limit(env_id) if env_id else None) or DEFAULT_STEPS
    except gymnasium.error.Error:
        return DEFAULT_STEPS
