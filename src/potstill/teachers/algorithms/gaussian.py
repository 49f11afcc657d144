"""The entropy-regularised actor of Cal-QL and EDAC: a tanh-Gaussian policy and its entropy weight w.

    L_π = E [ w log π(ã | s) − min_j Q_j(s, ã) ],   ã ~ π(· | s)                        (actor)
    L_w = −log w · E [ log π(ã | s) − A ]                                               (entropy weight)

Gradient descent on L_w raises w while the policy's entropy is below −A nats (Haarnoja et al., 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.networks.mlp import Params, apply_critics, apply_mlp
from potstill.networks.policy import LOG_STD_RANGE
from potstill.teachers.algorithms.base import Metrics, TeacherParts
from potstill.teachers.optimisation import AdamState, initialise_adam, soft_update, take_adam_step
from potstill.teachers.rows import TrainingRows


class GaussianState(NamedTuple):
    """Networks, target critics, the entropy weight and optimiser states."""

    actor: Params
    critics: Params
    target_critics: Params
    log_weight: Float[Array, ""]
    optimisers: dict[str, AdamState]


def initialise_state(actor: Params, critics: Params) -> GaussianState:
    """The state before the first update: w = 1, targets equal to the critics."""
    log_weight = jnp.zeros(())
    optimisers = {
        "actor": initialise_adam(actor),
        "critics": initialise_adam(critics),
        "weight": initialise_adam(log_weight),
    }
    return GaussianState(actor, critics, critics, log_weight, optimisers)


def sample_actions(
    actor: Params, states: Float[Array, "*B S"], key: PRNGKeyArray, count: int
) -> tuple[Float[Array, "K *B A"], Float[Array, "K *B"]]:
    """Sample ``count`` actions in each state; return them and their log-densities.

    With u = μ + σ ε and a = tanh u:  log π(a) = log N(u; μ, σ) − Σ log(1 − tanh² u). Each log(1 − tanh² u)
    is computed as 2 (log 2 − u − softplus(−2 u)), which avoids cancellation.
    """
    mean, log_std = jnp.split(apply_mlp(actor, states), 2, axis=-1)
    log_std = jnp.clip(log_std, *LOG_STD_RANGE)
    noise = jax.random.normal(key, (count, *mean.shape))
    u = mean + jnp.exp(log_std) * noise
    normal = -0.5 * noise**2 - log_std - 0.5 * jnp.log(2.0 * jnp.pi)
    squash = 2.0 * (jnp.log(2.0) - u - jax.nn.softplus(-2.0 * u))
    return jnp.tanh(u), jnp.sum(normal - squash, axis=-1)


def actor_loss(
    actor: Params, critics: Params, weight: Float[Array, ""], rows: TrainingRows, key: PRNGKeyArray
) -> tuple[Float[Array, ""], tuple[Float[Array, " B"], Metrics]]:
    """L_π for w = ``weight``; also returns the log-densities [B] of the sampled actions."""
    actions, log_density = sample_actions(actor, rows.states, key, 1)
    values = apply_critics(critics, rows.states, actions[0], normed=False).min(axis=0)
    loss = jnp.mean(weight * log_density[0] - values)
    return loss, (log_density[0], {"actor_loss": loss, "entropy": -log_density.mean()})


def weight_loss(log_weight: Float[Array, ""], log_density: Float[Array, " B"], action_size: int) -> Float[Array, ""]:
    """L_w, with A = ``action_size``."""
    return -log_weight * jax.lax.stop_gradient(log_density - action_size).mean()


def update_actor(
    state: GaussianState, rows: TrainingRows, key: PRNGKeyArray, learning_rate: float
) -> tuple[GaussianState, Metrics]:
    """Take one Adam step of the actor and one of its entropy weight."""
    optimisers, weight = dict(state.optimisers), jnp.exp(state.log_weight)
    actor, optimisers["actor"], (log_density, metrics) = take_adam_step(
        lambda p: actor_loss(p, state.critics, weight, rows, key), state.actor, optimisers["actor"], learning_rate
    )
    log_weight, optimisers["weight"], _ = take_adam_step(
        lambda w: (weight_loss(w, log_density, rows.actions.shape[-1]), None),
        state.log_weight,
        optimisers["weight"],
        learning_rate,
    )
    return state._replace(actor=actor, log_weight=log_weight, optimisers=optimisers), metrics


def update_critics(
    state: GaussianState,
    loss: Callable[..., tuple[Float[Array, ""], Metrics]],
    learning_rate: float,
    target_rate: float,
    pieces: object = None,
) -> tuple[GaussianState, Metrics]:
    """Take one step of the critics and of their targets; ``loss`` and ``pieces`` as in :func:`take_adam_step`."""
    critics, optimiser, metrics = take_adam_step(
        loss, state.critics, state.optimisers["critics"], learning_rate, pieces
    )
    state = state._replace(
        critics=critics,
        target_critics=soft_update(critics, state.target_critics, target_rate),
        optimisers={**state.optimisers, "critics": optimiser},
    )
    return state, metrics


def extract_teacher(state: GaussianState) -> TeacherParts:
    """Extract the actor and all critics."""
    return TeacherParts(state.actor, "tanh_gaussian", state.critics, False)
