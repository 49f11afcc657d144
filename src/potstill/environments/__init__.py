"""Environments: make them, roll policies out, and normalise the returns.

Public names:

- :func:`play` rolls out a policy and returns the undiscounted return of each episode.
- :func:`normalised_return` turns returns into D4RL scores.
- :func:`find_reference_returns` and :class:`Reference` are the returns that score 0 and 100.
- :func:`make` makes a Gymnasium environment and checks that potstill supports it.

Example:
    >>> import numpy as np
    >>> from potstill.environments import normalised_return, play
    >>> still = lambda observations: np.zeros((len(observations), 3))  # a policy: observations [L, S] to actions [L, A]
    >>> returns = play(still, "Hopper-v5", seeds=np.arange(4))
    >>> returns.shape, bool(normalised_return(returns, "Hopper-v5").mean() < 10.0)
    ((4,), True)

Importing this package does not import Gymnasium or MuJoCo. Its functions do when they make an environment.
"""

from potstill.environments.making import Environment, make
from potstill.environments.references import Reference, find_reference_returns, normalised_return
from potstill.environments.rollouts import Act, play

__all__ = ["Act", "Environment", "Reference", "find_reference_returns", "make", "normalised_return", "play"]
