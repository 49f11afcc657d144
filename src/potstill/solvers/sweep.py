"""The reverse sweep of the unroll written out by hand, for students that clone mean actions.

The forward pass keeps what each inner step computed: weights W_l, activations h_l and the loss's
derivatives δ_l at the layers' inputs. With a dot for the derivative along μ, the adjoint of the velocity,
one step backwards needs

    ż_l = ḣ_{l−1} W_l + h_{l−1} μ_l + μ_l^bias,         ḣ_l = ż_l 1[z_l > 0],     ḣ_0 = 0
    δ̇_l = (δ̇_{l+1} W_{l+1}ᵀ + δ_{l+1} μ_{l+1}ᵀ) 1[z_l > 0]
    (∇²ℓ μ)_l = ḣ_{l−1}ᵀ δ_l + h_{l−1}ᵀ δ̇_l             and, for the pairs' states,  δ̇_1 W_1ᵀ + δ_1 μ_1ᵀ

Each sum of two products is one product of stacked matrices, which is what makes this faster than the
derivative that JAX finds: six products a layer and step in three calls, nothing computed twice.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from potstill import clone
from potstill.clone import Momentum, Pairs
from potstill.networks import Params
from potstill.recipes import Recipe


class Trace(NamedTuple):
    """What one inner step computed."""

    params: Any
    hidden: list[Any]
    """h_0 … h_{L−1}; h_0, the states, is the same in every step and is not kept."""
    deltas: list[Any]
    """δ_1 … δ_L, the loss's derivative at each layer's input."""
    output: Any
    """tanh of the last layer, [N, A]."""


def differentiate(params: Params, pairs: Pairs) -> tuple[Params, Trace]:
    """∇ℓ_BC by hand, with all that the sweep will need."""
    hidden = [pairs.states]
    for layer in params[:-1]:
        hidden.append(jax.nn.relu(hidden[-1] @ layer["weight"] + layer["bias"]))
    output = jnp.tanh(hidden[-1] @ params[-1]["weight"] + params[-1]["bias"])
    deltas = [2.0 * (output - pairs.actions) * (1.0 - output**2) / output.size]
    for layer, active in zip(params[:0:-1], hidden[:0:-1], strict=True):
        deltas.insert(0, jnp.where(active > 0, deltas[0] @ layer["weight"].T, 0.0))
    gradient = [{"weight": h.T @ d, "bias": d.sum(0)} for h, d in zip(hidden, deltas, strict=True)]
    return gradient, Trace(params, hidden[1:], deltas, output)


def directional(trace: Trace, pairs: Pairs, along: Params) -> tuple[Params, Pairs]:
    """∂/∂ε ∇ℓ(θ + ε μ): the Hessian-vector product, and the same for the pairs."""
    hidden = [pairs.states, *trace.hidden]
    moved: list[Any] = [None]
    for layer, mu, h, active in zip(trace.params, along, hidden, [*trace.hidden, None], strict=True):
        z = _sum(h, mu["weight"], moved[-1], layer["weight"]) + mu["bias"]
        moved.append(z if active is None else jnp.where(active > 0, z, 0.0))
    y, size = trace.output, trace.output.size
    slope = 1.0 - y**2
    curvature = 2.0 / size * slope * (slope - 2.0 * y * (y - pairs.actions))
    bent = [curvature * moved[-1]]
    backwards = zip(trace.params[::-1], along[::-1], trace.deltas[::-1], hidden[::-1], strict=True)
    for layer, mu, delta, active in backwards:
        back = _sum(bent[0], layer["weight"].T, delta, mu["weight"].T)
        bent.insert(0, jnp.where(active > 0, back, 0.0) if len(bent) < len(hidden) else back)
    products = [
        {"weight": _sum(h.T, b, None if m is None else m.T, d), "bias": b.sum(0)}
        for h, m, d, b in zip(hidden, moved, trace.deltas, bent[1:], strict=False)
    ]
    return products, Pairs(bent[0], -2.0 / size * slope * moved[-1])


def _sum(a: Array, b: Array, c: Array | None, d: Array) -> Array:
    """``a @ b + c @ d`` as one product; ``c`` may be missing."""
    return a @ b if c is None else jnp.concatenate([a, c], 1) @ jnp.concatenate([b, d], 0)


def _descend(recipe: Recipe, params: Params, pairs: Pairs) -> Params:
    return _forward(recipe, params, pairs)[0]


def _forward(recipe: Recipe, params: Params, pairs: Pairs) -> tuple[Params, Any]:
    def body(state: Momentum, _: None) -> tuple[Momentum, Trace]:
        gradient, trace = differentiate(state.params, pairs)
        return clone.step(state, gradient, recipe), trace

    last, path = jax.lax.scan(body, clone.begin(params), None, length=recipe.steps)
    return last.params, (path, pairs)


def _backward(recipe: Recipe, residual: Any, adjoint: Params) -> tuple[Params, Pairs]:
    path, pairs = residual

    def body(carry: Any, trace: Trace) -> tuple[Any, None]:
        of_params, of_velocity, of_pairs = carry
        of_velocity = jax.tree.map(lambda m, a: m - recipe.learning_rate * a, of_velocity, of_params)
        products, pair_products = directional(trace, pairs, of_velocity)
        of_params = jax.tree.map(jnp.add, of_params, products)
        of_pairs = jax.tree.map(jnp.add, of_pairs, pair_products)
        return (of_params, jax.tree.map(lambda m: recipe.momentum * m, of_velocity), of_pairs), None

    zero = (jax.tree.map(jnp.zeros_like, adjoint), jax.tree.map(jnp.zeros_like, pairs))
    of_params, _, of_pairs = jax.lax.scan(body, (adjoint, *zero), path, reverse=True)[0]
    return of_params, of_pairs


descend = jax.custom_vjp(_descend, nondiff_argnums=(0,))
descend.defvjp(_forward, _backward)
