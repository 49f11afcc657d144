"""Continual learning with rehearsal: one network learns tasks in turn and repeats what it remembers of earlier ones.

Task t is learned by behavioural cloning of its rows D_t. Every update takes B random rows of D_t and, from the second
task on, as many of the memory M_1 ∪ … ∪ M_{t−1} of the earlier tasks:

    θ ← θ − α ∇ [ ½ ℓ_BC(θ; B rows of D_t) + ½ ℓ_BC(θ; B rows of M_1 ∪ … ∪ M_{t−1}) ]

Without memory, only the first term remains. This is experience replay with a small memory (Chaudhry et al. 2019,
arXiv 1902.10486), with behavioural cloning in the place of classification.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PRNGKeyArray

from potstill.data.scaling import Scaling
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_least
from potstill.students.ensemble import Students
from potstill.students.recipe import Recipe
from potstill.students.training import (
    Pairs,
    TrainingState,
    bc_loss,
    check_pairs,
    initialise_network,
    initialise_training,
    take_optimiser_step,
)

Columns: TypeAlias = tuple[Float[Array, "..."], Float[Array, "..."]]
"""States [M, S] and actions [M, A]; [K, M, S] and [K, M, A] if each of K networks has its own."""


@check_arguments
def learn_in_turn(
    tasks: Sequence[Pairs],
    memories: Sequence[Sequence[Pairs]],
    seeds: Sequence[int],
    recipe: Recipe,
    scaling: Scaling,
    *,
    batch: int = 128,
) -> list[Students]:
    """Let networks learn tasks one after the other by behavioural cloning, and rehearse what they remember.

    Args:
        tasks: the rows of each task, in the order of learning: standardised states and actions in [−1, 1].
        memories: for each task, what the networks remember of it later: one memory for all of them, or one for each,
            all of one size; an empty sequence if they remember nothing.
        seeds: one for each network; it determines the initial network and the rows of each update.
        recipe: the network, the optimiser, and in ``steps`` the number of updates of each task. The optimiser's state
            is forgotten between tasks.
        scaling: the standardisation of the states, and the bounds that actions are scaled to.
        batch: B, the number of rows of the task, and of the memory, in each update.

    Returns:
        The networks after each task.

    Raises:
        PotstillError: the pairs do not match the scaling, have weights, or the numbers of memories do not match the
            tasks and seeds.

    Example:
        >>> from potstill.students import Recipe
        >>> rows = [Pairs(jnp.eye(3), jnp.full((3, 1), goal)) for goal in (0.5, -0.5)]
        >>> recipe = Recipe(steps=2, width=4, layers=2, optimiser="adam")
        >>> learn_in_turn(rows, [rows[:1], []], [0, 1], recipe, Scaling.identity(3, 1), batch=2)
        [Students(2 networks 3-4-1), Students(2 networks 3-4-1)]
    """
    check_least("batch", batch, 1)
    _check_memories(tasks, memories, len(seeds), scaling)
    recipe = recipe.fit_to_actions(discrete=scaling.action_bounds.discrete)
    keys = [jax.random.split(jax.random.key(np.uint32(seed)), len(tasks) + 1) for seed in seeds]
    networks = [initialise_network(key[0], *_count_components(scaling), recipe) for key in keys]
    params = jax.tree.map(lambda *parts: jnp.stack(parts), *networks)
    learned: list[Students] = []
    for t, rows in enumerate(tasks):
        steps = jnp.stack([key[t + 1] for key in keys])
        params = _learn_task(params, steps, (rows.states, rows.actions), _join_memories(memories[:t]), recipe, batch)
        learned.append(Students(params, scaling))
    return learned


@functools.partial(jax.jit, static_argnames=("recipe", "batch"))
def _learn_task(
    params: object, keys: Key[Array, " K"], rows: Columns, memory: Columns | None, recipe: Recipe, batch: int
) -> object:
    """Train K networks on the rows of a task, each with its own memory or all with one."""

    def update(state: TrainingState, key: PRNGKeyArray, kept: Columns | None) -> TrainingState:
        current, earlier = jax.random.split(key)
        drawn = [_draw_rows(current, rows, batch)]
        drawn += [] if kept is None else [_draw_rows(earlier, kept, batch)]
        pairs = Pairs(*map(jnp.concatenate, zip(*drawn, strict=True)))
        return take_optimiser_step(state, jax.grad(bc_loss)(state.params, pairs, None, recipe.loss), recipe)

    def train(params: object, key: PRNGKeyArray, kept: Columns | None) -> object:
        body = lambda state, key: (update(state, key, kept), None)  # noqa: E731
        fresh = initialise_training(params, recipe)  # type: ignore[arg-type]
        return jax.lax.scan(body, fresh, jax.random.split(key, recipe.steps))[0].params

    shared = memory is None or memory[0].ndim == 2
    trained: object = jax.vmap(train, in_axes=(0, 0, None if shared else 0))(params, keys, memory)
    return trained


def _draw_rows(key: PRNGKeyArray, columns: Columns, count: int) -> Columns:
    index = jax.random.randint(key, (count,), 0, len(columns[0]))
    return columns[0][index], columns[1][index]


def _join_memories(memories: Sequence[Sequence[Pairs]]) -> Columns | None:
    """Join the memories of the earlier tasks: [M, S] if all networks share them, else [K, M, S]."""
    kept = [memory for memory in memories if memory]
    if not kept:
        return None
    each = [[memory[k % len(memory)] for memory in kept] for k in range(max(len(memory) for memory in kept))]
    states = [jnp.concatenate([pairs.states for pairs in own]) for own in each]
    actions = [jnp.concatenate([pairs.actions for pairs in own]) for own in each]
    return (states[0], actions[0]) if len(each) == 1 else (jnp.stack(states), jnp.stack(actions))


def _count_components(scaling: Scaling) -> tuple[int, int]:
    return len(scaling.normaliser.mean), len(scaling.action_bounds)


def _check_memories(
    tasks: Sequence[Pairs], memories: Sequence[Sequence[Pairs]], networks: int, scaling: Scaling
) -> None:
    if not tasks or not networks:
        raise PotstillError(f"learn_in_turn: {len(tasks)} tasks, {networks} seeds: expected at least one of each")
    if len(memories) != len(tasks):
        raise PotstillError(f"learn_in_turn: {len(memories)} memories for {len(tasks)} tasks")
    for memory in memories:
        if len(memory) not in (0, 1, networks):
            raise PotstillError(f"learn_in_turn: {len(memory)} memories of a task: expected 0, 1 or {networks}")
        if len({len(pairs.states) for pairs in memory}) > 1:
            raise PotstillError("learn_in_turn: the memories of a task have different sizes")
    for pairs in (*tasks, *(pairs for memory in memories for pairs in memory)):
        if pairs.weights is not None:
            raise PotstillError("learn_in_turn: pairs with weights are not supported")
        check_pairs(pairs, scaling)


@check_arguments
def append_task(states: Float[np.ndarray, "M S"], task: int, tasks: int) -> Float[np.ndarray, "M _"]:
    """Append the components that tell a network the task: 1 for this one of K tasks, 0 for others.

    Raises:
        PotstillError: there is no such task.

    Example:
        >>> append_task(np.array([[0.5], [0.25]]), task=1, tasks=2).tolist()
        [[0.5, 0.0, 1.0], [0.25, 0.0, 1.0]]
    """
    if not 0 <= task < tasks:
        raise PotstillError(f"append_task: task {task}: expected a number from 0 to {tasks - 1}")
    told = np.broadcast_to(np.eye(tasks, dtype=states.dtype)[task], (len(states), tasks))
    return np.concatenate([states, told], axis=1)


@check_arguments
def compute_forgetting(returns: Float[np.ndarray, "T T"]) -> float:
    """Compute the forgetting after T tasks: how much return the earlier tasks have lost since their best moment.

        F = 1/(T − 1) Σ_{i<T} ( max_{i ≤ t < T} R_ti − R_Ti )

    Args:
        returns: R_ti, the return in task i after learning task t. Those with i > t are ignored.

    Raises:
        PotstillError: there are fewer than two tasks.

    Source: Chaudhry et al. 2018, arXiv 1801.10112.

    Example:
        >>> compute_forgetting(np.array([[90.0, 0.0], [30.0, 80.0]]))
        60.0
    """
    tasks = len(returns)
    if tasks < 2:
        raise PotstillError(f"compute_forgetting: {tasks} tasks: expected at least two")
    lost = [returns[i : tasks - 1, i].max() - returns[tasks - 1, i] for i in range(tasks - 1)]
    return float(np.mean(lost))
