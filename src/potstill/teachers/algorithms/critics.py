"""Losses of critics that all algorithms share: the bootstrapped target and the squared error."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.networks.mlp import Params, apply_critics
from potstill.teachers.algorithms.base import Metrics
from potstill.teachers.rows import TrainingRows


def bootstrap(rows: TrainingRows, next_values: Float[Array, " B"], discount: float) -> Float[Array, " B"]:
    """The target y = r + γ (1 − d) V(s′), in units of discounted return."""
    return rows.rewards + discount * rows.alive * next_values


def critic_loss(
    critics: Params, target: Float[Array, " B"], rows: TrainingRows, *, normed: bool
) -> tuple[Float[Array, ""], Metrics]:
    """L_Q = Σ_j E (Q_j(s, a) − y)², with ``target`` = y, and LayerNorm in the critics if ``normed``."""
    return squared_errors(apply_critics(critics, rows.states, rows.actions, normed=normed), target)


def squared_errors(values: Float[Array, "C B"], target: Float[Array, " B"]) -> tuple[Float[Array, ""], Metrics]:
    """The same loss as :func:`critic_loss`, from given values Q_j(s, a)."""
    loss = jnp.sum(jnp.mean((values - target) ** 2, axis=-1))
    return loss, {"critic_loss": loss, "value": values.mean()}
