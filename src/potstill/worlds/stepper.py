"""A world model with the interface of parallel environments, in which policies are rolled out."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from potstill.environments.rollouts.stepper import Steps
from potstill.runtime.arguments import check_arguments
from potstill.worlds.base import World, check_starts


@check_arguments
class WorldStepper:
    """L lanes of one world model. Each lane starts in the first state of an episode of the data, drawn by its seed.

    Lane i has member i of the model, modulo the number of members.

    Args:
        world: the model.
        starts: other initial states [n, S], standardised. Default: the model's own.

    Raises:
        PotstillError: there is no initial state, or it has another number of components than the model's.

    Example:
        >>> import potstill
        >>> from potstill.worlds import WorldSettings, train_world
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(600))
        >>> stepper = WorldStepper(train_world(data, WorldSettings(members=1, width=8, layers=2, steps=2)))
        >>> stepper.reset(np.arange(2)).shape
        (2, 11)
        >>> stepper.step(np.arange(2), np.zeros((2, 3), np.float32)).rewards.shape
        (2,)
    """

    def __init__(self, world: World, starts: Float[np.ndarray, "n S"] | None = None) -> None:
        self.world = world
        self.starts = world.starts if starts is None else starts
        check_starts("WorldStepper.starts", self.starts, len(world.normaliser.mean))

    def reset(self, seeds: Int[np.ndarray, " L"]) -> Float[np.ndarray, "L S"]:
        """Start an episode in every lane; return the first observations."""
        self.states = np.stack([self._draw(int(seed)) for seed in seeds]).astype(np.float32)
        return np.asarray(self.world.normaliser.invert(self.states))

    def restart(self, lane: int, seed: int) -> Float[np.ndarray, " S"]:
        """Start an episode in one lane; return its first observation."""
        self.states[lane] = self._draw(seed)
        return np.asarray(self.world.normaliser.invert(self.states[lane]))

    def _draw(self, seed: int) -> Float[np.ndarray, " S"]:
        chosen: np.ndarray = self.starts[np.random.default_rng(seed).integers(len(self.starts))]
        return chosen

    def step(self, lanes: Int[np.ndarray, " n"], actions: Float[np.ndarray, "n A"]) -> Steps:
        """Step the lanes with these numbers. All lanes are computed, because a new shape would be compiled again."""
        unit = np.zeros((len(self.states), len(self.world.action_bounds)), np.float32)
        unit[lanes] = np.clip(self.world.action_bounds.to_unit(actions), -1.0, 1.0)
        after = self.world.step_by_member(self.states, unit)
        self.states[lanes] = np.asarray(after.states)[lanes]
        observations = np.asarray(self.world.normaliser.invert(self.states[lanes]))
        ended = np.asarray(after.terminated)[lanes]
        return Steps(observations, np.asarray(after.rewards)[lanes], ended, np.zeros_like(ended))
