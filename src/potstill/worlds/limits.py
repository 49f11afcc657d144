"""Limits on components of the state at which episodes terminate.

Most environments end an episode when a component of the next state leaves an interval: a robot has fallen, a tank is
empty. Where such limits explain the terminations of a dataset, the world model uses them. A network that separates the
two kinds of rows also fits the data, but it is wrong in states that the data lack: with a false alarm in one of a
thousand steps, most episodes of a good policy would end early.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

LEAST_COUNT = 3  # smallest number of terminations beyond a limit
LEAST_SHARE = 0.01  # smallest share of the terminations beyond a limit
LEAST_EXPLAINED = 0.95  # smallest share of the terminations beyond all limits
TOLERATED = 1e-5  # share of the other rows that may lie beyond a limit
NO_LIMIT = float(np.finfo(np.float32).max)  # files hold finite numbers only


class Limits(NamedTuple):
    """An interval for each component of the next state. Episodes terminate outside; ±NO_LIMIT means none."""

    lower: Float[np.ndarray, " S"]
    upper: Float[np.ndarray, " S"]


def find_limits(after: Float[np.ndarray, "M S"], terminated: Bool[np.ndarray, " M"]) -> Limits | None:
    """Find limits that explain the terminations: a greedy cover by one-sided limits.

    Each limit lies halfway between the outermost other row and the next termination beyond it. The component and side
    with the most terminations beyond are taken first.

    Args:
        after: next states.
        terminated: whether the episode terminated there.

    Returns:
        The limits, or ``None`` if fewer than 95 % of the terminations lie beyond them.

    Example:
        >>> heights = np.array([[1.0], [0.8], [0.6], [0.9], [0.5], [0.9], [0.4]])
        >>> limits = find_limits(heights, heights[:, 0] < 0.7)
        >>> print(limits.lower)
        [0.7]
    """
    size, total = after.shape[1], int(terminated.sum())
    sides = np.concatenate([-after, after], axis=1)  # both kinds of limits are upper limits
    limits, left = np.full(2 * size, NO_LIMIT), sides[terminated]
    if not 0 < total < len(after):
        return None
    others = sides[~terminated]
    tolerated = int(TOLERATED * len(others))
    edge = np.partition(others, len(others) - 1 - tolerated, axis=0)[len(others) - 1 - tolerated]
    while len(left):
        beyond = (left > edge).sum(axis=0)
        best = int(np.argmax(beyond))
        if beyond[best] < max(LEAST_COUNT, LEAST_SHARE * total):
            break
        out = left[:, best] > edge[best]
        limits[best] = 0.5 * (edge[best] + left[out, best].min())
        left = left[~out]
    if len(left) > (1.0 - LEAST_EXPLAINED) * total:
        return None
    return Limits((-limits[:size]).astype(np.float32), limits[size:].astype(np.float32))
