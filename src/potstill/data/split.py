"""Which rows of a dataset distillation never sees, so that offline scores mean something."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

HELD_OUT_SHARE, HELD_OUT_MOST = 0.05, 4096


def held_out_rows(rows: int) -> Int[np.ndarray, " H"]:
    """The held-out rows of a dataset of ``rows`` rows: 5 %, at most 4,096; the same in every run."""
    count = min(max(1, int(rows * HELD_OUT_SHARE)), HELD_OUT_MOST)
    return np.sort(np.random.default_rng(0).choice(rows, count, replace=False))


def training_rows(rows: int) -> Int[np.ndarray, " R"]:
    """All other rows."""
    return np.setdiff1d(np.arange(rows), held_out_rows(rows), assume_unique=True)
