"""The outer loop: from a dataset and its teacher to N pairs (method §4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.clone import Pairs
from potstill.config import DistillConfig
from potstill.initial import initial_pairs
from potstill.objectives import Batch, weighted_loss
from potstill.recipes import recipe_named
from potstill.solvers import make_solver
from potstill.table import rows
from potstill.teachers.base import Teacher

Update = Callable[[Any, Batch, PRNGKeyArray], tuple[Any, dict[str, Array]]]


class Learned(NamedTuple):
    """What the outer optimiser moves: the pairs and, where asked for, how students weigh them."""

    states: Float[Array, "N S"]
    actions: Float[Array, "N A"]
    log_weights: Float[Array, " N"] | None = None
    """The pairs' weights are the softmax of these, times N: positive and of mean 1."""
    log_step: Float[Array, ""] | None = None
    """Logarithm of the factor on the student's step size."""

    def pairs(self) -> Pairs:
        """The pairs as students train on them; a factor on all weights is one on the step size."""
        if self.log_weights is None and self.log_step is None:
            return Pairs(self.states, self.actions)
        count = len(self.states)
        weights = jnp.ones(count) if self.log_weights is None else jax.nn.softmax(self.log_weights) * count
        return Pairs(self.states, self.actions, weights if self.log_step is None else weights * jnp.exp(self.log_step))


def begin(pairs: Pairs, learn: str) -> Learned:
    """All weights equal, the student's own step size."""
    log_weights = jnp.zeros(len(pairs.states)) if learn in ("weights", "both") else None
    return Learned(pairs.states, pairs.actions, log_weights, jnp.zeros(()) if learn in ("step-size", "both") else None)


class OuterState(NamedTuple):
    """What changes from one outer step to the next."""

    learned: Learned
    optimiser: Any


def outer_optimiser(config: DistillConfig) -> optax.GradientTransformation:
    """Clipped Adam with cosine decay, or the paper's clipped SGD with momentum 0.9."""
    if config.optimiser == "sgd":
        rule = optax.sgd(config.learning_rate, momentum=0.9)
    else:
        rule = optax.adam(optax.cosine_decay_schedule(config.learning_rate, max(config.steps, 1)))
    return optax.chain(optax.clip_by_global_norm(config.clip), rule)


def outer_loss(
    pairs: Pairs, batch: Batch, key: PRNGKeyArray, *, config: DistillConfig, teacher: Teacher | None
) -> Array:
    """H(π_θ(D), batch): solve for the student, judge its actions."""
    solver = make_solver(config.solver, recipe_named(config.recipe))
    return weighted_loss(config.objective, solver(pairs, batch.states, key), batch, teacher)


def make_update(config: DistillConfig, teacher: Teacher | None) -> Update:
    """One compiled outer step: draw a batch, differentiate the outer loss, move the pairs.

    Returns:
        ``update(state, table, key) -> (state, {"loss", "gradient_norm"})``; pure.
    """
    rule = outer_optimiser(config)

    def loss_of(learned: Learned, batch: Batch, key: PRNGKeyArray) -> Array:
        return outer_loss(learned.pairs(), batch, key, config=config, teacher=teacher)

    def update(state: OuterState, table: Batch, key: PRNGKeyArray) -> tuple[OuterState, dict[str, Array]]:
        batch_key, start_key = jax.random.split(key)
        batch = rows(table, jax.random.randint(batch_key, (config.batch,), 0, len(table.states)))
        loss, gradient = jax.value_and_grad(loss_of)(state.learned, batch, start_key)
        updates, optimiser = rule.update(gradient, state.optimiser, state.learned)
        learned = optax.apply_updates(state.learned, updates)
        learned = learned._replace(actions=jnp.clip(learned.actions, -1.0, 1.0))
        norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
        return OuterState(learned, optimiser), {"loss": loss, "gradient_norm": norm}

    return jax.jit(update, donate_argnums=0)


def outer_steps(
    config: DistillConfig, table: Batch, teacher: Teacher | None
) -> Iterator[tuple[int, Pairs, dict[str, Array]]]:
    """Yield the start (step 0), then the pairs and figures after each outer step.

    In the last ``config.average`` of the steps the pairs are the mean of all iterates of that share so far.
    """
    key, rng = jax.random.key(config.seed), np.random.default_rng(config.seed)
    pairs = initial_pairs(table, config.size, config.initial, config.initial_actions, rng)
    yield 0, pairs, {}
    if config.objective == "random":
        return
    update = make_update(config, teacher)
    learned = jax.tree.map(jnp.copy, begin(pairs, config.learn))  # an update consumes what it is given
    state = OuterState(learned, outer_optimiser(config).init(learned))
    first = config.steps - math.ceil(config.average * config.steps) + 1  # of the iterates that are averaged
    for step in range(1, config.steps + 1):
        state, figures = update(state, table, jax.random.fold_in(key, step))
        if step <= first:
            mean = jax.tree.map(jnp.copy, state.learned)
        else:
            share = 1.0 / (step - first + 1)
            mean = jax.tree.map(lambda m, new, share=share: m + share * (new - m), mean, state.learned)
        yield step, mean.pairs(), figures
