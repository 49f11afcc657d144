"""The set in which the actions of pairs stay while they are optimised."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.students.recipe import Loss


def constrain_actions(actions: Float[Array, "N A"], loss: Loss, limit: float) -> Float[Array, "N A"]:
    """Move the actions of pairs to the nearest allowed ones.

    Continuous actions lie in [−``limit``, ``limit``]. Discrete ones, which students clone by their cross-entropy, are
    probabilities.
    """
    return find_nearest_probabilities(actions) if loss == "cross-entropy" else jnp.clip(actions, -limit, limit)


def fix_actions(actions: Float[Array, "N A"]) -> Float[Array, "N A"]:
    """Replace probabilities by 1 for the most probable action and 0 for all others."""
    return jax.nn.one_hot(jnp.argmax(actions, axis=-1), actions.shape[-1], dtype=actions.dtype)


def find_nearest_probabilities(vectors: Float[Array, "N A"]) -> Float[Array, "N A"]:
    """Project each row to the nearest vector of probabilities: max(x − τ, 0) with the τ for which its sum is 1.

    Source: Held, Wolfe and Crowder 1974; τ is found by sorting.

    >>> find_nearest_probabilities(jnp.array([[1.5, 0.5], [0.25, 0.25]])).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    size = vectors.shape[-1]
    ordered = jnp.sort(vectors, axis=-1)[:, ::-1]
    means = (jnp.cumsum(ordered, axis=-1) - 1.0) / jnp.arange(1, size + 1)
    kept = jnp.sum(ordered > means, axis=-1, keepdims=True)  # the number of components that stay positive
    return jnp.maximum(vectors - jnp.take_along_axis(means, kept - 1, axis=-1), 0.0)
