"""Behavioural cloning, the one inner loop: distillation differentiates it, evaluation runs it.

    ℓ_BC(θ) = 1/(N A) Σ_i ‖tanh f_θ(s_i) − a_i‖²        (method §3)

All N pairs at once (full batch), from a fresh random start. States are standardised, actions lie in
[−1, 1].
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from potstill.networks import Params, apply_mlp
from potstill.recipes import Recipe
from potstill.starts import begun

LOG_STD_OFFSET = -1.0  # the reference's tanh-Gaussian head: log σ = clip(output − 1, −20, 2)
LOG_STD_RANGE = (-20.0, 2.0)


class Pairs(NamedTuple):
    """The distilled set while it is being distilled."""

    states: Float[Array, "N S"]
    """Standardised states."""
    actions: Float[Array, "N A"]
    """Actions scaled to [−1, 1]."""


def start(key: PRNGKeyArray, state_size: int, action_size: int, recipe: Recipe) -> Params:
    """A freshly initialised student."""
    outputs = action_size * (2 if recipe.sampled else 1)
    return begun(key, (state_size, *[recipe.width] * (recipe.layers - 1), outputs), recipe)


def mean_actions(params: Params, states: Float[Array, "B S"], action_size: int) -> Float[Array, "B A"]:
    """The student's mean actions, in [−1, 1]."""
    return jnp.tanh(apply_mlp(params, states)[..., :action_size])


def bc_loss(params: Params, pairs: Pairs, key: PRNGKeyArray | None = None) -> Float[Array, ""]:
    """ℓ_BC of the mean action or, given a key, of an action sampled from a tanh-Gaussian head."""
    output = apply_mlp(params, pairs.states)
    size = pairs.actions.shape[-1]
    mean = output[..., :size]
    if key is not None:
        std = jnp.exp(jnp.clip(output[..., size:] + LOG_STD_OFFSET, *LOG_STD_RANGE))
        mean = mean + std * jax.random.normal(key, mean.shape)
    return jnp.mean((jnp.tanh(mean) - pairs.actions) ** 2)


class Momentum(NamedTuple):
    """State of one student in training: parameters and the running gradient, v ← β v + ∇ℓ."""

    params: Any
    velocity: Any


def begin(params: Params) -> Momentum:
    """The state before the first step."""
    return Momentum(params, jax.tree.map(jnp.zeros_like, params))


def step(state: Momentum, gradient: Any, recipe: Recipe) -> Momentum:
    """One step of SGD: v ← β v + ∇ℓ, θ ← θ − α v."""
    velocity = gradient
    if recipe.momentum:  # without it there is no v to carry
        velocity = jax.tree.map(lambda v, g: recipe.momentum * v + g, state.velocity, gradient)
    params = jax.tree.map(lambda p, v: p - recipe.learning_rate * v, state.params, velocity)
    return Momentum(params, velocity)


def step_keys(key: PRNGKeyArray, recipe: Recipe) -> tuple[PRNGKeyArray, Any]:
    """The key of the start and, for sampled students, one key for each step."""
    if not recipe.sampled:
        return key, None
    start_key, noise_key = jax.random.split(key)
    return start_key, jax.random.split(noise_key, recipe.steps)


def train(key: PRNGKeyArray, pairs: Pairs, recipe: Recipe) -> Params:
    """Train one student on ``pairs`` from the start that ``key`` draws; pure and differentiable."""
    start_key, noise = step_keys(key, recipe)
    params = start(start_key, pairs.states.shape[-1], pairs.actions.shape[-1], recipe)
    return descend(params, noise, pairs, recipe)


def descend(params: Any, noise: Any, pairs: Pairs, recipe: Recipe) -> Params:
    """Train from ``params``; ``noise`` holds a key for each step, or ``None`` for mean actions."""

    def body(state: Momentum, noise_key: Any) -> tuple[Momentum, None]:
        return step(state, jax.grad(bc_loss)(state.params, pairs, noise_key), recipe), None

    return jax.lax.scan(body, begin(params), noise, length=recipe.steps)[0].params


@functools.partial(jax.jit, static_argnames="recipe")
def train_students(keys: Key[Array, " K"], pairs: Pairs, recipe: Recipe) -> Params:
    """Train K students on the same pairs; every array of the result gains a leading axis K."""

    def begun(key: PRNGKeyArray) -> tuple[Params, Any]:
        start_key, noise = step_keys(key, recipe)
        return start(start_key, pairs.states.shape[-1], pairs.actions.shape[-1], recipe), noise

    starts, noise = jax.lax.map(begun, keys)  # a loop: drawing under vmap takes seconds to compile
    return jax.vmap(lambda params, n: descend(params, n, pairs, recipe))(starts, noise)
