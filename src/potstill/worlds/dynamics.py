"""The dynamics of a world model: pure functions of its arrays.

Let s be a standardised state, a an action in [−1, 1] and x = (s, a, 1). Each member k predicts the change of the
state, the reward r, and the logit z of a termination:

    (s′ − s, r) = x W + σ ∘ f_k(s, a),        z = g_k(s, a)                           (1)

W is the least-squares fit to all rows, σ the standard deviation of its residuals, and (f_k, g_k) one SiLU network. The
linear part is exact where a component of the state integrates another one, as positions integrate velocities. The
prediction of the model is the mean over the members; their standard deviation is their disagreement. In a rollout, each
episode has one member from its first step to its last (TS∞ of PETS): the mean is smoother than any dynamics that the
data allow, and more forgiving. An episode terminates where s′ lies beyond the limits of
:mod:`~potstill.worlds.limits`, or, if the terminations of the data have no such limits, where the logit is positive.
Sources: ensembles of dynamics, Chua et al. 2018 (PETS); changes of standardised states and learned rewards, Yu et al.
2020 (MOPO). The linear part is specific to potstill.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from potstill.networks.mlp import Params
from potstill.worlds.limits import NO_LIMIT


class Dynamics(NamedTuple):
    """The arrays of a world model. States are standardised, actions lie in [−1, 1], rewards have their own unit."""

    layers: Params
    """The layers of all members: each array has a leading axis K."""
    linear: Float[Array, "S+A+1 S+1"]
    """W of (1)."""
    scale: Float[Array, " S+1"]
    """σ of (1)."""
    low: Float[Array, " S"]
    """Lowest state that is predicted: predictions are clipped to the range of the data, extended by 1."""
    high: Float[Array, " S"]
    """Highest state that is predicted."""
    lower: Float[Array, " S"]
    """Limits below which an episode terminates, or −NO_LIMIT."""
    upper: Float[Array, " S"]
    """Limits above which an episode terminates, or NO_LIMIT. Without any limit, the logits decide."""


class Prediction(NamedTuple):
    """The predicted outcome of an action in a state."""

    states: Float[Array, "B S"]
    """The next states."""
    rewards: Float[Array, " B"]
    terminated: Bool[Array, " B"]
    """Whether a limit is exceeded or, without limits, the logit is positive. Never if no row of the data is."""
    disagreement: Float[Array, " B"] | None = None
    """Standard deviation of s′ and r over the members in units of σ, root mean square over the components. ``None`` if
    each row has one member."""


def init_members(key: PRNGKeyArray, sizes: tuple[int, ...], members: int) -> Params:
    """Draw stacked networks with normal weights of variance 1 / fan-in and zero biases."""
    keys = jax.random.split(key, len(sizes) - 1)
    return [
        {"weight": jax.random.normal(k, (members, i, o)) * i**-0.5, "bias": jnp.zeros((members, o))}
        for k, i, o in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]


def apply_members(layers: Params, x: Float[Array, "K B in"]) -> Float[Array, "K B out"]:
    """Apply the SiLU network of each member to its own inputs."""
    for i, layer in enumerate(layers):
        x = jnp.einsum("kbi,kio->kbo", x, layer["weight"]) + layer["bias"][:, None]
        x = jax.nn.silu(x) if i < len(layers) - 1 else x
    return x


def predict(
    dynamics: Dynamics, states: Float[Array, "B S"], actions: Float[Array, "B A"], terminates: bool = True
) -> Prediction:
    """Predict the outcomes for a batch of states and actions by the mean over the members.

    Args:
        dynamics: the model.
        states: standardised states.
        actions: actions in [−1, 1].
        terminates: whether episodes can terminate.
    """
    x = jnp.concatenate([states, actions], axis=-1)
    outputs = apply_members(dynamics.layers, jnp.broadcast_to(x, (_count_members(dynamics), *x.shape)))
    spread = outputs[..., :-1].std(axis=0)
    found = _add_change(dynamics, x, outputs.mean(axis=0), terminates)
    return found._replace(disagreement=jnp.sqrt(jnp.mean(spread**2, axis=-1)))


def predict_by_member(
    dynamics: Dynamics, states: Float[Array, "B S"], actions: Float[Array, "B A"], terminates: bool = True
) -> Prediction:
    """Predict the outcome of row i by member i alone, modulo the number of members. The arguments are as above."""
    x, count = jnp.concatenate([states, actions], axis=-1), _count_members(dynamics)
    filled = jnp.pad(x, ((0, -len(x) % count), (0, 0)))  # to a multiple of the number of members
    own = filled.reshape(-1, count, x.shape[-1]).swapaxes(0, 1)
    outputs = apply_members(dynamics.layers, own).swapaxes(0, 1).reshape(len(filled), -1)[: len(x)]
    return _add_change(dynamics, x, outputs, terminates)


def _count_members(dynamics: Dynamics) -> int:
    return len(dynamics.layers[0]["weight"])


def _add_change(
    dynamics: Dynamics, x: Float[Array, "B I"], outputs: Float[Array, "B O"], terminates: bool
) -> Prediction:
    """Apply (1) to the outputs of the networks."""
    states = x[:, : len(dynamics.low)]
    changes = x @ dynamics.linear[:-1] + dynamics.linear[-1] + dynamics.scale * outputs[:, :-1]
    after = states + changes[:, :-1]
    beyond = ((after < dynamics.lower) | (after > dynamics.upper)).any(axis=-1)
    limited = (jnp.abs(jnp.stack([dynamics.lower, dynamics.upper])) < NO_LIMIT).any()
    terminated = jnp.where(limited, beyond, outputs[:, -1] > 0.0) & terminates
    return Prediction(jnp.clip(after, dynamics.low, dynamics.high), changes[:, -1], terminated)
