"""Building blocks of all updates: Adam steps, soft updates of target networks, and splitting of batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from potstill.networks.mlp import Params
from potstill.teachers.rows import TrainingRows

AdamState = tuple[optax.ScaleByAdamState, optax.EmptyState]
Tree = TypeVar("Tree")
Auxiliary = TypeVar("Auxiliary")


def initialise_adam(params: object) -> AdamState:
    """The optimiser state of :func:`take_adam_step` before its first step."""
    state: AdamState = optax.adam(1.0).init(params)
    return state


def take_adam_step(
    loss: Callable[..., tuple[Float[Array, ""], Auxiliary]],
    params: Tree,
    optimiser: AdamState,
    learning_rate: float | Float[Array, ""],
    pieces: object = None,
) -> tuple[Tree, AdamState, Auxiliary]:
    """Take one step of Adam.

    Args:
        loss: maps the parameters, or with ``pieces`` the parameters and a piece, to (scalar, auxiliary).
        params: any tree of arrays.
        optimiser: the state from :func:`initialise_adam` or the previous step.
        learning_rate: the learning rate of this step.
        pieces: a batch cut by :func:`split_batch`. Gradient and auxiliary are then the means over the pieces, which
            are evaluated one after the other.

    Returns:
        The new parameters, the new optimiser state, and the auxiliary output of ``loss``.
    """
    differentiate = jax.grad(loss, has_aux=True)
    if pieces is None:
        gradient, auxiliary = differentiate(params)
    else:
        count = len(jax.tree.leaves(pieces)[0])
        one = jax.tree.map(lambda x: x[0], pieces)
        zeros = jax.tree.map(jnp.zeros_like, jax.eval_shape(differentiate, params, one))
        add = lambda total, piece: (jax.tree.map(jnp.add, total, differentiate(params, piece)), None)  # noqa: E731
        total, _ = jax.lax.scan(add, zeros, pieces)
        gradient, auxiliary = jax.tree.map(lambda x: x / count, total)
    change, optimiser = optax.adam(learning_rate).update(gradient, optimiser)
    return optax.apply_updates(params, change), optimiser, auxiliary


def split_batch(batch: Tree, pieces: int) -> Tree:
    """Cut a batch into equal pieces on a new first axis: ``pieces`` of them, or the largest common divisor.

    >>> split_batch(jnp.zeros((6, 2)), 4).shape
    (2, 3, 2)
    """
    rows = len(jax.tree.leaves(batch)[0])
    cut: Tree = jax.tree.map(lambda x: x.reshape(math.gcd(rows, pieces), -1, *x.shape[1:]), batch)
    return cut


def soft_update(params: Params, target: Params, rate: float) -> Params:
    """Move a target network towards its online network, with τ = ``rate``: θ̄ ← (1 − τ) θ̄ + τ θ."""
    moved: Params = optax.incremental_update(params, target, rate)
    return moved


def take_single_batch(rows: TrainingRows) -> TrainingRows:
    """Remove the leading axis for algorithms with one batch per update: [1, B, ...] becomes [B, ...]."""
    batch: TrainingRows = jax.tree.map(lambda column: column[0], rows)
    return batch
