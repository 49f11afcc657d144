"""Any Gymnasium environment, one object a lane: the general stepper."""

from __future__ import annotations

from typing import Any

import numpy as np

from potstill.environments import registry as environments


class GymnasiumStepper:
    """L environments of one id, stepped one after the other."""

    def __init__(self, env_id: str, lanes: int) -> None:
        self.envs = [environments.make(env_id) for _ in range(lanes)]

    def reset(self, seeds: np.ndarray) -> np.ndarray:
        """First observations [L, S]."""
        return np.stack([self.restart(lane, int(seed)) for lane, seed in enumerate(seeds)])

    def restart(self, lane: int, seed: int) -> np.ndarray:
        """Start one lane again; its first observation [S]."""
        return np.asarray(self.envs[lane].reset(seed=seed)[0])

    def step(self, lanes: np.ndarray, actions: np.ndarray) -> tuple[Any, Any, Any, Any]:
        """Observations, rewards, terminations and time-outs of the chosen lanes."""
        results = [self.envs[lane].step(action) for lane, action in zip(lanes, actions, strict=True)]
        observations, rewards, terminated, truncated, _ = zip(*results, strict=True)
        return np.stack(observations), np.array(rewards), np.array(terminated), np.array(truncated)
