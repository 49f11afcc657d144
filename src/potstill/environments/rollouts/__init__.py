"""Internal: rollouts, which are episodes in parallel environments (lanes), each with its own seed and return.

The public names are those of :mod:`potstill.environments`.
"""

from potstill.environments.rollouts.playing import Act, play, run_episodes

__all__ = ["Act", "play", "run_episodes"]
