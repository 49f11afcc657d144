"""Kernel descent: the student's training run in function space, under its tangent kernel.

At infinite width a student moves by f ← f − α₀ K(·, S) v with v ← β₀ v + ∂ℓ/∂f(S): its own step size,
momentum, number of steps and loss, but N × N products instead of a network. It starts at f = 0 (the
variance of an orthogonal start is 2 s₃ / width). After T steps f(s) = K(s, S) c, where c gathers the
steps taken.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.clone import Pairs
from potstill.recipes import Recipe

EDGE = 1e-6  # keeps arccos differentiable where two states coincide; moves K by less than 0.1 %


@jax.custom_jvp
def _angle(cosine: Float[Array, "B N"]) -> Float[Array, "B N"]:
    return jnp.arccos(cosine)


@_angle.defjvp
def _angle_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    (cosine,), (tangent,) = primals, tangents
    return _angle(cosine), -tangent * jax.lax.rsqrt(1.0 - cosine**2)


def tangent_kernel(x: Float[Array, "B S"], y: Float[Array, "N S"], layers: int = 4) -> Float[Array, "B N"]:
    """Infinite-width tangent kernel of a ReLU network with orthogonal weights of gain √2, zero biases.

    With s₀ = x·y and θ_l the angle that s_l and the norms make, one layer maps

        s_{l+1} = ‖x‖ ‖y‖ (sin θ_l + (π − θ_l) cos θ_l) / π,      d_l = 1 − θ_l / π

    (arc-cosine kernels of order 1 and 0; gain √2 keeps the norms), and with L layers of weights

        K = (s_{L−1} + 1) + d_{L−2} ((s_{L−2} + 1) + d_{L−3} ( … + d_0 (s_0 + 1))),

    each 1 being the bias's share. Source: Jacot et al. 2018; Cho and Saul 2009.
    """
    norms = jnp.sqrt(jnp.sum(x**2, -1))[:, None] * jnp.sqrt(jnp.sum(y**2, -1))[None, :] + 1e-12
    cosine = jnp.clip((x @ y.T) / norms, -1.0 + EDGE, 1.0 - EDGE)
    kernel = norms * cosine + 1.0
    for _ in range(layers - 1):
        angle = _angle(cosine)
        share = 1.0 - angle / jnp.pi
        cosine = jnp.clip(jnp.sqrt(1.0 - cosine**2) / jnp.pi + share * cosine, -1.0 + EDGE, 1.0 - EDGE)
        kernel = norms * cosine + 1.0 + share * kernel
    return kernel


def coefficients(pairs: Pairs, recipe: Recipe) -> Float[Array, "N A"]:
    """C of f(s) = K(s, S) c after ``recipe.steps`` steps of the student's training in function space."""
    kernel = tangent_kernel(pairs.states, pairs.states, recipe.layers)
    weights = 1.0 if pairs.weights is None else pairs.weights[:, None]

    def body(carry: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        c, velocity = carry
        output = jnp.tanh(kernel @ c)
        gradient = 2.0 * (output - pairs.actions) * (1.0 - output**2) / pairs.actions.size
        velocity = recipe.momentum * velocity + weights * gradient
        return (c - recipe.learning_rate * velocity, velocity), None

    zero = jnp.zeros_like(pairs.actions)
    return jax.lax.scan(body, (zero, zero), None, length=recipe.steps)[0][0]


def kernel_actions(
    pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray, *, recipe: Recipe
) -> Float[Array, "B A"]:
    """What the infinitely wide student does in ``states``; it has no random start, ``key`` is unused."""
    del key
    return jnp.tanh(tangent_kernel(states, pairs.states, recipe.layers) @ coefficients(pairs, recipe))


@functools.partial(jax.jit, static_argnames="recipe")
def predict(pairs: Pairs, states: Float[Array, "B S"], recipe: Recipe) -> Float[Array, "B A"]:
    """:func:`kernel_actions`, compiled, for evaluation."""
    return kernel_actions(pairs, states, jax.random.key(0), recipe=recipe)
