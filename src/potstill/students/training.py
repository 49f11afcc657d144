"""Behavioural cloning, the inner loop. Distillation differentiates through it; evaluation only runs it.

    ℓ_BC(θ) = 1/(N A) Σ_i w_i ‖tanh f_θ(s_i) − a_i‖²        (in the paper, w = 1)

For a finite set of actions, a_i are probabilities of the A actions, and the loss is their cross-entropy:

    ℓ_BC(θ) = −1/N Σ_i w_i Σ_a a_ia log softmax(f_θ(s_i))_a

Each step uses all N pairs (full batch) or, if the recipe says so, a random batch of them. Training starts from a random
initialisation. States are standardised, actions lie in [−1, 1].
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree

from potstill.data.scaling import Scaling
from potstill.errors import PotstillError
from potstill.networks.mlp import Params, apply_mlp
from potstill.runtime import devices
from potstill.runtime.arguments import check_arguments
from potstill.runtime.pytrees import register_named_tuple
from potstill.runtime.validation import as_numbers
from potstill.students.initialisation import draw_network
from potstill.students.recipe import Loss, Recipe

LOG_STD_OFFSET = -1.0  # the reference's tanh-Gaussian head: log σ = clip(output − 1, −20, 2)
LOG_STD_RANGE = (-20.0, 2.0)
BETAS, EPS_ROOT = (0.9, 0.999), 1e-12  # of Adam; gradients of students are 1e-5 or larger

StepKeys: TypeAlias = Key[Array, " T"] | None
"""One key for each training step if the BC loss samples actions; ``None`` if it uses the mean action."""


@check_arguments
@register_named_tuple
class Pairs(NamedTuple):
    """N pairs as students train on them: standardised states and scaled actions.

    :attr:`potstill.Distillate.pairs` has those of a file, in these units.

    Example:
        >>> pairs = Pairs(jnp.zeros((4, 3)), jnp.full((4, 1), 0.5))
        >>> len(pairs.states), pairs.weights is None
        (4, True)
    """

    states: Float[Array, "N S"]
    """Standardised states."""
    actions: Float[Array, "N A"]
    """Actions scaled to [−1, 1]; for discrete actions, probabilities."""
    weights: Float[Array, " N"] | None = None
    """w, the weight of each pair. Their mean scales the step size of SGD. ``None``: all weights are 1."""


def check_pairs(pairs: Pairs, scaling: Scaling) -> None:
    """Raise unless states, actions and weights are finite, equal in number and of the sizes of the scaling."""
    columns = {"states": pairs.states, "actions": pairs.actions}
    arrays = [as_numbers(f"Pairs.{name}", np.asarray(column), axes=2) for name, column in columns.items()]
    if pairs.weights is not None:
        arrays.append(as_numbers("Pairs.weights", np.asarray(pairs.weights), axes=1))
    if len({len(array) for array in arrays}) > 1:
        raise PotstillError(f"Pairs of different lengths: {', '.join(str(len(array)) for array in arrays)}")
    found = (arrays[0].shape[1], arrays[1].shape[1])
    needed = (len(scaling.normaliser.mean), len(scaling.action_bounds))
    if found != needed:
        raise PotstillError(f"Pairs have {found} state and action components, but the scaling has {needed}")


class TrainingState(NamedTuple):
    """One student in training: its parameters and its optimiser's state."""

    params: PyTree
    optimiser: PyTree
    """SGD: the velocity v. Adam: running means of ∇ℓ and of its square, and the powers β₁ᵗ, β₂ᵗ."""


def initialise_network(key: PRNGKeyArray, state_size: int, action_size: int, recipe: Recipe) -> Params:
    """Draw the initial network of a student."""
    outputs = action_size * (2 if recipe.sampled else 1)
    return draw_network(key, (state_size, *[recipe.width] * (recipe.layers - 1), outputs), recipe)


def compute_unit_actions(outputs: Float[Array, "*B A"], loss: Loss) -> Float[Array, "*B A"]:
    """Turn a network's outputs into actions: tanh, or for discrete actions the probabilities softmax."""
    return jax.nn.softmax(outputs) if loss == "cross-entropy" else jnp.tanh(outputs)


def compute_mean_actions(
    params: Params, states: Float[Array, "B S"], action_size: int, loss: Loss = "squared-error"
) -> Float[Array, "B A"]:
    """Compute the student's mean actions, in [−1, 1]; or the probabilities of discrete actions."""
    return compute_unit_actions(apply_mlp(params, states)[..., :action_size], loss)


def bc_loss(
    params: Params, pairs: Pairs, key: PRNGKeyArray | None = None, loss: Loss = "squared-error"
) -> Float[Array, ""]:
    """ℓ_BC of the mean action or, with a key, of an action sampled from a tanh-Gaussian head."""
    output = apply_mlp(params, pairs.states)
    if loss == "cross-entropy":
        entropies = -jnp.sum(pairs.actions * jax.nn.log_softmax(output), axis=-1)
        return jnp.mean(entropies if pairs.weights is None else pairs.weights * entropies)
    size = pairs.actions.shape[-1]
    mean = output[..., :size]
    if key is not None:
        std = jnp.exp(jnp.clip(output[..., size:] + LOG_STD_OFFSET, *LOG_STD_RANGE))
        mean = mean + std * jax.random.normal(key, mean.shape)
    errors = (jnp.tanh(mean) - pairs.actions) ** 2
    return jnp.mean(errors if pairs.weights is None else pairs.weights[:, None] * errors)


def initialise_training(params: Params, recipe: Recipe) -> TrainingState:
    """Make the state before the first step."""
    zero = jax.tree.map(jnp.zeros_like, params)
    if recipe.optimiser == "sgd":
        return TrainingState(params, zero)
    one = jnp.ones((), jax.tree.leaves(params)[0].dtype)
    return TrainingState(params, (zero, zero, (one, one)))


def take_optimiser_step(state: TrainingState, gradient: PyTree, recipe: Recipe) -> TrainingState:
    """Take one step of the recipe's optimiser.

    SGD: v ← β v + ∇ℓ, θ ← θ − α v, where α is ``towers`` times the learning rate.
    """
    if recipe.optimiser != "sgd":
        return _take_adam_step(state, gradient, recipe)
    velocity = gradient
    if recipe.momentum:  # without momentum, v is the gradient
        velocity = jax.tree.map(lambda v, g: recipe.momentum * v + g, state.optimiser, gradient)
    rate = recipe.learning_rate * recipe.towers
    params = jax.tree.map(lambda p, v: p - rate * v, state.params, velocity)
    return TrainingState(params, velocity)


def _take_adam_step(state: TrainingState, gradient: PyTree, recipe: Recipe) -> TrainingState:
    """Take a step: θ ← θ − α (m̂ / √(v̂ + ε) + λ θ), with λ = 0 for Adam.

    ε is inside the square root. If it were outside, the derivative of √v̂ would be infinite wherever a gradient is 0 (as
    for every dead unit), and the outer gradient would be NaN. optax is not used here because it counts steps in an
    integer, for which no adjoint exists. Source of λ: Loshchilov and Hutter 2019 (AdamW).
    """
    mean, square, powers = state.optimiser
    first, second = BETAS
    rate, decay = recipe.learning_rate, recipe.weight_decay if recipe.optimiser == "adamw" else 0.0
    mean = jax.tree.map(lambda m, g: first * m + (1.0 - first) * g, mean, gradient)
    square = jax.tree.map(lambda v, g: second * v + (1.0 - second) * g**2, square, gradient)
    powers = (first * powers[0], second * powers[1])

    def stepped(p: Array, m: Array, v: Array) -> Array:
        moved: Array = p - rate * (m / (1.0 - powers[0])) * jax.lax.rsqrt(v / (1.0 - powers[1]) + EPS_ROOT)
        return moved - rate * decay * p if decay else moved

    return TrainingState(jax.tree.map(stepped, state.params, mean, square), (mean, square, powers))


def split_key(key: PRNGKeyArray, recipe: Recipe) -> tuple[PRNGKeyArray, StepKeys]:
    """Split a key into that of the initial network and, if steps draw actions or a batch, one for each step."""
    if not recipe.sampled and not recipe.batch:
        return key, None
    network_key, step_key = jax.random.split(key)
    return network_key, jax.random.split(step_key, recipe.steps)


def initialise_student(key: PRNGKeyArray, pairs: Pairs, recipe: Recipe) -> tuple[TrainingState, StepKeys]:
    """Make a student before its first step, with a network drawn from ``key``, and the keys of its steps."""
    network_key, step_keys = split_key(key, recipe)
    params = initialise_network(network_key, pairs.states.shape[-1], pairs.actions.shape[-1], recipe)
    return initialise_training(params, recipe), step_keys


def train_network(key: PRNGKeyArray, pairs: Pairs, recipe: Recipe) -> Params:
    """Train one student on ``pairs`` from an initial network drawn from ``key``. Pure and differentiable."""
    state, step_keys = initialise_student(key, pairs, recipe)
    params: Params = train_steps(state, step_keys, pairs, recipe, recipe.steps).params
    return params


def step_loss(params: Params, pairs: Pairs, key: PRNGKeyArray | None, recipe: Recipe) -> Float[Array, ""]:
    """ℓ_BC of one step: on all pairs or on the batch that ``key`` draws. Without a key, nothing is drawn."""
    if recipe.batch and key is not None:
        key, batch_key = jax.random.split(key)
        rows = jax.random.randint(batch_key, (recipe.batch,), 0, len(pairs.states))
        pairs = jax.tree.map(lambda column: column[rows], pairs)
    return bc_loss(params, pairs, key if recipe.sampled else None, recipe.loss)


def train_step(state: TrainingState, key: PRNGKeyArray | None, pairs: Pairs, recipe: Recipe) -> TrainingState:
    """Take one step of behavioural cloning."""
    return take_optimiser_step(state, jax.grad(step_loss)(state.params, pairs, key, recipe), recipe)


def train_steps(state: TrainingState, keys: StepKeys, pairs: Pairs, recipe: Recipe, steps: int) -> TrainingState:
    """Train for ``steps`` more steps. ``keys`` has one key for each step, or is ``None``: nothing is drawn."""
    body = lambda state, key: (train_step(state, key, pairs, recipe), None)  # noqa: E731
    trained: TrainingState = jax.lax.scan(body, state, keys, length=steps)[0]
    return trained


@functools.partial(jax.jit, static_argnames="recipe")
def train_networks(keys: Key[Array, " K"], pairs: Pairs, recipe: Recipe) -> Params:
    """Train K students on the same pairs, distributed over the devices. Every array has a leading axis K."""
    # a loop, because random draws under vmap take seconds to compile
    fresh = jax.lax.map(lambda key: initialise_student(key, pairs, recipe), keys)
    train_one = lambda state, keys: train_steps(state, keys, pairs, recipe, recipe.steps)  # noqa: E731
    train_all: Callable[..., TrainingState] = jax.vmap(train_one)
    params: Params = train_all(*devices.shard(fresh, devices.find_local_devices())).params
    return devices.replicate(params, devices.find_local_devices())
