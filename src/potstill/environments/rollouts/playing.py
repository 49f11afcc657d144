"""Roll out one episode in each lane, on MuJoCo's batched stepper if it supports the task."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from potstill.environments.making import find_time_limit
from potstill.environments.observations.rule import ObservationRule
from potstill.environments.rollouts.gymnasium import GymnasiumStepper
from potstill.environments.rollouts.mujoco import TASKS, MujocoStepper
from potstill.environments.rollouts.stepper import Stepper
from potstill.runtime.arguments import check_arguments

Act = Callable[[Float[np.ndarray, "L S"]], np.ndarray]
"""A policy: from the observations of all lanes [L, S] to their actions [L, A], both in the environment's units.

Discrete actions are their numbers [L].
"""
DEFAULT_STEPS = 1000  # time limit of an environment that is registered without one


def count_processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_stepper(env_id: str, lanes: int, *, batched: bool = True, rule: ObservationRule | None = None) -> Stepper:
    """Make the fastest stepper for an environment: MuJoCo's batched one if it supports the task, else Gymnasium's.

    Args:
        env_id: Gymnasium id.
        lanes: L, the number of environments.
        batched: allow MuJoCo's batched stepper.
        rule: how observations become vectors. The batched stepper is used only without one.
    """
    if batched and env_id in TASKS and rule is None:
        return MujocoStepper(env_id, count_processors())
    return GymnasiumStepper(env_id, lanes, rule)


@check_arguments
def play(
    act: Act,
    env_id: str,
    seeds: Int[np.ndarray, " L"],
    *,
    batched: bool = True,
    rule: ObservationRule | None = None,
) -> Float[np.ndarray, " L"]:
    """Roll a policy out for one episode in each of L lanes.

    An episode ends by termination, by the registered time limit, or after 1,000 steps if there is none. The policy
    always gets the observations of all lanes: a finished lane repeats its last observation, and its action is ignored.

    Args:
        act: a policy, from observations [L, S] to actions [L, A], or to numbers of discrete actions [L]. potstill's
            students, teachers and policies are such functions.
        env_id: Gymnasium id.
        seeds: the seed of each lane's initial state [L].
        batched: allow MuJoCo's batched stepper, which is several times faster and simulates the same task.
        rule: how observations become vectors, as recorded with a dataset or distillate.

    Returns:
        The undiscounted return of each lane's episode [L].

    Raises:
        PotstillError: the environment is unknown or not supported.

    Example:
        >>> returns = play(lambda observations: np.zeros((len(observations), 1)), "Pendulum-v1", np.arange(3))
        >>> returns.shape, bool((returns < 0).all())
        ((3,), True)
    """
    stepper = make_stepper(env_id, len(seeds), batched=batched, rule=rule)
    return run_episodes(act, stepper, seeds, find_time_limit(env_id) or DEFAULT_STEPS)


def run_episodes(act: Act, stepper: Stepper, seeds: Int[np.ndarray, " L"], steps: int) -> Float[np.ndarray, " L"]:
    """Roll a policy out in any stepper, such as a world model, for one episode in each of L lanes.

    Args:
        act: a policy, from observations [L, S] to actions [L, A].
        stepper: L environments that step together.
        seeds: the seed of each lane's initial state [L].
        steps: the time limit.

    Returns:
        The undiscounted return of each lane's episode [L].
    """
    observations = stepper.reset(seeds)
    returns = np.zeros(len(seeds))
    active = np.arange(len(seeds))
    for _ in range(steps):
        actions = act(observations.astype(np.float32))
        after, rewards, terminated, truncated = stepper.step(active, np.asarray(actions)[active])
        observations[active] = after
        returns[active] += rewards
        active = active[~(terminated | truncated)]
        if not len(active):
            break
    return returns
