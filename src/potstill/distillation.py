"""The outer loop: from a dataset and its teacher to N pairs (method §4)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int, PRNGKeyArray

from potstill.clone import Pairs
from potstill.config import DistillConfig
from potstill.objectives import Batch, objective_named, value_weights
from potstill.recipes import recipe_named
from potstill.solvers import make_solver
from potstill.teachers.base import Teacher
from potstill.types import Transitions

TABLE_CHUNK = 16_384  # rows of the dataset that pass through the teacher at once

Update = Callable[[Any, Batch, PRNGKeyArray], tuple[Any, dict[str, Array]]]


class OuterState(NamedTuple):
    """What changes from one outer step to the next."""

    pairs: Pairs
    optimiser: Any


def tabulate(data: Transitions, teacher: Teacher | None, weighting: str) -> Batch:
    """Everything objectives need of the whole dataset, computed once: M rows on the device.

    Without a teacher (enough for DBC) its actions are the dataset's and its values are zero.
    """
    states = (data if teacher is None else teacher).normaliser(data.observations)
    actions = to_unit(data.actions, data)
    if teacher is None:
        unit, zero = jnp.asarray(actions), jnp.zeros(len(data))
        return Batch(jnp.asarray(states), unit, unit, zero, zero + 1.0, jnp.ones(()))

    @jax.jit
    def judge(chunk: Array) -> tuple[Array, Array]:
        chosen = teacher.act(chunk)
        return chosen, teacher.action_values(chunk, chosen).min(axis=0)

    chunks = [judge(states[i : i + TABLE_CHUNK]) for i in range(0, len(states), TABLE_CHUNK)]
    chosen, values = (jnp.concatenate(parts) for parts in zip(*chunks, strict=True))
    return Batch(
        states=jnp.asarray(states),
        actions=jnp.asarray(actions),
        teacher_actions=chosen,
        values=values,
        weights=value_weights(values, weighting),
        value_scale=jnp.maximum(values.std(), 1e-8),
    )


def to_unit(actions: Any, data: Transitions) -> Any:
    """Scale actions from the environment's bounds to [−1, 1]."""
    return (actions - data.action_low) / (data.action_high - data.action_low) * 2.0 - 1.0


def rows(table: Batch, index: Int[Array, " B"]) -> Batch:
    """The rows ``index`` of a table, or of a batch."""
    columns = {name: column[index] for name, column in table._asdict().items() if name != "value_scale"}
    return table._replace(**columns)


def initial_pairs(table: Batch, config: DistillConfig, rng: np.random.Generator) -> Pairs:
    """N random real states, with the teacher's actions or, as in the paper, the dataset's."""
    index = jnp.asarray(rng.choice(len(table.states), config.size, replace=False))
    source = table.teacher_actions if config.initial_actions == "teacher" else table.actions
    return Pairs(table.states[index], source[index])


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
    solver = make_solver(config.solver, recipe_named(config.recipe), config.own)
    return objective_named(config.objective)(solver(pairs, batch.states, key), batch, teacher)


def judge(pairs: Pairs, batch: Batch, config: DistillConfig, teacher: Teacher | None) -> float:
    """The outer loss of ``pairs`` on states that were held out, for one fixed start of the student."""
    if config.objective == "random":
        config = dataclasses.replace(config, objective="dbc")
    loss = functools.partial(outer_loss, config=config, teacher=teacher)
    return float(jax.jit(loss)(pairs, batch, jax.random.key(0)))


def make_update(config: DistillConfig, teacher: Teacher | None) -> Update:
    """One compiled outer step: draw a batch, differentiate the outer loss, move the pairs.

    Returns:
        ``update(state, table, key) -> (state, {"loss", "gradient_norm"})``; pure.
    """
    rule = outer_optimiser(config)

    def update(state: OuterState, table: Batch, key: PRNGKeyArray) -> tuple[OuterState, dict[str, Array]]:
        batch_key, start_key = jax.random.split(key)
        batch = rows(table, jax.random.randint(batch_key, (config.batch,), 0, len(table.states)))
        loss, gradient = jax.value_and_grad(outer_loss)(state.pairs, batch, start_key, config=config, teacher=teacher)
        updates, optimiser = rule.update(gradient, state.optimiser, state.pairs)
        states, actions = optax.apply_updates(state.pairs, updates)
        pairs = Pairs(states, jnp.clip(actions, -1.0, 1.0))
        norm = jnp.sqrt(sum(jnp.sum(g**2) for g in gradient))
        return OuterState(pairs, optimiser), {"loss": loss, "gradient_norm": norm}

    return jax.jit(update, donate_argnums=0)


def outer_steps(
    config: DistillConfig, table: Batch, teacher: Teacher | None
) -> Iterator[tuple[int, Pairs, dict[str, Array]]]:
    """Yield the start (step 0), then the pairs and figures after each outer step."""
    key, rng = jax.random.key(config.seed), np.random.default_rng(config.seed)
    pairs = initial_pairs(table, config, rng)
    yield 0, pairs, {}
    if config.objective == "random":
        return
    done = 0
    for phase in phases(config):
        update = make_update(phase, teacher)
        pairs = jax.tree.map(jnp.copy, pairs)  # an update consumes what it is given
        state = OuterState(pairs, outer_optimiser(phase).init(pairs))
        for step in range(done + 1, done + phase.steps + 1):
            state, figures = update(state, table, jax.random.fold_in(key, step))
            pairs = jax.tree.map(jnp.copy, state.pairs)
            yield step, pairs, figures
        done += phase.steps


def phases(config: DistillConfig) -> list[DistillConfig]:
    """The distillation as configured and, if asked for, its polish."""
    rate = 0.1 * config.learning_rate
    polish = dataclasses.replace(config, solver="unroll", steps=config.polish, learning_rate=rate)
    return [config, polish] if config.polish else [config]
