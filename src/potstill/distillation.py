"""The outer loop: from a dataset and its teacher to N pairs (method §4)."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, PRNGKeyArray

from potstill import devices
from potstill.clone import Pairs
from potstill.config import DistillConfig
from potstill.initial import initial_pairs
from potstill.objectives import Batch, weighted_loss
from potstill.recipes import Recipe, recipe_named
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


class OuterState(NamedTuple):
    """What changes from one outer step to the next."""

    learned: Learned
    optimiser: Any


def spread_rows(batch: Batch, mesh: Mesh) -> Batch:
    """The batch with its rows shared among the devices."""
    return batch._replace(**devices.spread({k: v for k, v in batch._asdict().items() if k != "value_scale"}, mesh))


def begin(pairs: Pairs, config: DistillConfig) -> OuterState:
    """All weights equal, the student's own step size; copies, for an update consumes what it is given."""
    log_weights = jnp.zeros(len(pairs.states)) if config.learn in ("weights", "both") else None
    log_step = jnp.zeros(()) if config.learn in ("step-size", "both") else None
    learned = jax.tree.map(jnp.copy, Learned(pairs.states, pairs.actions, log_weights, log_step))
    return OuterState(learned, outer_optimiser(config).init(learned))


def outer_optimiser(config: DistillConfig) -> optax.GradientTransformation:
    """Clipped Adam with cosine decay, or the paper's clipped SGD with momentum 0.9."""
    if config.optimiser == "sgd":
        rule = optax.sgd(config.learning_rate, momentum=0.9)
    else:
        rule = optax.adam(optax.cosine_decay_schedule(config.learning_rate, max(config.steps, 1)))
    return optax.chain(optax.clip_by_global_norm(config.clip), rule)


def outer_loss(
    pairs: Pairs,
    batch: Batch,
    key: PRNGKeyArray,
    *,
    config: DistillConfig,
    recipe: Recipe,
    teacher: Teacher | None,
    mesh: Mesh,
) -> Array:
    """H(π_θ(D), batch), its mean over ``config.starts`` students: solve for each, judge its actions.

    The devices of ``mesh`` share the students, or, where they do not divide, the pairs and the states.
    """
    solver = make_solver(config.solver, recipe, config.own)

    def of_one(key: PRNGKeyArray, pairs: Pairs, batch: Batch) -> Array:
        return weighted_loss(config.objective, solver(pairs, batch.states, key), batch, teacher)

    if config.starts == 1:
        return of_one(key, devices.spread(pairs, mesh), spread_rows(batch, mesh))
    keys, of_each = jax.random.split(key, config.starts), jax.vmap(of_one, in_axes=(0, None, None))
    if devices.divides(config.starts, mesh):
        return jnp.mean(devices.shared(of_each, mesh)(keys, pairs, batch))
    return jnp.mean(of_each(keys, devices.spread(pairs, mesh), spread_rows(batch, mesh)))


def make_update(config: DistillConfig, recipe: Recipe, teacher: Teacher | None) -> Update:
    """One compiled outer step for students of ``recipe``: draw a batch, differentiate the outer loss, move the pairs.

    Returns:
        ``update(state, table, key) -> (state, {"loss", "gradient_norm"})``; pure.
    """
    rule, mesh = outer_optimiser(config), devices.everyones()

    def loss_of(learned: Learned, batch: Batch, key: PRNGKeyArray) -> Array:
        return outer_loss(learned.pairs(), batch, key, config=config, recipe=recipe, teacher=teacher, mesh=mesh)

    def update(state: OuterState, table: Batch, key: PRNGKeyArray) -> tuple[OuterState, dict[str, Array]]:
        batch_key, start_key = jax.random.split(key)
        batch = rows(table, jax.random.randint(batch_key, (config.batch,), 0, len(table.states)))
        loss, gradient = devices.whole(jax.value_and_grad(loss_of)(state.learned, batch, start_key), mesh)
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
    mesh, total = devices.everyones(), config.steps + config.polish
    state = devices.placed(begin(pairs, config), mesh)
    table, key = devices.placed((table, key), mesh)
    first = total - math.ceil(config.average * total) + 1  # of the iterates that are averaged
    mean = state.learned
    for stage in stages(config):
        if stage.afresh:
            state = state._replace(optimiser=devices.placed(outer_optimiser(stage.config).init(state.learned), mesh))
        update = make_update(stage.config, stage.recipe, teacher)
        for step in stage.steps:
            state, figures = update(state, table, jax.random.fold_in(key, step))
            newest = devices.gathered(state.learned)
            share = 1.0 / max(1, step - first + 1)
            mean = newest if step <= first else jax.tree.map(lambda m, x, s=share: m + s * (x - m), mean, newest)
            yield step, mean.pairs(), figures


class Stage(NamedTuple):
    """Outer steps that share one compiled update."""

    steps: range
    config: DistillConfig
    recipe: Recipe
    afresh: bool = False
    """The optimiser begins anew."""


def stages(config: DistillConfig) -> Iterator[Stage]:
    """An equal share of the steps for each of ``config.widths``, then for the recipe's own; then the polish."""
    recipe, total = recipe_named(config.recipe), config.steps + config.polish
    recipes = [*(dataclasses.replace(recipe, width=width) for width in config.widths), recipe]
    ends = [config.steps * i // len(recipes) for i in range(len(recipes) + 1)]
    for (first, last), student in zip(itertools.pairwise(ends), recipes, strict=True):
        yield Stage(range(first + 1, last + 1), config, student)
    if config.polish:
        rate = 0.1 * config.learning_rate
        polish = dataclasses.replace(config, solver="unroll", steps=config.polish, polish=0, learning_rate=rate)
        yield Stage(range(config.steps + 1, total + 1), polish, recipe, afresh=True)
