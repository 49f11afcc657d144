"""Statistics over distillation seeds, students and episodes, and retention over several datasets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypedDict

import numpy as np
from jaxtyping import Float

from potstill.errors import PotstillError
from potstill.evaluation.statistics import RESAMPLES
from potstill.runtime.arguments import check_arguments

TAILS = (0.025, 0.975)  # of a 95 % interval
PART = 1_000_000  # scores that are drawn at a time


class Estimate(NamedTuple):
    """A mean with its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


class Retention(TypedDict):
    """The ratio of students' scores to their teachers' scores, summarised over several datasets.

    A dataset with a poor teacher dominates the mean of ratios, and one with high scores the ratio of means. A few
    datasets on which students exceed their teachers raise both, but not the mean of ratios that are capped at 1.
    """

    mean_of_ratios: float
    low: float
    """Lower end of the 95 % bootstrap interval of ``mean_of_ratios``."""
    high: float
    ratio_of_means: float
    median: float
    """Median of the ratios."""
    capped: float
    """Mean of the ratios, each capped at 1."""
    datasets: int


@check_arguments
def bootstrap_means(scores: Float[np.ndarray, "D K E"], seed: int = 0) -> Float[np.ndarray, " R"]:
    """Means of R = 2,000 resamples of the scores of D distillation seeds × K students × E episodes.

    Seeds are drawn with replacement, then students of each drawn seed, then episodes of each drawn student: episodes of
    one student are not independent, nor are students of one distillate.

    >>> bool(np.ptp(bootstrap_means(np.full((2, 3, 4), 7.0))) == 0.0)
    True
    """
    rng = np.random.default_rng(seed)
    count, students, episodes = scores.shape
    means = np.empty(RESAMPLES)
    for part in np.array_split(means, -(-RESAMPLES * scores.size // PART)):
        size = len(part), count, students, episodes
        drawn = rng.integers(count, size=(*size[:2], 1, 1))
        of_seed = rng.integers(students, size=(*size[:3], 1))
        of_student = rng.integers(episodes, size=size)
        part[:] = scores[drawn, of_seed, of_student].mean(axis=(1, 2, 3))
    return means


@check_arguments
def estimate_mean(scores: Float[np.ndarray, "D K E"], seed: int = 0) -> Estimate:
    """Estimate the mean of scores, with its 95 % percentile interval by :func:`bootstrap_means`.

    >>> estimate_mean(np.full((1, 1, 3), 5.0))
    Estimate(mean=5.0, low=5.0, high=5.0)
    """
    low, high = np.quantile(bootstrap_means(scores, seed), TAILS)
    return Estimate(float(scores.mean()), float(low), float(high))


@check_arguments
def summarise_retention(
    scores: Mapping[str, Float[np.ndarray, "D K E"]], teachers: Mapping[str, float], seed: int = 0
) -> Retention:
    """Summarise the ratios of students' to teachers' scores over datasets.

    Args:
        scores: the students' scores by dataset. The bootstrap resamples within each dataset.
        teachers: the mean score of each dataset's teacher, the one denominator of all its ratios. Its sampling
            error is ignored.
        seed: seed of the resampling.

    Raises:
        PotstillError: there is no dataset, or a teacher's score is not above 0.

    >>> found = summarise_retention(
    ...     {"a": np.full((1, 1, 1), 30.0), "b": np.full((1, 1, 1), 120.0)}, {"a": 60.0, "b": 100.0}
    ... )
    >>> {name: round(found[name], 4) for name in ("mean_of_ratios", "ratio_of_means", "capped")}
    {'mean_of_ratios': 0.85, 'ratio_of_means': 0.9375, 'capped': 0.75}
    """
    if not scores:
        raise PotstillError("summarise_retention: scores: expected those of at least one dataset")
    poor = [name for name in scores if not teachers[name] > 0.0]
    if poor:
        raise PotstillError(
            f"{poor[0]}: the teacher's score is {teachers[poor[0]]:.1f}: expected a score above 0, by which to divide"
        )
    means = {name: float(found.mean()) for name, found in scores.items()}
    ratios = np.array([means[name] / teachers[name] for name in scores])
    resampled = np.mean(
        [bootstrap_means(found, seed + i) / teachers[name] for i, (name, found) in enumerate(scores.items())], axis=0
    )
    low, high = np.quantile(resampled, TAILS)
    return {
        "mean_of_ratios": float(ratios.mean()),
        "low": float(low),
        "high": float(high),
        "ratio_of_means": sum(means.values()) / sum(teachers[name] for name in scores),
        "median": float(np.median(ratios)),
        "capped": float(np.minimum(ratios, 1.0).mean()),
        "datasets": len(scores),
    }
