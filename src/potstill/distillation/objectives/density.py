"""Density of the data at a state, estimated by nearest neighbours in many small samples.

A Gaussian mixture or a flow must be fitted, and the fit can fail unnoticed in 11 to 376 dimensions. A kernel density
estimate requires a bandwidth, and far from all centres only the nearest one matters. Distances to neighbours require
neither a fit nor a bandwidth, and adapt to the local density. Among n states drawn from a density p in S
dimensions, the nearest one lies at a distance d with

    log p(s) ≈ −S log d(s) + constant,

which is a noisy estimate. Its mean over many small samples has little variance, and costs one matrix product and a
minimum. A search for k neighbours would cost ten times as much.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

SAMPLES, SAMPLE_SIZE = 16, 256  # G small samples of n states each
CHUNK = 4096  # states whose distances are in memory at once
LEAST_DISTANCE = 1e-3  # in standard deviations of the states, so that the density of duplicate states is finite


def log_density(states: Float[Array, "M S"]) -> Float[Array, " M"]:
    """Log p(s) of each of M standardised states, up to a constant.

    A state is never its own neighbour. The samples are drawn with a fixed seed, so the same data give the same
    densities.
    """
    rows = len(states)
    count = min(SAMPLE_SIZE, max(2, rows // 2))
    rng = np.random.default_rng(0)
    drawn = jnp.asarray(np.stack([rng.choice(rows, count, replace=False) for _ in range(SAMPLES)]), jnp.int32)
    index = jnp.arange(rows, dtype=jnp.int32)
    parts = [_compute_mean_log_distance(states, drawn, index[i : i + CHUNK]) for i in range(0, rows, CHUNK)]
    return -states.shape[1] * jnp.concatenate(parts)


@jax.jit
def _compute_mean_log_distance(
    states: Float[Array, "M S"], drawn: Int[Array, "G n"], index: Int[Array, " B"]
) -> Float[Array, " B"]:
    """Average, over G samples, the log distance from each of B states to its nearest neighbour in the sample."""
    here = states[index]
    norms = jnp.sum(here**2, axis=-1)[:, None]

    def nearest(rows: Int[Array, " n"]) -> Float[Array, " B"]:
        there = states[rows]
        squares = norms + jnp.sum(there**2, axis=-1)[None] - 2.0 * here @ there.T
        squares = jnp.where(index[:, None] == rows[None], jnp.inf, squares)
        return 0.5 * jnp.log(jnp.maximum(squares.min(axis=-1), LEAST_DISTANCE**2))

    logs: Float[Array, "G B"] = jax.lax.map(nearest, drawn)
    return logs.mean(axis=0)
