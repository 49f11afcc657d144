"""Multilayer perceptrons in JAX: how students, teachers and critics start and what they compute."""

from __future__ import annotations

import itertools
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Params = list[dict[str, Any]]  # one {"weight": [in, out], "bias": [out]} a layer, input to output
GAIN = 2.0**0.5


def orthogonal(normal: Float[Array, "in out"]) -> Float[Array, "in out"]:
    """Orthonormal rows or columns (whichever are fewer), times √2, from a matrix of normal numbers."""
    tall = normal.shape[0] >= normal.shape[1]
    q, r = jnp.linalg.qr(normal if tall else normal.T)
    q = q * jnp.sign(jnp.diagonal(r))  # makes the distribution uniform
    return GAIN * (q if tall else q.T)


def init_mlp(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Params:
    """Orthogonal weights with gain √2 and zero biases, the paper's start.

    All numbers are drawn at once: each draw costs half a second to compile.

    Args:
        key: draws the weights.
        sizes: widths from input to output, e.g. ``(11, 256, 256, 256, 3)`` for the 4-layer student.
    """
    shapes = list(itertools.pairwise(sizes))
    ends = list(itertools.accumulate(a * b for a, b in shapes))
    drawn = jnp.split(jax.random.normal(key, (ends[-1],)), ends[:-1])
    return [
        {"weight": orthogonal(x.reshape(shape)), "bias": jnp.zeros(shape[1])}
        for x, shape in zip(drawn, shapes, strict=True)
    ]


def apply_mlp(params: Params, x: Float[Array, "*B in"]) -> Float[Array, "*B out"]:
    """ReLU network without output activation."""
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["weight"] + layer["bias"])
    return x @ params[-1]["weight"] + params[-1]["bias"]


def layer_norm(x: Float[Array, "*B H"]) -> Float[Array, "*B H"]:
    """Normalise the last axis to mean 0 and variance 1, without scale or shift."""
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, -1, keepdims=True) + 1e-6)


def apply_critic(params: Params, states: Float[Array, "*B S"], actions: Float[Array, "*B A"]) -> Float[Array, "*B"]:
    """Q(s, a): state and action joined, ReLU then :func:`layer_norm` after each hidden layer."""
    x = jnp.concatenate([states, actions], axis=-1)
    for layer in params[:-1]:
        x = layer_norm(jax.nn.relu(x @ layer["weight"] + layer["bias"]))
    return (x @ params[-1]["weight"] + params[-1]["bias"])[..., 0]
