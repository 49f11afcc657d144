"""The entropy-regularised actor of Cal-QL and EDAC: a tanh-Gaussian policy and its entropy's weight w.

    L_π = E [ w log π(ã | s) − min_j Q_j(s, ã) ],   ã ~ π(· | s)                        (actor)
    L_w = −log w · E [ log π(ã | s) − A ]                                               (its entropy's weight)

The second raises w while the policy's entropy is below −A nats (Haarnoja et al., 2018).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import Settings
from potstill.data.transitions import Transitions
from potstill.networks.mlp import Params, apply_critics, apply_mlp
from potstill.networks.policy import LOG_STD_RANGE
from potstill.teachers.rows import Rows
from potstill.teachers.training import Figures, Parts, begin_adam, descend, follow


class State(NamedTuple):
    """Networks, the critics' slowly moving copies, the entropy's weight, and optimiser states."""

    actor: Params
    critics: Params
    target_critics: Params
    log_weight: Float[Array, ""]
    optimisers: dict[str, Any]


def begin(actor: Params, critics: Params) -> State:
    """The state before the first update: w = 1, targets equal to the critics."""
    weight = jnp.zeros(())
    optimisers = {"actor": begin_adam(actor), "critics": begin_adam(critics), "weight": begin_adam(weight)}
    return State(actor, critics, critics, weight, optimisers)


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


def actor_loss(
    actor: Params, critics: Params, weight: Float[Array, ""], rows: Rows, key: PRNGKeyArray
) -> tuple[Float[Array, ""], tuple[Float[Array, " B"], Figures]]:
    """L_π; also returns the log-densities [B] of the actions that were drawn."""
    chosen, density = draw(actor, rows.states, key, 1)
    values = apply_critics(critics, rows.states, chosen[0], normed=False).min(axis=0)
    loss = jnp.mean(weight * density[0] - values)
    return loss, (density[0], {"actor_loss": loss, "entropy": -density.mean()})


def weight_loss(log_weight: Float[Array, ""], log_density: Float[Array, " B"], actions: int) -> Float[Array, ""]:
    """L_w, for A = ``actions``."""
    return -log_weight * jax.lax.stop_gradient(log_density - actions).mean()


def update_actor(state: State, rows: Rows, key: PRNGKeyArray, rate: float) -> tuple[State, Figures]:
    """One step of the actor and of its entropy's weight, both with Adam at ``rate``."""
    optimisers, weight = dict(state.optimisers), jnp.exp(state.log_weight)
    actor, optimisers["actor"], (density, figures) = descend(
        lambda p: actor_loss(p, state.critics, weight, rows, key), state.actor, optimisers["actor"], rate
    )
    log_weight, optimisers["weight"], _ = descend(
        lambda w: (weight_loss(w, density, rows.actions.shape[-1]), None),
        state.log_weight,
        optimisers["weight"],
        rate,
    )
    return state._replace(actor=actor, log_weight=log_weight, optimisers=optimisers), figures


def update_critics(
    state: State, loss: Callable[..., Any], settings: Settings, pieces: Any = None
) -> tuple[State, Figures]:
    """One step of the critics by ``loss`` (see :func:`~potstill.teachers.training.descend`), and of their targets."""
    critics, optimiser, figures = descend(
        loss, state.critics, state.optimisers["critics"], settings.own.learning_rate, pieces
    )
    state = state._replace(
        critics=critics,
        target_critics=follow(critics, state.target_critics, settings),
        optimisers={**state.optimisers, "critics": optimiser},
    )
    return state, figures


def parts(state: State, data: Transitions, settings: Settings) -> Parts:
    """The actor and all critics."""
    return Parts(state.actor, "tanh_gaussian", state.critics, False)
