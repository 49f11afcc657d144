"""Behavioural cloning step by step, with the loss on held-out pairs: of a whole dataset, and of a student's training.

The step of convergence is defined for both in the same way, see :func:`find_convergence`.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from potstill.errors import PotstillError
from potstill.networks.mlp import Params
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.students.recipe import Recipe
from potstill.students.training import (
    Pairs,
    StepKeys,
    TrainingState,
    bc_loss,
    initialise_student,
    take_optimiser_step,
    train_step,
)

TOLERANCE = 0.05


@check_arguments
@dataclass(frozen=True)
class CloningSettings:
    """How a whole dataset is cloned. The recipe sets the optimiser and its learning rate."""

    updates: int = 20_000
    """Number of gradient steps."""
    batch: int = 256
    """Rows in a step, drawn with replacement."""
    every: int = 500
    """Steps between two measurements of the held-out loss."""

    def __post_init__(self) -> None:
        check_ranges(self, updates=1, batch=1, every=1)


class Trace(NamedTuple):
    """One network in training: its parameters at the end, and its loss on held-out pairs."""

    params: Params
    """Layers with a leading axis of length 1, as in :class:`~potstill.students.ensemble.Students`."""
    losses: list[tuple[int, float]]
    """(step, loss), from step 0."""
    seconds: float
    """Time of all steps, without compilations and without the measurements of the loss."""


@functools.partial(jax.jit, static_argnames=("recipe", "batch"))
def _advance(state: TrainingState, keys: Key[Array, " T"], pairs: Pairs, recipe: Recipe, batch: int) -> TrainingState:
    """One step for each key, on rows drawn with it."""

    def step(state: TrainingState, key: Array) -> tuple[TrainingState, None]:
        rows = jax.random.randint(key, (batch,), 0, len(pairs.states))
        gradient = jax.grad(bc_loss)(state.params, Pairs(pairs.states[rows], pairs.actions[rows]), None, recipe.loss)
        return take_optimiser_step(state, gradient, recipe), None

    advanced: TrainingState = jax.lax.scan(step, state, keys)[0]
    return advanced


_measure_loss = jax.jit(bc_loss, static_argnames="loss")


@check_arguments
def clone_dataset(pairs: Pairs, held: Pairs, recipe: Recipe, settings: CloningSettings, *, seed: int = 0) -> Trace:
    """Clone a whole dataset with minibatches; measure the loss on held-out rows every few steps.

    Args:
        pairs: standardised states [M, S] and actions [M, A] in [−1, 1] of the training rows.
        held: the same for held-out rows.
        recipe: the network, its optimiser and learning rate. Its number of steps is not used.
        settings: the number of steps and the batch size.
        seed: determines the initial network and the batches.

    Raises:
        PotstillError: the loss is not finite.

    Example:
        >>> rows = Pairs(jnp.ones((8, 2)), jnp.zeros((8, 1)))
        >>> clone_dataset(rows, rows, Recipe(width=4), CloningSettings(updates=5, batch=4, every=2)).losses[-1][0]
        5
    """
    key, drawn = jax.random.split(jax.random.key(seed))
    state, _ = initialise_student(key, pairs, recipe)
    keys = jax.random.split(drawn, settings.updates)
    measure = functools.partial(_measure_loss, pairs=held, loss=recipe.loss)
    losses, seconds = [(0, float(measure(state.params)))], 0.0
    compiled: dict[int, Callable[..., TrainingState]] = {}  # by number of steps: the last chunk may be shorter
    for first in range(0, settings.updates, settings.every):
        chunk = keys[first : first + settings.every]
        if len(chunk) not in compiled:
            lowered = _advance.lower(state, chunk, pairs, recipe=recipe, batch=settings.batch)
            compiled[len(chunk)] = lowered.compile()
        started = time.perf_counter()
        state = jax.block_until_ready(compiled[len(chunk)](state, chunk, pairs))
        seconds += time.perf_counter() - started
        losses.append((first + len(chunk), float(measure(state.params))))
    _check_finite(losses, recipe)
    return Trace(jax.tree.map(lambda leaf: leaf[None], state.params), losses, seconds)


@functools.partial(jax.jit, static_argnames=("recipe", "watch"))
def _train(
    state: TrainingState, keys: StepKeys, pairs: Pairs, held: Pairs, recipe: Recipe, watch: bool
) -> tuple[TrainingState, Float[Array, " T"]]:
    """Train a student with full batches; if ``watch``, return the held-out loss after each step."""

    def step(state: TrainingState, key: Array | None) -> tuple[TrainingState, Array]:
        state = train_step(state, key, pairs, recipe)
        return state, bc_loss(state.params, held, None, recipe.loss) if watch else jnp.zeros(())

    found: tuple[TrainingState, Array] = jax.lax.scan(step, state, keys, length=recipe.steps)
    return found


@check_arguments
def trace_student(pairs: Pairs, held: Pairs, recipe: Recipe, *, seed: int = 0) -> Trace:
    """Train one student on pairs as its recipe says, and measure the loss on held-out pairs after every step.

    Args:
        pairs: standardised states and actions in [−1, 1].
        held: other states, with the actions that the student should take there.
        recipe: the network and its training.
        seed: determines the initial network.

    Raises:
        PotstillError: the loss is not finite.

    Example:
        >>> rows = Pairs(jnp.ones((8, 2)), jnp.zeros((8, 1)))
        >>> len(trace_student(rows, rows, Recipe(width=4, steps=3)).losses)
        4
    """
    state, keys = initialise_student(jax.random.key(seed), pairs, recipe)
    trained, found = _train(state, keys, pairs, held, recipe, watch=True)
    first = float(_measure_loss(state.params, held, loss=recipe.loss))
    losses = list(enumerate([first, *np.asarray(found, float).tolist()]))
    _check_finite(losses, recipe)
    train = _train.lower(state, keys, pairs, held, recipe=recipe, watch=False).compile()
    started = time.perf_counter()
    jax.block_until_ready(train(state, keys, pairs, held))
    return Trace(jax.tree.map(lambda leaf: leaf[None], trained.params), losses, time.perf_counter() - started)


def _check_finite(losses: Sequence[tuple[int, float]], recipe: Recipe) -> None:
    broken = next((step for step, loss in losses if not np.isfinite(loss)), None)
    if broken is not None:
        raise PotstillError(f"cloning diverged before step {broken}: lower the learning rate {recipe.learning_rate:g}")


@check_arguments
def find_convergence(losses: Sequence[tuple[int, float]], tolerance: float = TOLERANCE) -> int:
    """Find the step of convergence: the first step whose held-out loss is within 5 % of the lowest of the run.

    Args:
        losses: (step, loss), in the order of the steps.
        tolerance: the share above the lowest loss that is allowed.

    Raises:
        PotstillError: there are no losses.

    >>> find_convergence([(0, 1.0), (10, 0.3), (20, 0.21), (30, 0.2), (40, 0.25)])
    20
    """
    if not losses:
        raise PotstillError("find_convergence: losses: expected at least one")
    lowest = min(loss for _, loss in losses)
    return next(step for step, loss in losses if loss <= lowest * (1.0 + tolerance))
