"""Retention: mean return over the teacher's, with bootstrap intervals.

A record has its file, the mean return of its teacher as ``teacher_score``, and, for each kind of policy, ``mean`` and
``returns`` of policies × episodes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from benchmarks.grid import Record
from benchmarks.pages.text import select_records

RESAMPLES = 2000


def group_by_file(records: list[Record]) -> list[list[Record]]:
    """The records of each file, in the order of their first record."""
    return [select_records(records, file=file) for file in dict.fromkeys(record["file"] for record in records)]


def retention(records: list[Record], kind: str) -> float:
    """Mean over files of the mean return over the teacher's."""
    shares = [np.mean([r[kind]["mean"] for r in group]) / group[0]["teacher_score"] for group in group_by_file(records)]
    return float(np.mean(shares))


def resample(records: list[Record], kind: str, rng: np.random.Generator) -> Float[np.ndarray, "B R"]:
    """Returns of bootstrap samples: seeds, then students, then episodes are drawn with replacement."""
    returns = np.array([record[kind]["returns"] for record in records])
    seeds, students, episodes = returns.shape
    run = rng.integers(seeds, size=(RESAMPLES, seeds, 1, 1))
    who = rng.integers(students, size=(RESAMPLES, seeds, students, 1))
    return returns[run, who, rng.integers(episodes, size=(RESAMPLES, *returns.shape))].reshape(RESAMPLES, -1)


def draw_retention(records: list[Record], kind: str) -> Float[np.ndarray, " B"]:
    """The retention of bootstrap samples, stratified by file. Teachers' returns are not drawn."""
    rng = np.random.default_rng(0)
    groups = group_by_file(records)
    return np.mean([resample(group, kind, rng).mean(axis=1) / group[0]["teacher_score"] for group in groups], axis=0)


def format_interval(values: Sequence[float] | np.ndarray, digits: int = 1) -> str:
    """The middle 95 % of the values."""
    low, high = np.quantile(values, [0.025, 0.975])
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def format_retention(records: list[Record], kind: str) -> str:
    """The retention, bold, with its interval."""
    return f"**{retention(records, kind):.2f}** {format_interval(draw_retention(records, kind), 2)}"
