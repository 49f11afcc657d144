"""The outer loop: from a dataset and its teacher to N pairs (method §4)."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import Mesh
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import DistillConfig
from potstill.data.transitions import Transitions
from potstill.distillation.initial_pairs import initial_pairs
from potstill.distillation.objectives import Batch, weighted_loss
from potstill.distillation.schedule import Pace
from potstill.distillation.solvers import make_solver
from potstill.distillation.state_table import perturbed, rows, usual_states
from potstill.runtime import devices
from potstill.students.recipe import Recipe, recipe_named
from potstill.students.training import Pairs
from potstill.teachers.base import Teacher

Update = Callable[[Any, Batch, PRNGKeyArray, float], tuple[Any, dict[str, Array]]]


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
    """The direction of clipped Adam, or of the paper's clipped SGD with momentum 0.9; the pace sets the rate."""
    rule = optax.trace(decay=0.9) if config.optimiser == "sgd" else optax.scale_by_adam()
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


def usual_limit(recipe: Recipe) -> float:
    """How far pairs may aim where nothing is asked for, in units where the environment's bounds are ±1.

    The flatter the tanh, the less of what a pair asks do students do that :attr:`~Recipe.falls_short`.
    """
    return 2.0 if recipe.falls_short else 1.0


def settled(config: DistillConfig, data: Transitions, teacher: Teacher | None) -> DistillConfig:
    """``config`` with what it leaves open settled for these data and students: states that count, actions allowed."""
    recipe = recipe_named(config.recipe)
    weighting, noise = usual_states(config.objective, data, teacher, recipe)
    usual: dict[str, Any] = {"weighting": weighting, "state_noise": noise, "action_limit": usual_limit(recipe)}
    left_open = {name: value for name, value in usual.items() if getattr(config, name) is None}
    return dataclasses.replace(config, **left_open)


def make_update(config: DistillConfig, recipe: Recipe, teacher: Teacher | None) -> Update:
    """One compiled outer step for students of ``recipe``: draw a batch, differentiate the outer loss, move the pairs.

    Returns:
        ``update(state, table, key, rate) -> (state, {"loss", "gradient_norm"})``; pure.
    """
    rule, mesh = outer_optimiser(config), devices.everyones()
    limit = config.action_limit or usual_limit(recipe)

    def loss_of(learned: Learned, batch: Batch, key: PRNGKeyArray) -> Array:
        return outer_loss(learned.pairs(), batch, key, config=config, recipe=recipe, teacher=teacher, mesh=mesh)

    def update(
        state: OuterState, table: Batch, key: PRNGKeyArray, rate: Float[Array, ""] | float
    ) -> tuple[OuterState, dict[str, Array]]:
        batch_key, start_key = jax.random.split(key)
        batch = rows(table, jax.random.randint(batch_key, (config.batch,), 0, len(table.states)))
        if config.state_noise and teacher is not None:
            batch = perturbed(batch, config.state_noise, teacher, jax.random.fold_in(key, 2))
        loss, gradient = devices.whole(jax.value_and_grad(loss_of)(state.learned, batch, start_key), mesh)
        direction, optimiser = rule.update(gradient, state.optimiser, state.learned)
        learned = jax.tree.map(lambda x, d: x - rate * d, state.learned, direction)
        learned = learned._replace(actions=jnp.clip(learned.actions, -limit, limit))
        norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
        return OuterState(learned, optimiser), {"loss": loss, "gradient_norm": norm}

    return jax.jit(update, donate_argnums=0)


def outer_steps(
    config: DistillConfig, table: Batch, teacher: Teacher | None, pace: Pace | None = None
) -> Iterator[tuple[int, Pairs, dict[str, Array]]]:
    """Yield the start (step 0), then the pairs and figures after each outer step.

    In the last ``config.average`` of the steps the pairs are the mean of all iterates of that share so far.
    Without a ``pace`` the number of steps must be given.
    """
    pace = pace or make_pace(config)
    key, rng = jax.random.key(config.seed), np.random.default_rng(config.seed)
    pairs = initial_pairs(table, config.size, config.initial, config.initial_actions, rng)
    pace.look(0, pairs)
    yield 0, pairs, {}
    if config.objective == "random":
        return
    mesh = devices.everyones()
    state = devices.placed(begin(pairs, config), mesh)
    table, key = devices.placed((table, key), mesh)
    compiled = functools.cache(lambda config, recipe: make_update(config, recipe, teacher))
    trial = compiled(config, recipe_named(config.recipe))  # of one step, from a copy: an update consumes its state
    pace.afford(lambda: jax.block_until_ready(trial(jax.tree.map(jnp.copy, state), table, key, config.learning_rate)))
    total = (pace.steps or 0) + config.polish
    first = total - math.ceil(config.average * total) + 1 if config.average else math.inf  # iterate to be averaged
    mean, step = state.learned, 0
    for stage in stages(config, pace):
        if stage.afresh:
            state = state._replace(optimiser=devices.placed(outer_optimiser(stage.config).init(state.learned), mesh))
        update, before = compiled(stage.config, stage.recipe), step if stage.afresh else 0
        while stage.pace.goes_on(step + 1 - before) and (stage.last is None or step < stage.last):
            step += 1
            rate = stage.config.learning_rate * stage.pace.share(step - before)
            state, figures = update(state, table, jax.random.fold_in(key, step), rate)
            newest = devices.gathered(state.learned)
            share = 1.0 / max(1.0, step - first + 1)
            mean = newest if step <= first else jax.tree.map(lambda m, x, s=share: m + s * (x - m), mean, newest)
            stage.pace.look(step - before, newest.pairs())
            yield step, mean.pairs(), figures


def make_pace(config: DistillConfig, watch: Callable[[Pairs], float] | None = None) -> Pace:
    """The pace that ``config`` asks for; ``watch`` gives the loss that tells when pairs have settled."""
    steps = 0 if config.objective == "random" else config.given_steps
    return Pace(steps, watch, falls=config.optimiser == "adam", budget=config.seconds)


class Stage(NamedTuple):
    """Outer steps that share one compiled update."""

    config: DistillConfig
    recipe: Recipe
    pace: Pace
    last: int | None = None
    """Its last step; without one the pace says when it ends."""
    afresh: bool = False
    """The optimiser begins anew, and the pace counts from here."""


def stages(config: DistillConfig, pace: Pace) -> Iterator[Stage]:
    """An equal share of the steps for each of ``config.widths``, then for the recipe's own; then the polish."""
    recipe = recipe_named(config.recipe)
    for i, width in enumerate(config.widths, start=1):
        last = (pace.steps or 0) * i // (len(config.widths) + 1)
        yield Stage(config, dataclasses.replace(recipe, width=width), pace, last)
    yield Stage(config, recipe, pace)
    if config.polish:
        polish = dataclasses.replace(config, solver="unroll", learning_rate=0.1 * config.learning_rate)
        yield Stage(polish, recipe, Pace(config.polish, falls=config.optimiser == "adam"), afresh=True)
