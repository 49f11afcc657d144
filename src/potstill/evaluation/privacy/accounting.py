"""The privacy of noisy outer steps, by the accountant of dp-accounting (extra ``private``)."""

from __future__ import annotations

import math

from potstill.distillation.private import PrivateGradients
from potstill.errors import PotstillError, require_package
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject

LEAST_NOISE, MOST_NOISE = 0.1, 1e6  # less noise means nothing: ε is in the hundreds
INTERVAL = 1e-3  # to whose multiples privacy losses are rounded, so that ε is an upper bound
GIVEN = "the teacher, its normaliser and bounds, the number of episodes, and all options"
"""What the statement takes as known."""
NOT_COVERED = (
    "Not covered: the teacher, and what else a run writes from the data: metrics, curve, results and warnings; options "
    "that were chosen by looking at the data."
)


def check_accountant() -> None:
    """Raise if dp-accounting is not installed."""
    require_package("dp-accounting", "private")


@check_arguments
def compute_epsilon(noise: float, share: float, steps: int, delta: float) -> float:
    """Compute ε of repeated Poisson-subsampled Gaussian mechanisms, for adding or removing one episode.

    Args:
        noise: the noise multiplier σ: standard deviation of the noise, divided by the largest norm of a contribution.
        share: probability that an episode is sampled in a step.
        steps: the number of steps.
        delta: δ.

    Returns:
        ε, by privacy loss distributions (Koskela et al. 2020). Rounding makes it too large, never too small.

    Raises:
        PotstillError: an argument is out of range, no ε is known for this δ, or dp-accounting is not installed.

    Example:
        >>> round(compute_epsilon(noise=1.0, share=1.0, steps=1, delta=1e-5), 2)  # doctest: +SKIP
        4.38
    """
    ranges = {
        "noise": LEAST_NOISE <= noise <= MOST_NOISE,
        "share": 0.0 < share <= 1.0,
        "steps": steps >= 0,
        "delta": 0.0 < delta < 1.0,
    }
    for name, valid in ranges.items():
        if not valid:
            raise PotstillError(f"compute_epsilon: {name} is out of range")
    check_accountant()
    import dp_accounting
    from dp_accounting import pld

    if not steps:
        return 0.0
    step = dp_accounting.PoissonSampledDpEvent(share, dp_accounting.GaussianDpEvent(noise))
    accountant = pld.PLDAccountant(value_discretization_interval=INTERVAL)
    epsilon = float(accountant.compose(dp_accounting.SelfComposedDpEvent(step, steps)).get_epsilon(delta))
    if not math.isfinite(epsilon):
        raise PotstillError(f"compute_epsilon: delta {delta:g} is too small, or the noise {noise:g}: no ε is known")
    return epsilon


def round_up(value: float, digits: int) -> str:
    """Write a number with some digits, rounded up, so that a statement of privacy is not stronger than it may be.

    >>> round_up(3.4201, 3), round_up(3.42, 3), round_up(1 / 3000, 2), round_up(0.0, 3)
    ('3.43', '3.42', '0.00034', '0')
    """
    written = f"{value:.{digits}g}"
    if float(written) >= value:
        return written
    unit = 10.0 ** (math.floor(math.log10(value)) + 1 - digits)
    return f"{float(written) + unit:.{digits}g}"


@check_arguments
def describe_privacy(private: PrivateGradients, steps: int, delta: float) -> JsonObject:
    """Describe the privacy of pairs that were made with private gradients, as stored in a distillate.

    Args:
        private: how episodes were sampled, and the noise.
        steps: the number of outer steps.
        delta: δ.

    Returns:
        ``epsilon`` (``None`` without noise), ``delta``, ``unit``, the settings, ``given``, and all in a sentence.

    Raises:
        PotstillError: an argument is out of range, or dp-accounting is not installed.

    Example:
        >>> import numpy as np
        >>> private = PrivateGradients(np.arange(100), np.ones(100, int), noise=0.0, expected=10)
        >>> describe_privacy(private, steps=50, delta=1e-3)["statement"]
        'gradients of episodes were clipped, but without noise nothing is private'
    """
    epsilon = compute_epsilon(private.noise, private.share, steps, delta) if private.noise else None
    described = "gradients of episodes were clipped, but without noise nothing is private"
    if epsilon is not None:
        bounds = f"({round_up(epsilon, 3)}, {round_up(delta, 2)})"
        described = f"the pairs are {bounds}-differentially private for episodes, given {GIVEN}"
    return {
        "statement": described,
        "epsilon": epsilon,
        "delta": delta,
        "unit": "episode",
        "noise": private.noise,
        "clip": private.clip,
        "episodes": len(private.first),
        "expected": private.expected,
        "share": private.share,
        "steps": steps,
        "initial": "standard normal states, in units of the teacher's normaliser",
        "given": GIVEN,
    }
