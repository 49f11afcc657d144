"""Weights of states in Av-PBC: what is done with the sign and the scale of q*.

An offline critic's q* is negative on many states, where a plain weight would reward *dis*agreement
with the teacher. Every weighting but the reference's is therefore non-negative and has mean 1 over the
dataset, so that learning rates mean the same for all.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.errors import unknown

REFERENCE_SCALE = 0.02


def clipped(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """max(q*, 0): a state of negative value does not count. Moves with a shift of the reward."""
    return jnp.maximum(values, 0.0)


def ranged(values: Float[Array, " M"]) -> Float[Array, " M"]:
    """((q* − min) / (max − min))²: unmoved by shift and scale of the reward; 1–99 percentiles."""
    low, high = jnp.percentile(values, jnp.array([1.0, 99.0]))
    return jnp.clip((values - low) / jnp.maximum(high - low, 1e-8), 0.0, 1.0) ** 2


WEIGHTINGS: dict[str, Callable[[Float[Array, " M"]], Float[Array, " M"]]] = {"clipped": clipped, "ranged": ranged}


def value_weights(values: Float[Array, " M"], weighting: str) -> Float[Array, " M"]:
    """Weights of M states from their values q*(s, π*(s)).

    Args:
        values: in units of return, of any sign.
        weighting: ``clipped``, ``ranged``, or ``reference`` (0.02 q*, negative values let through).

    Returns:
        Weights; of mean 1 and non-negative, except for ``reference``. Uniform if all would be zero.
    """
    if weighting == "reference":
        return REFERENCE_SCALE * values
    if weighting not in WEIGHTINGS:
        raise unknown("weighting", weighting, [*WEIGHTINGS, "reference"])
    weights = WEIGHTINGS[weighting](values)
    mean = weights.mean()
    return jnp.where(mean > 0, weights / jnp.where(mean > 0, mean, 1.0), jnp.ones_like(weights))
