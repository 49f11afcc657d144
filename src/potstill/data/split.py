"""Split a dataset into training rows and held-out rows. Offline scores are computed on the held-out rows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

HELD_OUT_SHARE, HELD_OUT_MOST = 0.05, 4096
HELD_OUT_EVERY = 20
TRAINING_MOST = 1_000_000


def select_held_out_rows(rows: int) -> Int[np.ndarray, " H"]:
    """Select the indices of held-out rows: 5 % of ``rows``, but at most 4,096. They are the same in every run."""
    count = min(max(1, int(rows * HELD_OUT_SHARE)), HELD_OUT_MOST)
    return np.sort(np.random.default_rng(0).choice(rows, count, replace=False))


def select_training_rows(rows: int) -> Int[np.ndarray, " R"]:
    """Select the indices of training rows: all but the held-out ones, or a sample of one million if there are more.

    They are the same in every run.
    """
    held = select_held_out_rows(rows)
    if rows - len(held) <= TRAINING_MOST:
        return np.setdiff1d(np.arange(rows), held, assume_unique=True)
    drawn = np.random.default_rng(1).choice(rows, TRAINING_MOST + len(held), replace=False)
    return np.sort(np.setdiff1d(drawn, held, assume_unique=True)[:TRAINING_MOST])


def split_episodes(bounds: Int[np.ndarray, " n"]) -> tuple[Int[np.ndarray, " R"], Int[np.ndarray, " H"]]:
    """Split the rows of episodes so that the rows of one episode do not depend on the other episodes.

    Every twentieth row of an episode is held out. If no episode has twenty rows, the held-out rows are training rows.

    Args:
        bounds: the first row of each episode, then the number of rows.

    Returns:
        The training rows, and at most about 4,096 held-out rows.

    >>> [rows.tolist()[-2:] for rows in split_episodes(np.array([0, 3, 44]))]
    [[41, 43], [22, 42]]
    """
    lengths = np.diff(bounds)
    position = np.arange(bounds[-1]) - np.repeat(bounds[:-1], lengths)
    held = position % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    training, few = np.flatnonzero(~held), np.flatnonzero(held)
    few = few if len(few) else training
    return training, few[:: -(-len(few) // HELD_OUT_MOST)]
