"""``play``: one episode in every lane, on MuJoCo's batched stepper where it knows the task."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from potstill.environments import registry as environments

Act = Callable[[Float[np.ndarray, "L S"]], Float[np.ndarray, "L A"]]
DEFAULT_STEPS = 1000  # where the environment's registration sets no time limit


@runtime_checkable
class Stepper(Protocol):
    """L environments that step together."""

    def reset(self, seeds: Int[np.ndarray, " L"]) -> Float[np.ndarray, "L S"]:
        """Start every lane from its own seed; return the first observations."""
        ...

    def restart(self, lane: int, seed: int) -> Float[np.ndarray, " S"]:
        """Start one lane again; return its first observation."""
        ...

    def step(self, lanes: Int[np.ndarray, " n"], actions: Float[np.ndarray, "n A"]) -> tuple[Any, Any, Any, Any]:
        """Step some lanes: their observations [n, S], rewards, terminations and time-outs [n]."""
        ...


def processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_stepper(env_id: str, lanes: int, *, batched: bool = True) -> Stepper:
    """The fastest stepper that knows ``env_id``: MuJoCo's batched one, else Gymnasium's environments."""
    from potstill.environments.rollouts.gymnasium import GymnasiumStepper
    from potstill.environments.rollouts.mujoco import TASKS, MujocoStepper

    if batched and env_id in TASKS:
        return MujocoStepper(env_id, processors())
    return GymnasiumStepper(env_id, lanes)


def play(act: Act, env_id: str, seeds: Int[np.ndarray, " L"], *, batched: bool = True) -> Float[np.ndarray, " L"]:
    """Play one episode in each of L lanes and return the undiscounted returns.

    Args:
        act: actions [L, A] for the observations [L, S] of all lanes; lanes that have ended repeat their
            last observation and their actions are ignored.
        env_id: Gymnasium id; its registered time limit ends an episode.
        seeds: start seed of each lane.
        batched: allow MuJoCo's batched stepper (the same task, several times faster).
    """
    stepper = make_stepper(env_id, len(seeds), batched=batched)
    observations = stepper.reset(seeds)
    returns = np.zeros(len(seeds))
    active = np.arange(len(seeds))
    for _ in range(environments.time_limit(env_id) or DEFAULT_STEPS):
        actions = act(observations.astype(np.float32))
        after, rewards, terminated, truncated = stepper.step(active, np.asarray(actions)[active])
        observations[active] = after
        returns[active] += rewards
        active = active[~(terminated | truncated)]
        if not len(active):
            break
    return returns
