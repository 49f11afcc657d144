"""Kernel descent at finite width: under the tangent kernels, and from the starts, of real networks.

With J the Jacobian of a drawn network's outputs in its parameters, the network linearised at its start
trains by

    f(S) ← f(S) − α₀ K v,    v ← β₀ v + ∂ℓ/∂f(S),    K = J(S) J(S)ᵀ                   (1)

over pairs and outputs at once. Where v has gathered to c the parameters have moved by J(S)ᵀ c, one product
backwards, and elsewhere f(s) = f₀(s) + J(s) J(S)ᵀ c, one forwards: only K itself, N A × N A, is ever made.
A layer with inputs h and ∂f_a/∂z = δ_a for its pre-activations z adds to it

    K_(x,a)(y,b) = Σ_layers (h(x)·h(y) + 1) δ_a(x)·δ_b(y).                            (2)

This is the student's own loss, start and finite width but for the features, which stay as they were.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import EmpiricalConfig
from potstill.distillation.solvers.kernel import descent
from potstill.networks.mlp import Params, apply_mlp, layer_inputs
from potstill.students import training as clone
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs


def empirical_kernel(params: Params, states: Float[Array, "N S"]) -> Float[Array, "N A N A"]:
    """(2) of one network, between all pairs of states and of outputs."""

    def of_biases(biases: list[Array], state: Float[Array, " S"]) -> Float[Array, " A"]:
        layers = [{**layer, "bias": bias} for layer, bias in zip(params, biases, strict=True)]
        return apply_mlp(type(params)(layers), state)

    biases = [layer["bias"] for layer in params]
    deltas = jax.vmap(jax.jacrev(of_biases), (None, 0))(biases, states)
    total = jnp.zeros((), states.dtype)
    for inputs, delta in zip(layer_inputs(params, states), deltas, strict=True):
        flat = delta.reshape(-1, delta.shape[-1])
        products = (flat @ flat.T).reshape(*delta.shape[:2], *delta.shape[:2])
        total = total + (inputs @ inputs.T + 1.0)[:, None, :, None] * products
    return total


def linearised_actions(
    params: Params, pairs: Pairs, states: Float[Array, "B S"], recipe: Recipe
) -> Float[Array, "B A"]:
    """Actions of the network that starts at ``params``, linearised there and trained on ``pairs``."""
    outputs, pull = jax.vjp(lambda p: apply_mlp(p, pairs.states), params)
    kernel = empirical_kernel(params, pairs.states).reshape(outputs.size, outputs.size)
    c = descent(kernel, outputs, pairs, recipe)
    start, change = jax.jvp(lambda p: apply_mlp(p, states), (params,), pull(c))
    return jnp.tanh(start + change)


def empirical_actions(
    pairs: Pairs,
    states: Float[Array, "B S"],
    key: PRNGKeyArray,
    *,
    recipe: Recipe,
    settings: EmpiricalConfig = EmpiricalConfig(),  # noqa: B008, frozen
) -> Float[Array, "B A"]:
    """Mean actions in ``states`` of linearised networks drawn from ``key``."""

    def one(key: PRNGKeyArray) -> Float[Array, "B A"]:
        params = clone.start(key, pairs.states.shape[-1], pairs.actions.shape[-1], recipe)
        return linearised_actions(params, pairs, states, recipe)

    return jax.lax.map(one, jax.random.split(key, settings.networks)).mean(axis=0)
