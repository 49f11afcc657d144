"""The full unroll: a real student's training, differentiated step by step (method §4).

Two adjoints of the same loop, equal up to rounding:

``autodiff``  back-propagation through ``lax.scan`` as JAX derives it.
``sweep``     the reverse sweep written out. With v ← β v + ∇ℓ(θ), θ ← θ − α v and λ, μ the adjoints of
              θ and v, each step backwards is

                  μ ← μ − α λ,    (λ, λ_D) ← (λ, λ_D) + ∂/∂ε ∇_(θ, D) ℓ(θ + ε μ, D),    μ ← β μ

              one forward-over-reverse product that yields the Hessian's and the pairs' part at once.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill import clone
from potstill.clone import Momentum, Pairs
from potstill.networks import Params
from potstill.recipes import Recipe


def unrolled_actions(
    pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray, *, recipe: Recipe, adjoint: str = "autodiff"
) -> Float[Array, "B A"]:
    """Mean actions in ``states`` of a student trained on ``pairs`` from the start that ``key`` draws."""
    if adjoint == "autodiff":
        params = clone.train(key, pairs, recipe)
    else:
        start_key, noise = clone.step_keys(key, recipe)
        first = clone.start(start_key, pairs.states.shape[-1], pairs.actions.shape[-1], recipe)
        params = swept(recipe, first, pairs, noise)
    return clone.mean_actions(params, states, pairs.actions.shape[-1])


def _swept(recipe: Recipe, params: Params, pairs: Pairs, noise: Any) -> Params:
    return _forward(recipe, params, pairs, noise)[0]


swept = jax.custom_vjp(_swept, nondiff_argnums=(0,))


def _forward(recipe: Recipe, params: Params, pairs: Pairs, noise: Any) -> tuple[Params, Any]:
    def body(state: Momentum, noise_key: PRNGKeyArray | None) -> tuple[Momentum, Params]:
        return clone.step(state, jax.grad(clone.bc_loss)(state.params, pairs, noise_key), recipe), state.params

    last, path = jax.lax.scan(body, clone.begin(params), noise, length=recipe.steps)
    return last.params, (path, pairs, noise)


def _backward(recipe: Recipe, residual: Any, adjoint: Params) -> tuple[Params, Pairs, None]:
    path, pairs, noise = residual
    gradient = jax.grad(clone.bc_loss, argnums=(0, 1))

    def body(carry: Any, step: Any) -> tuple[Any, None]:
        of_params, of_velocity, of_pairs = carry
        params, noise_key = step
        of_velocity = jax.tree.map(lambda m, a: m - recipe.learning_rate * a, of_velocity, of_params)
        tangents = jax.jvp(lambda p: gradient(p, pairs, noise_key), (params,), (of_velocity,))[1]
        of_params, of_pairs = jax.tree.map(jnp.add, (of_params, of_pairs), tangents)
        of_velocity = jax.tree.map(lambda m: recipe.momentum * m, of_velocity)
        return (of_params, of_velocity, of_pairs), None

    zero = (jax.tree.map(jnp.zeros_like, adjoint), jax.tree.map(jnp.zeros_like, pairs))
    carry, _ = jax.lax.scan(body, (adjoint, *zero), (path, noise), reverse=True)
    return carry[0], carry[2], None


swept.defvjp(_forward, _backward)
