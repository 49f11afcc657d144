"""The privacy of noisy outer steps, by the accountant of dp-accounting (extra ``private``)."""

from __future__ import annotations

from potstill.errors import PotstillError, make_missing_extra_error
from potstill.runtime.arguments import check_arguments


@check_arguments
def compute_epsilon(noise: float, share: float, steps: int, delta: float) -> float:
    """Compute ε of repeated Poisson-subsampled Gaussian mechanisms, for adding or removing one episode.

    Args:
        noise: the noise multiplier σ: standard deviation of the noise, divided by the largest norm of a contribution.
        share: probability that an episode is sampled in a step.
        steps: the number of steps.
        delta: δ.

    Returns:
        ε, by privacy loss distributions (Koskela et al. 2020).

    Raises:
        PotstillError: an argument is out of range, or dp-accounting is not installed.

    Example:
        >>> round(compute_epsilon(noise=1.0, share=1.0, steps=1, delta=1e-5), 2)
        4.38
    """
    ranges = {"noise": 0.0 < noise, "share": 0.0 < share <= 1.0, "steps": steps >= 1, "delta": 0.0 < delta < 1.0}
    for name, valid in ranges.items():
        if not valid:
            raise PotstillError(f"compute_epsilon: {name} is out of range")
    try:
        import dp_accounting
        from dp_accounting import pld
    except ImportError:
        raise make_missing_extra_error("dp-accounting", "private") from None
    step = dp_accounting.PoissonSampledDpEvent(share, dp_accounting.GaussianDpEvent(noise))
    accountant = pld.PLDAccountant().compose(dp_accounting.SelfComposedDpEvent(step, steps))
    return float(accountant.get_epsilon(delta))
