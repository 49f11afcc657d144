"""Episodes: many environments side by side, each lane with its own start seed and its own return."""

from potstill.environments.rollouts.play import Act, play

__all__ = ["Act", "play"]
