"""Closed forms: the last layer, or the infinitely wide student, trained for ever under a penalty.

Under a kernel K a student trained to the end computes

    f(s) = K(s, S) (K(S, S) + λ I)⁻¹ y,    y = artanh((1 − m) a),                     (1)

the limit of gradient descent on ½ ‖f(S) − y‖² with a penalty λ, or stopped early. The squared error behind a
tanh has the same minimum, y = artanh a; the margin m keeps actions at ±1 finite.

``ridge``     K is the infinite-width tangent kernel (the limit of kernel descent).
``features``  K(x, y) = 1/P Σ_p φ_p(x)·φ_p(y) + 1 with φ_p the last hidden layer of network p, the 1 a bias:
              only the last layer learns. The pool's networks are drawn from the key; p = 1 … P has been
              trained on the pairs as they are for p / P of ``trained`` steps, and no gradient goes
              through that. Source: FRePo (Zhou et al. 2022), there with a pool that lives on between steps.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import FeaturesConfig, RidgeConfig
from potstill.distillation.solvers.kernel import tangent_kernel
from potstill.networks.mlp import layer_inputs
from potstill.students import training as clone
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs

MARGIN = 0.01


def regression(
    kernel: Float[Array, "N N"], elsewhere: Float[Array, "B N"], pairs: Pairs, penalty: float
) -> Float[Array, "B A"]:
    """Actions by (1): ``kernel`` of the pairs, ``elsewhere`` between states and pairs, λ in mean diagonals.

    Of pairs with weights w it is λ / w for each, by (W½ K W½ + λ I) z = W½ y, c = W½ z; means are weighted.
    """
    weights = jnp.ones(len(kernel)) if pairs.weights is None else pairs.weights
    roots = jnp.sqrt(weights * weights.sum() / jnp.sum(weights**2))
    size = penalty * jnp.sum(weights * jnp.diagonal(kernel)) / weights.sum()
    targets = roots[:, None] * jnp.arctanh((1.0 - MARGIN) * pairs.actions)
    inner = roots[:, None] * kernel * roots + size * jnp.eye(len(kernel))
    return jnp.tanh(elsewhere @ (roots[:, None] * jax.scipy.linalg.solve(inner, targets, assume_a="pos")))


def ridge_actions(
    pairs: Pairs,
    states: Float[Array, "B S"],
    key: PRNGKeyArray,
    *,
    recipe: Recipe,
    settings: RidgeConfig = RidgeConfig(),  # noqa: B008, frozen
) -> Float[Array, "B A"]:
    """What the infinitely wide student does after endless training; ``key`` is unused."""
    del key
    kernel, elsewhere = (tangent_kernel(x, pairs.states, recipe) for x in (pairs.states, states))
    return regression(kernel, elsewhere, pairs, settings.penalty)


def feature_actions(
    pairs: Pairs,
    states: Float[Array, "B S"],
    key: PRNGKeyArray,
    *,
    recipe: Recipe,
    settings: FeaturesConfig = FeaturesConfig(),  # noqa: B008, frozen
) -> Float[Array, "B A"]:
    """What the last layer learns on the features of a pool of networks drawn from ``key``."""
    fixed = jax.lax.stop_gradient(pairs)
    kernel, elsewhere = jnp.ones(()), jnp.ones(())
    for place, network_key in enumerate(jax.random.split(key, settings.networks)):
        age = settings.trained * (place + 1) // settings.networks
        network = clone.train(network_key, fixed, dataclasses.replace(recipe, steps=age))
        at_pairs, at_states = (layer_inputs(network, x)[-1] for x in (pairs.states, states))
        kernel = kernel + at_pairs @ at_pairs.T / settings.networks
        elsewhere = elsewhere + at_states @ at_pairs.T / settings.networks
    return regression(kernel, elsewhere, pairs, settings.penalty)
