"""The interface of steppers: several environments that step together."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int


class Steps(NamedTuple):
    """The results of one step in n lanes."""

    observations: Float[np.ndarray, "n S"]
    rewards: Float[np.ndarray, " n"]
    terminated: Bool[np.ndarray, " n"]
    truncated: Bool[np.ndarray, " n"]


@runtime_checkable
class Stepper(Protocol):
    """L environments that step together."""

    def reset(self, seeds: Int[np.ndarray, " L"]) -> Float[np.ndarray, "L S"]:
        """Start an episode in every lane, each from its own seed; return the first observations."""
        ...

    def restart(self, lane: int, seed: int) -> Float[np.ndarray, " S"]:
        """Start an episode in one lane; return its first observation."""
        ...

    def step(self, lanes: Int[np.ndarray, " n"], actions: Float[np.ndarray, "n A"] | Int[np.ndarray, " n"]) -> Steps:
        """Step the lanes with these numbers."""
        ...
