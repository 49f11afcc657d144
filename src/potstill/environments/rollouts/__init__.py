"""Rollouts: episodes in parallel environments (lanes), each with its own seed and return."""

from potstill.environments.rollouts.playing import Act, play, run_episodes

__all__ = ["Act", "play", "run_episodes"]
