"""Split a dataset into training rows and held-out rows. Offline scores are computed on the held-out rows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

HELD_OUT_SHARE, HELD_OUT_MOST = 0.05, 4096
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
