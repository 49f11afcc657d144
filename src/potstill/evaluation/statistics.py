"""Statistics of episode returns: mean, standard deviation, interquartile mean and bootstrap interval."""

from __future__ import annotations

from typing import TypeAlias, TypedDict, overload

import numpy as np
from jaxtyping import Float

from potstill.data.transitions import Transitions
from potstill.environments.references import Reference, find_reference_returns, normalised_return
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonMapping, JsonObject

RESAMPLES = 2000

Result: TypeAlias = JsonMapping
"""The contents of a run's ``result.json``."""


class ScoreSummary(TypedDict):
    """The scores of K policies in E episodes each, as saved in results. All except ``raw_mean`` are normalised."""

    mean: float
    std: float
    """Standard deviation over policies if there are several, else over episodes."""
    std_over: str
    """``"policies"`` or ``"episodes"``."""
    iqm: float
    """Interquartile mean."""
    interval: tuple[float, float]
    """95 % bootstrap interval of ``iqm``."""
    policies: int
    episodes: int
    raw_mean: float
    """Mean of the undiscounted returns."""
    returns: list[list[float]]
    """One list per policy, with one score per episode."""


@overload
def interquartile_mean(values: Float[np.ndarray, "..."], axis: None = None) -> np.float64: ...
@overload
def interquartile_mean(values: Float[np.ndarray, "..."], axis: int) -> np.ndarray: ...
@check_arguments
def interquartile_mean(values: Float[np.ndarray, "..."], axis: int | None = None) -> np.float64 | np.ndarray:
    """Compute the mean of the middle half of the values. A quarter of them, rounded down, is cut from each end.

    Args:
        values: of any shape.
        axis: the axis to average over. Default: all values.

    Source: Agarwal et al. 2021, arXiv 2108.13264.

    Example:
        >>> import numpy as np
        >>> float(interquartile_mean(np.array([0.0, 1.0, 3.0, 100.0])))
        2.0
    """
    ordered = np.sort(values, axis=axis)
    axis = 0 if axis is None else axis
    count = ordered.shape[axis]
    cut = count // 4
    middle: np.float64 | np.ndarray = np.take(ordered, range(cut, count - cut), axis=axis).mean(axis=axis)
    return middle


@check_arguments
def bootstrap_interval(returns: Float[np.ndarray, "K E"], *, share: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Compute the percentile bootstrap interval of the interquartile mean.

    Policies are resampled first and their episodes second, because episodes of one policy are not independent.

    Args:
        returns: returns of K policies in E episodes each.
        share: the coverage of the interval.
        seed: seed of the resampling.

    Returns:
        The lower and the upper end, in the unit of the returns.

    Source: Agarwal et al. 2021, arXiv 2108.13264.

    Example:
        >>> import numpy as np
        >>> from potstill.evaluation import bootstrap_interval
        >>> low, high = bootstrap_interval(np.array([[60.0, 70.0, 80.0], [20.0, 30.0, 40.0]]))
        >>> 20.0 <= low < 50.0 < high <= 80.0
        True
    """
    rng = np.random.default_rng(seed)
    policies, episodes = returns.shape
    drawn_policies = rng.integers(policies, size=(RESAMPLES, policies, 1))
    drawn_episodes = rng.integers(episodes, size=(RESAMPLES, policies, episodes))
    means = interquartile_mean(returns[drawn_policies, drawn_episodes].reshape(RESAMPLES, -1), axis=1)
    tail = (1.0 - share) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return float(low), float(high)


@check_arguments
def summarise(returns: Float[np.ndarray, "K E"], reference: Reference | str) -> ScoreSummary:
    """Normalise and summarise the returns of K policies in E episodes each.

    Args:
        returns: undiscounted returns.
        reference: the returns that count as 0 and 100, or an environment for which they are known.

    Returns:
        Normalised scores: ``mean``, ``std`` (over policies if there are several, else over episodes; ``std_over`` says
        which), ``iqm`` and its 95 % ``interval``, and all ``returns``; ``raw_mean``, the mean of the returns before
        normalisation; and the numbers of ``policies`` and ``episodes``.

    Example:
        >>> import numpy as np
        >>> summary = summarise(np.array([[3234.3, 3234.3]]), "Hopper-v5")
        >>> round(summary["mean"], 6), summary["std_over"]
        (100.0, 'episodes')
    """
    scores = normalised_return(returns, reference)
    spread = scores.mean(axis=1) if len(scores) > 1 else scores[0]
    return {
        "mean": float(scores.mean()),
        "std": float(spread.std(ddof=1)) if len(spread) > 1 else 0.0,
        "std_over": "policies" if len(scores) > 1 else "episodes",
        "iqm": float(interquartile_mean(scores)),
        "interval": bootstrap_interval(scores),
        "policies": len(scores),
        "episodes": scores.shape[1],
        "raw_mean": float(np.mean(returns)),
        "returns": scores.round(4).tolist(),
    }


def describe_data(data: Transitions, reference: Reference) -> JsonObject | None:
    """Summarise the normalised returns of a dataset's episodes; return ``None`` if the dataset has no rewards.

    >>> from potstill.data import load_dataset
    >>> from potstill.environments.references import RAW
    >>> round(describe_data(load_dataset("hopper-medium-replay"), RAW)["best"])
    3314
    """
    if not data.has_rewards:
        return None
    returns = data.episode_returns()
    scores = normalised_return(returns, reference)
    return {
        "mean": float(scores.mean()),
        "std": float(scores.std(ddof=1)) if len(scores) > 1 else 0.0,
        "std_over": "episodes",
        "best": float(scores.max()),
        "episodes": len(scores),
        "raw_mean": float(np.mean(returns)),
    }


def read_reference(result: Result) -> Reference:
    """Read the reference returns of a result; those of the environment if the result, an older one, lacks them."""
    return Reference(**result["reference"]) if "reference" in result else find_reference_returns(result.get("env_id"))


def find_return_label(result: Result) -> str:
    """Find the label of a result's scores in tables and plots."""
    return "normalised return" if read_reference(result).source else "return"
