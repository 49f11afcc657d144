"""The tanh-Gaussian policy of the entropy-regularised algorithms, and its entropy's weight."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.networks import Params, apply_mlp
from potstill.policies import LOG_STD_RANGE


def draw(
    actor: Params, states: Float[Array, "*B S"], key: PRNGKeyArray, count: int
) -> tuple[Float[Array, "K *B A"], Float[Array, "K *B"]]:
    """``count`` actions for each state, and their log-densities.

    With u = μ + σ ε and a = tanh u:  log π(a) = log N(u; μ, σ) − Σ log(1 − tanh² u), whose last term is
    2 (log 2 − u − softplus(−2 u)) without cancellation.
    """
    mean, log_std = jnp.split(apply_mlp(actor, states), 2, axis=-1)
    log_std = jnp.clip(log_std, *LOG_STD_RANGE)
    noise = jax.random.normal(key, (count, *mean.shape))
    u = mean + jnp.exp(log_std) * noise
    normal = -0.5 * noise**2 - log_std - 0.5 * jnp.log(2.0 * jnp.pi)
    squash = 2.0 * (jnp.log(2.0) - u - jax.nn.softplus(-2.0 * u))
    return jnp.tanh(u), jnp.sum(normal - squash, axis=-1)


def entropy_loss(log_weight: Float[Array, ""], log_density: Float[Array, " B"], actions: int) -> Float[Array, ""]:
    """−log α · E[log π − A]: raises α while the policy's entropy is below its target of −A nats."""
    return -log_weight * jax.lax.stop_gradient(log_density - actions).mean()


def lower_log_std(actor: Params, offset: float) -> Params:
    """Start with log σ lower by ``offset``: a bias of the last layer's second half."""
    bias = actor[-1]["bias"]
    half = len(bias) // 2
    return [*actor[:-1], {**actor[-1], "bias": bias.at[half:].add(-offset)}]
