"""How students start: initialisation schemes, each with the variances that its tangent kernel is made of.

================  ===========================================================================
``orthogonal``    orthogonal weights with gain √2, zero biases; the paper's
``antisymmetric`` two half-wide orthogonal networks subtracted: the function starts at exactly 0
``he``            normal weights of variance 2 / fan-in, zero biases
``lecun``         normal weights of variance 1 / fan-in, zero biases
``torch``         weights and biases uniform within ±1/√fan-in, as ``torch.nn.Linear`` draws them
================  ===========================================================================

The last layer of an orthogonal start is small: its columns have norm √2 whatever the width, so that the
output vanishes as 1/√width while steps of one size keep moving it. Such students learn features at any
width. ``he``, ``lecun`` and ``torch`` start with outputs of order 1; there the tangent kernel grows with the
width, the learning rate has to fall as 1/width, and features stay as they are (docs/kernel.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from potstill.errors import unknown
from potstill.networks.mlp import Params, init_mlp, init_normal, init_torch
from potstill.networks.policy import Residual, Towers
from potstill.students.recipe import Recipe

Variance = Callable[[int, int], float]  # of one entry, from fan-in and fan-out


@dataclass(frozen=True)
class Start:
    """One scheme: how it draws a network, and the variances of what it draws."""

    draw: Callable[[PRNGKeyArray, tuple[int, ...]], Params]
    weight: Variance
    bias: Variance = lambda fan_in, fan_out: 0.0
    at_zero: bool = False
    """The function drawn is 0 everywhere."""


def antisymmetric(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Params:
    """Two copies of a half-wide network side by side, subtracted: the function starts at exactly 0.

    Block-diagonal hidden weights hold the same half network twice; the last layer has opposite signs.
    First and last layer have 1/√2 of the size, so that norms, and the tangent kernel, keep their scale.
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


def _orthogonal(fan_in: int, fan_out: int) -> float:
    return 2.0 / max(fan_in, fan_out)


def _uniform(fan_in: int, fan_out: int) -> float:
    return 1.0 / (3.0 * fan_in)


STARTS: dict[str, Start] = {
    "orthogonal": Start(init_mlp, _orthogonal),
    "antisymmetric": Start(antisymmetric, _orthogonal, at_zero=True),
    "he": Start(lambda key, sizes: init_normal(key, sizes, 2.0), lambda fan_in, fan_out: 2.0 / fan_in),
    "lecun": Start(lambda key, sizes: init_normal(key, sizes, 1.0), lambda fan_in, fan_out: 1.0 / fan_in),
    "torch": Start(init_torch, _uniform, _uniform),
}


def start_named(name: str) -> Start:
    """Look a scheme up; an unknown name is a :class:`~potstill.errors.PotstillError`."""
    if name not in STARTS:
        raise unknown("start", name, STARTS)
    return STARTS[name]


def drawn(key: PRNGKeyArray, sizes: tuple[int, ...], recipe: Recipe) -> Params:
    """A freshly drawn student of widths ``sizes``, from input to output."""
    if recipe.towers > 1:  # a loop: drawing under vmap takes seconds to compile
        one = dataclasses.replace(recipe, towers=1)
        return Towers(jax.lax.map(lambda part: drawn(part, sizes, one), jax.random.split(key, recipe.towers)))
    *hidden, last = start_named(recipe.start).draw(key, sizes)
    if recipe.output_gain != 1.0:
        last = jax.tree.map(lambda x: recipe.output_gain * x, last)
    return (Residual if recipe.residual else list)([*hidden, last])
