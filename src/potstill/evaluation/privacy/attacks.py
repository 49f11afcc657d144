"""Membership inference by likelihood ratios, from shadow distillations with known members.

A statistic x of an episode and a distillation tends to be smaller if the episode was among the data, such as the
distance of its states to the nearest pair. For each episode, the other shadows give the means of log x with and without
it; residuals over all episodes give one standard deviation for each case. The attack calls the episode a member if

    log N(log x; μ_in, σ_in) − log N(log x; μ_out, σ_out) > 0.                         (1)

The threshold is fixed in advance, so the advantage, the true-positive rate minus the false-positive rate, is not
selected. An attack that guesses has an advantage of 0 on average.
Source: Carlini et al. 2022, arXiv 2112.03570 (LiRA), with one variance for all episodes because shadows are few.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
from jaxtyping import Bool, Float, Int

FLOOR = 1e-6  # added to a statistic before its logarithm
RESAMPLES = 1000
CURVE = 41  # points of a curve


class Attack(TypedDict):
    """How well an attack tells members from others."""

    advantage: float
    """True-positive rate minus false-positive rate at the fixed threshold."""
    interval: tuple[float, float]
    """95 % bootstrap interval of the advantage, over shadows and episodes."""
    auc: float
    """Chance that a member has a higher ratio than another episode."""
    true_at_1: float
    """True-positive rate where the false-positive rate is 1 %."""
    curve: list[float]
    """True-positive rates at 41 evenly spaced false-positive rates from 0 to 1."""


def compute_ratios(statistic: Float[np.ndarray, "K E"], inside: Bool[np.ndarray, "K E"]) -> Float[np.ndarray, "K E"]:
    """Compute (1) for each shadow as the target, from all other shadows.

    Args:
        statistic: x, at least 0, of each shadow and episode.
        inside: whether the shadow's data had the episode: for each, in half of at least four shadows.
    """
    values = np.log(statistic + FLOOR)
    partners = np.take_along_axis(values, find_partners(inside), axis=0)
    found = np.zeros(values.shape)
    for sign, mask in ((1.0, inside), (-1.0, ~inside)):
        left = np.where(mask, values, partners)  # both means have equally many shadows, or one would be less noisy
        mean = ((mask * values).sum(axis=0) - left) / (mask.sum(axis=0) - 1)
        residuals = (values - mean)[mask]
        variance = np.mean(residuals**2) + 1e-12
        found += sign * (-0.5 * (values - mean) ** 2 / variance - 0.5 * np.log(variance))
    return found


def find_partners(inside: Bool[np.ndarray, "K E"]) -> Int[np.ndarray, "K E"]:
    """Pair the shadows with each episode and those without it, in their order.

    >>> find_partners(np.array([[True], [True], [False], [False]])).ravel().tolist()
    [2, 3, 0, 1]
    """
    ordered = np.argsort(inside, axis=0, kind="stable")  # first those without the episode
    half = len(inside) // 2
    partners = np.empty_like(ordered)
    np.put_along_axis(partners, ordered, np.concatenate([ordered[half:], ordered[:half]]), axis=0)
    return partners


def score_attack(ratios: Float[np.ndarray, "K E"], inside: Bool[np.ndarray, "K E"], seed: int) -> Attack:
    """Score an attack over all shadows and episodes.

    >>> inside = np.array([[True, False], [False, True]])
    >>> found = score_attack(np.where(inside, 1.0, -1.0), inside, 0)
    >>> found["advantage"], found["auc"], found["true_at_1"]
    (1.0, 1.0, 1.0)
    """
    called = ratios > 0.0
    rng = np.random.default_rng(seed)
    shadows, episodes = (rng.multinomial(n, np.full(n, 1.0 / n), RESAMPLES) for n in ratios.shape)
    rates = [_count_drawn(called & mask, shadows, episodes) / np.maximum(_count_drawn(mask, shadows, episodes), 1e-12)
             for mask in (inside, ~inside)]  # fmt: skip
    low, high = np.quantile(rates[0] - rates[1], [0.025, 0.975])
    members, others = np.sort(ratios[inside]), np.sort(ratios[~inside])
    false = np.linspace(0.0, 1.0, CURVE)
    return {
        "advantage": float(called[inside].mean() - called[~inside].mean()),
        "interval": (float(low), float(high)),
        "auc": _compute_auc(members, others),
        "true_at_1": _find_true_rate(members, others, 0.01),
        "curve": [_find_true_rate(members, others, rate) for rate in false],
    }


def _count_drawn(mask: Bool[np.ndarray, "K E"], shadows: np.ndarray, episodes: np.ndarray) -> Float[np.ndarray, " R"]:
    found: Float[np.ndarray, " R"] = np.einsum("rk,ke,re->r", shadows, mask.astype(np.float64), episodes, optimize=True)
    return found


def _compute_auc(members: Float[np.ndarray, " P"], others: Float[np.ndarray, " Q"]) -> float:
    below = np.searchsorted(others, members, "left") + np.searchsorted(others, members, "right")
    return float(0.5 * below.mean() / len(others))


def _find_true_rate(members: Float[np.ndarray, " P"], others: Float[np.ndarray, " Q"], rate: float) -> float:
    """The share of members above the threshold that at most ``rate`` of the others exceed."""
    allowed = int(np.floor(rate * len(others) + 1e-9))
    threshold = -np.inf if allowed >= len(others) else others[len(others) - 1 - allowed]
    return float((members > threshold).mean())
