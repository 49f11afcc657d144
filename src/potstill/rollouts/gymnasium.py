"""Any Gymnasium environment, one object a lane: the general stepper."""

from __future__ import annotations

from typing import Any

import numpy as np

from potstill import environments


class GymnasiumStepper:
    """L environments of one id, stepped one after the other."""

    def __init__(self, env_id: str, lanes: int) -> None:
        self.envs = [environments.make(env_id) for _ in range(lanes)]

    def reset(self, seeds: np.ndarray) -> np.ndarray:
        """First observations [L, S]."""
        return np.stack([env.reset(seed=int(seed))[0] for env, seed in zip(self.envs, seeds, strict=True)])

    def step(self, lanes: np.ndarray, actions: np.ndarray) -> tuple[Any, Any, Any]:
        """Observations, rewards and ends (terminated or timed out) of the chosen lanes."""
        results = [self.envs[lane].step(action) for lane, action in zip(lanes, actions, strict=True)]
        observations, rewards, terminated, truncated, _ = zip(*results, strict=True)
        return np.stack(observations), np.array(rewards), np.array(terminated) | np.array(truncated)
