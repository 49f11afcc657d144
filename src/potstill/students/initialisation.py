"""Initialisation schemes of students, each with the variances that its tangent kernel needs.

================  ===========================================================================
``orthogonal``    orthogonal weights with gain √2, zero biases; the paper's
``antisymmetric`` two half-wide orthogonal networks subtracted: the initial function is exactly 0
``he``            normal weights of variance 2 / fan-in, zero biases
``lecun``         normal weights of variance 1 / fan-in, zero biases
``torch``         weights and biases uniform within ±1/√fan-in, as ``torch.nn.Linear`` draws them
================  ===========================================================================

The last layer of an orthogonal network is small: its columns have norm √2 at any width. The initial output therefore
vanishes as 1/√width, while gradient steps of a fixed size still change it. Such students learn features at any width.
``he``, ``lecun`` and ``torch`` give initial outputs of order 1. Their tangent kernel grows with the width, so the
learning rate has to fall as 1/width, and their features hardly move (docs/explanation/kernel-descent.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from potstill.networks.mlp import Params, init_mlp, init_normal, init_torch
from potstill.networks.policy import Residual, Towers
from potstill.students.recipe import Initialisation, Recipe

Variance = Callable[[int, int], float]  # variance of one entry, as a function of fan-in and fan-out


@dataclass(frozen=True)
class Scheme:
    """An initialisation scheme: how networks are drawn, and the variances of their weights and biases."""

    draw: Callable[[PRNGKeyArray, tuple[int, ...]], Params]
    """Maps a key and the layer sizes (input to output) to the layers."""
    weight: Variance
    """Variance of a weight."""
    bias: Variance = lambda fan_in, fan_out: 0.0
    """Variance of a bias."""
    at_zero: bool = False
    """Whether the initial function is 0 everywhere."""


def init_antisymmetric(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Params:
    """The difference of two copies of a half-wide orthogonal network: the initial function is exactly 0.

    The hidden weights are block-diagonal, with the same half network twice. In the last layer, the copies have
    opposite signs. The first and last layers are divided by √2, so that the norms and the tangent kernel keep their
    scale.
    """
    half = init_mlp(key, (sizes[0], *[width // 2 for width in sizes[1:-1]], sizes[-1]))
    first, *hidden, last = half
    root = jnp.sqrt(2.0).astype(first["weight"].dtype)
    params = [{k: jnp.concatenate([v, v], -1) / root for k, v in first.items()}]
    for layer in hidden:
        w, b = layer["weight"], layer["bias"]
        params.append({"weight": jnp.block([[w, 0.0 * w], [0.0 * w, w]]), "bias": jnp.concatenate([b, b])})
    w = last["weight"] / root
    return [*params, {"weight": jnp.concatenate([w, -w]), "bias": last["bias"]}]


def _find_orthogonal_variance(fan_in: int, fan_out: int) -> float:
    return 2.0 / max(fan_in, fan_out)


def _find_uniform_variance(fan_in: int, fan_out: int) -> float:
    return 1.0 / (3.0 * fan_in)


SCHEMES: dict[Initialisation, Scheme] = {
    "orthogonal": Scheme(init_mlp, _find_orthogonal_variance),
    "antisymmetric": Scheme(init_antisymmetric, _find_orthogonal_variance, at_zero=True),
    "he": Scheme(lambda key, sizes: init_normal(key, sizes, 2.0), lambda fan_in, fan_out: 2.0 / fan_in),
    "lecun": Scheme(lambda key, sizes: init_normal(key, sizes, 1.0), lambda fan_in, fan_out: 1.0 / fan_in),
    "torch": Scheme(init_torch, _find_uniform_variance, _find_uniform_variance),
}


def draw_network(key: PRNGKeyArray, sizes: tuple[int, ...], recipe: Recipe) -> Params:
    """Draw the initial network of a student.

    Args:
        key: key of the random weights.
        sizes: layer sizes from input to output, such as ``(11, 256, 256, 256, 3)``.
        recipe: determines the scheme, the towers, the output gain and the residual block.
    """
    if recipe.towers > 1:  # a loop, because random draws under vmap take seconds to compile
        one = dataclasses.replace(recipe, towers=1)
        return Towers(jax.lax.map(lambda part: draw_network(part, sizes, one), jax.random.split(key, recipe.towers)))
    *hidden, last = SCHEMES[recipe.initialisation].draw(key, sizes)
    if recipe.output_gain != 1.0:
        last = jax.tree.map(lambda x: recipe.output_gain * x, last)
    return (Residual if recipe.residual else list)([*hidden, last])
