"""Behavioural cloning, the one inner loop: distillation differentiates it, evaluation runs it.

    ℓ_BC(θ) = 1/(N A) Σ_i w_i ‖tanh f_θ(s_i) − a_i‖²        (method §3; there w = 1)

All N pairs at once (full batch), from a fresh random start. States are standardised, actions lie in
[−1, 1].
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray

from potstill.networks.mlp import Params, apply_mlp
from potstill.runtime import devices
from potstill.students.initialisation import drawn
from potstill.students.recipe import Recipe

LOG_STD_OFFSET = -1.0  # the reference's tanh-Gaussian head: log σ = clip(output − 1, −20, 2)
LOG_STD_RANGE = (-20.0, 2.0)
BETAS, EPS_ROOT = (0.9, 0.999), 1e-12  # of Adam; gradients of students are 1e-5 and more


class Pairs(NamedTuple):
    """The distilled set while it is being distilled."""

    states: Float[Array, "N S"]
    """Standardised states."""
    actions: Float[Array, "N A"]
    """Actions scaled to [−1, 1]."""
    weights: Float[Array, " N"] | None = None
    """w, how much each pair counts; for SGD their mean is a factor on the step size. ``None``: 1 each."""


def start(key: PRNGKeyArray, state_size: int, action_size: int, recipe: Recipe) -> Params:
    """A freshly initialised student."""
    outputs = action_size * (2 if recipe.sampled else 1)
    return drawn(key, (state_size, *[recipe.width] * (recipe.layers - 1), outputs), recipe)


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
    errors = (jnp.tanh(mean) - pairs.actions) ** 2
    return jnp.mean(errors if pairs.weights is None else pairs.weights[:, None] * errors)


class Training(NamedTuple):
    """One student in training: its parameters, and what its optimiser carries from step to step."""

    params: Any
    carried: Any
    """SGD: the running gradient v. Adam: running means of ∇ℓ and of its square, and the powers β₁ᵗ, β₂ᵗ."""


def begin(params: Params, recipe: Recipe) -> Training:
    """The state before the first step."""
    zero = jax.tree.map(jnp.zeros_like, params)
    one = jnp.ones((), params[0]["weight"].dtype)
    return Training(params, (zero, zero, (one, one)) if recipe.optimiser == "adam" else zero)


def step(state: Training, gradient: Any, recipe: Recipe) -> Training:
    """One step of SGD, v ← β v + ∇ℓ, θ ← θ − α v, with ``towers`` times the learning rate for α; or of Adam."""
    if recipe.optimiser == "adam":
        return _adam(state, gradient, recipe.learning_rate)
    velocity = gradient
    if recipe.momentum:  # without it there is no v to carry
        velocity = jax.tree.map(lambda v, g: recipe.momentum * v + g, state.carried, gradient)
    rate = recipe.learning_rate * recipe.towers
    params = jax.tree.map(lambda p, v: p - rate * v, state.params, velocity)
    return Training(params, velocity)


def _adam(state: Training, gradient: Any, rate: float) -> Training:
    """θ ← θ − α m̂ / √(v̂ + ε).

    ε is under the root. Outside, the derivative of √v̂ would be infinite wherever a gradient is 0, as all
    those of a dead unit are, and the outer gradient not a number. Written out, because optax counts steps
    in an integer, which no adjoint can carry.
    """
    mean, square, powers = state.carried
    first, second = BETAS
    mean = jax.tree.map(lambda m, g: first * m + (1.0 - first) * g, mean, gradient)
    square = jax.tree.map(lambda v, g: second * v + (1.0 - second) * g**2, square, gradient)
    powers = (first * powers[0], second * powers[1])

    def moved(p: Array, m: Array, v: Array) -> Array:
        return p - rate * (m / (1.0 - powers[0])) * jax.lax.rsqrt(v / (1.0 - powers[1]) + EPS_ROOT)

    return Training(jax.tree.map(moved, state.params, mean, square), (mean, square, powers))


def step_keys(key: PRNGKeyArray, recipe: Recipe) -> tuple[PRNGKeyArray, Any]:
    """The key of the start and, for sampled students, one key for each step."""
    if not recipe.sampled:
        return key, None
    start_key, noise_key = jax.random.split(key)
    return start_key, jax.random.split(noise_key, recipe.steps)


def begun(key: PRNGKeyArray, pairs: Pairs, recipe: Recipe) -> tuple[Training, Any]:
    """A student before its first step, from the start that ``key`` draws; and its :func:`step_keys`."""
    start_key, noise = step_keys(key, recipe)
    return begin(start(start_key, pairs.states.shape[-1], pairs.actions.shape[-1], recipe), recipe), noise


def train(key: PRNGKeyArray, pairs: Pairs, recipe: Recipe) -> Params:
    """Train one student on ``pairs`` from the start that ``key`` draws; pure and differentiable."""
    return descend(*begun(key, pairs, recipe), pairs, recipe, recipe.steps).params


def one_step(state: Training, noise_key: PRNGKeyArray | None, pairs: Pairs, recipe: Recipe) -> Training:
    """One step of behavioural cloning on all ``pairs``."""
    return step(state, jax.grad(bc_loss)(state.params, pairs, noise_key), recipe)


def descend(state: Training, noise: Any, pairs: Pairs, recipe: Recipe, steps: int) -> Training:
    """Train for ``steps`` more steps; ``noise`` holds a key for each, or is ``None`` for mean actions."""
    body = lambda state, noise_key: (one_step(state, noise_key, pairs, recipe), None)  # noqa: E731
    return jax.lax.scan(body, state, noise, length=steps)[0]


@functools.partial(jax.jit, static_argnames="recipe")
def train_students(keys: Key[Array, " K"], pairs: Pairs, recipe: Recipe) -> Params:
    """Train K students on the same pairs, shared among the devices; every array gains a leading axis K."""
    # a loop: drawing under vmap takes seconds to compile
    crew = jax.lax.map(lambda key: begun(key, pairs, recipe), keys)
    descend_one = lambda state, noise: descend(state, noise, pairs, recipe, recipe.steps)  # noqa: E731
    return devices.whole(jax.vmap(descend_one)(*devices.spread(crew, devices.own())).params, devices.own())
