"""Summaries of per-episode returns: mean, spread, interquartile mean and bootstrap interval."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from potstill.environments.references import Reference, normalised_return, reference_returns

RESAMPLES = 2000


def interquartile_mean(values: Float[np.ndarray, "..."], axis: int | None = None) -> Any:
    """Mean of the middle half of the values: a quarter (rounded down) cut from each end.

    >>> import numpy as np
    >>> float(interquartile_mean(np.array([0.0, 1.0, 3.0, 100.0])))
    2.0
    """
    ordered = np.sort(values, axis=axis) if axis is not None else np.sort(values, axis=None)
    axis = 0 if axis is None else axis
    count = ordered.shape[axis]
    cut = count // 4
    return np.take(ordered, range(cut, count - cut), axis=axis).mean(axis=axis)


def bootstrap_interval(returns: Float[np.ndarray, "K E"], *, share: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile interval of the interquartile mean; students are drawn anew, then their episodes.

    Two levels, because episodes of one student are not independent of each other.
    """
    rng = np.random.default_rng(seed)
    students, episodes = returns.shape
    who = rng.integers(students, size=(RESAMPLES, students, 1))
    when = rng.integers(episodes, size=(RESAMPLES, students, episodes))
    means = interquartile_mean(returns[who, when].reshape(RESAMPLES, -1), axis=1)
    tail = (1.0 - share) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return float(low), float(high)


def summarise(returns: Float[np.ndarray, "K E"], reference: Reference | str) -> dict[str, Any]:
    """What results files hold of K policies × E episodes.

    Args:
        returns: undiscounted.
        reference: what is 0 and 100 of the normalised score, or the environment whose known returns are.

    Returns:
        normalised ``mean``, ``std`` (over policies where there are several, else over episodes),
        ``iqm``, its 95 % ``interval``, ``raw_mean``, and ``returns``, normalised, policies × episodes.
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


def reference_in(result: dict[str, Any]) -> Reference:
    """What is 0 and 100 of the scores of a result; older ones do not say so themselves."""
    return Reference(**result["reference"]) if "reference" in result else reference_returns(result.get("env_id"))


def return_label(result: dict[str, Any]) -> str:
    """What the scores of a result are."""
    return "normalised return" if reference_in(result).source else "return"
