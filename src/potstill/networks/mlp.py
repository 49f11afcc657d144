"""Multilayer perceptrons in JAX: initialisation and forward passes of students, teachers and critics."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.networks.policy import Layer, Residual, Towers

Params = list[Layer]  # one {"weight": [in, out], "bias": [out]} per layer, from input to output
GAIN = 2.0**0.5
OUTPUT_RANGE, HIDDEN_BIAS = 3e-3, 0.1  # last layer's bound and hidden biases of :func:`init_uniform`


def _flatten(layers: list[Layer]) -> tuple[tuple[Layer, ...], None]:
    return tuple(layers), None


jax.tree_util.register_pytree_node(Residual, _flatten, lambda _, layers: Residual(layers))
jax.tree_util.register_pytree_node(Towers, _flatten, lambda _, layers: Towers(layers))


def draw_orthogonal(normal: Float[Array, "in out"]) -> Float[Array, "in out"]:
    """Draw orthonormal rows or columns (whichever are fewer), times √2, from a matrix of standard normal samples."""
    tall = normal.shape[0] >= normal.shape[1]
    q, r = jnp.linalg.qr(normal if tall else normal.T)
    q = q * jnp.sign(jnp.diagonal(r))  # makes the distribution uniform over orthogonal matrices
    return GAIN * (q if tall else q.T)


def init_mlp(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Params:
    """Orthogonal weights with gain √2 and zero biases, the paper's initialisation.

    Args:
        key: key of the random weights.
        sizes: widths from input to output, such as ``(11, 256, 256, 256, 3)`` for four layers.
    """
    drawn = jax.random.normal(key, (_count_numbers(sizes),))
    return [{"weight": draw_orthogonal(x), "bias": jnp.zeros(x.shape[1])} for x in _cut_by_sizes(drawn, sizes)]


def init_uniform(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Params:
    """Weights uniform by fan-in, biases of 0.1, last layer within ±0.003: a common choice for actors and critics."""
    drawn = jax.random.uniform(key, (_count_numbers(sizes),), minval=-1.0, maxval=1.0)
    *hidden, last = _cut_by_sizes(drawn, sizes)
    params = [{"weight": x * len(x) ** -0.5, "bias": jnp.full(x.shape[1], HIDDEN_BIAS)} for x in hidden]
    return [*params, {"weight": OUTPUT_RANGE * last, "bias": jnp.zeros(last.shape[1])}]


def init_normal(key: PRNGKeyArray, sizes: tuple[int, ...], gain: float) -> Params:
    """Normal weights of variance ``gain`` / fan-in and zero biases: He's with gain 2, LeCun's with 1."""
    drawn = jax.random.normal(key, (_count_numbers(sizes),))
    return [{"weight": x * (gain / len(x)) ** 0.5, "bias": jnp.zeros(x.shape[1])} for x in _cut_by_sizes(drawn, sizes)]


def init_torch(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Params:
    """Weights and biases uniform within ±1/√fan-in: the default of PyTorch's linear layers."""
    joined = [(fan_in + 1, fan_out) for fan_in, fan_out in itertools.pairwise(sizes)]
    drawn = jax.random.uniform(key, (sum(a * b for a, b in joined),), minval=-1.0, maxval=1.0)
    layers = [x * (len(x) - 1) ** -0.5 for x in _cut(drawn, joined)]
    return [{"weight": x[:-1], "bias": x[-1]} for x in layers]


def _count_numbers(sizes: tuple[int, ...]) -> int:
    """Count all weights. They are drawn in one call, because each call takes half a second to compile."""
    return sum(a * b for a, b in itertools.pairwise(sizes))


def _cut_by_sizes(drawn: Float[Array, " W"], sizes: tuple[int, ...]) -> list[Float[Array, "in out"]]:
    return _cut(drawn, list(itertools.pairwise(sizes)))


def _cut(drawn: Float[Array, " W"], shapes: list[tuple[int, int]]) -> list[Float[Array, "in out"]]:
    ends = list(itertools.accumulate(a * b for a, b in shapes))
    return [x.reshape(shape) for x, shape in zip(jnp.split(drawn, ends[:-1]), shapes, strict=True)]


def init_stack(init: Callable[..., Params], key: PRNGKeyArray, sizes: tuple[int, ...], count: int) -> Params:
    """Initialise ``count`` networks of one shape, stacked on the first axis of every array."""
    networks = [init(part, sizes) for part in jax.random.split(key, count)]
    stacked: Params = jax.tree.map(lambda *parts: jnp.stack(parts), *networks)
    return stacked


def compute_layer_inputs(params: Params, x: Float[Array, "*B in"]) -> list[Float[Array, "*B _"]]:
    """Compute the input of each layer of a ReLU network. Residual networks add the first output to the last input."""
    inputs = [x]
    for layer in params[:-1]:
        inputs.append(jax.nn.relu(inputs[-1] @ layer["weight"] + layer["bias"]))
    if isinstance(params, Residual):
        inputs[-1] = inputs[-1] + inputs[1]
    return inputs


def apply_mlp(params: Params, x: Float[Array, "*B in"]) -> Float[Array, "*B out"]:
    """Compute the outputs of a ReLU network without output activation, averaged over :class:`Towers`."""
    if isinstance(params, Towers):
        outputs: Array = jax.vmap(apply_mlp, (0, None))(list(params), x)
        return outputs.mean(axis=0)
    output: Array = compute_layer_inputs(params, x)[-1] @ params[-1]["weight"] + params[-1]["bias"]
    return output


def layer_norm(x: Float[Array, "*B H"]) -> Float[Array, "*B H"]:
    """Normalise the last axis to mean 0 and variance 1, without scale or shift."""
    centred = x - x.mean(-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(centred**2, -1, keepdims=True) + 1e-6)


def compute_critic_outputs(params: Params, x: Float[Array, "*B in"], *, normed: bool) -> Float[Array, "*B out"]:
    """Compute the outputs of a ReLU network, with :func:`layer_norm` after each hidden layer if ``normed``."""
    for layer in params[:-1]:
        x = jax.nn.relu(x @ layer["weight"] + layer["bias"])
        x = layer_norm(x) if normed else x
    outputs: Array = x @ params[-1]["weight"] + params[-1]["bias"]
    return outputs


def apply_critic(
    params: Params, states: Float[Array, "*B S"], actions: Float[Array, "*B A"], *, normed: bool = True
) -> Float[Array, "*B"]:
    """Compute Q(s, a): ReLU and, if ``normed``, :func:`layer_norm` after each hidden layer.

    The input is the state joined with the action. A critic of discrete actions takes the state alone and has one output
    for each action; ``actions`` are then vectors of probabilities, and the result is Σ_a π(a | s) Q(s, a).
    """
    finite = params[0]["weight"].shape[-2] == states.shape[-1]
    x = states if finite else jnp.concatenate([states, actions], axis=-1)
    values = compute_critic_outputs(params, x, normed=normed)
    return jnp.sum(values * actions, axis=-1) if finite else values[..., 0]


def apply_critics(
    params: Params, states: Float[Array, "*B S"], actions: Float[Array, "*B A"], *, normed: bool = True
) -> Float[Array, "C *B"]:
    """Compute Q(s, a) by each of C stacked critics."""
    return jax.vmap(lambda one: apply_critic(one, states, actions, normed=normed))(params)
