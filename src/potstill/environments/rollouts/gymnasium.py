"""The general stepper: one Gymnasium environment per lane."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from potstill.environments.making import make
from potstill.environments.observations.rule import ObservationRule
from potstill.environments.rollouts.stepper import Steps


def as_floats(observations: np.ndarray) -> np.ndarray:
    """Convert integers, such as those of images, to float32. Other numbers are not changed."""
    found = np.asarray(observations)
    return found if found.dtype.kind == "f" else found.astype(np.float32)


class GymnasiumStepper:
    """L environments with the same id and rule of observations, stepped one after the other."""

    def __init__(self, env_id: str, lanes: int, rule: ObservationRule | None = None) -> None:
        self.envs = [make(env_id, rule) for _ in range(lanes)]

    def reset(self, seeds: Int[np.ndarray, " L"]) -> Float[np.ndarray, "L S"]:
        """Start an episode in every lane; return the first observations."""
        return np.stack([self.restart(lane, int(seed)) for lane, seed in enumerate(seeds)])

    def restart(self, lane: int, seed: int) -> Float[np.ndarray, " S"]:
        """Start an episode in one lane; return its first observation."""
        return as_floats(self.envs[lane].reset(seed=seed)[0])

    def step(self, lanes: Int[np.ndarray, " n"], actions: Float[np.ndarray, "n A"] | Int[np.ndarray, " n"]) -> Steps:
        """Step the lanes with these numbers."""
        results = [self.envs[lane].step(action) for lane, action in zip(lanes, actions, strict=True)]
        observations, rewards, terminated, truncated, _ = zip(*results, strict=True)
        return Steps(as_floats(np.stack(observations)), np.array(rewards), np.array(terminated), np.array(truncated))
