"""The state table: all quantities of a dataset's states that objectives use, computed once."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from scipy.signal import lfilter

from potstill.data.blocks import iterate_blocks
from potstill.data.transitions import Transitions
from potstill.distillation.objectives.base import StateTable
from potstill.distillation.objectives.weights import StateFeatures, Weighting, weigh_uniform
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.teachers.base import Teacher
from potstill.teachers.evaluation.fqe import act_in_parts
from potstill.teachers.rows import check_order

CHUNK = 16_384  # rows per call of the teacher
FORGETTING = 0.98  # decay of the action deviation per step; it averages over about fifty steps


@check_arguments
def build_state_table(
    data: Transitions,
    teacher: Teacher | None,
    weighting: Weighting | None = None,
    index: Int[np.ndarray, " M"] | None = None,
    deviation: Callable[[], Float[np.ndarray, " R"]] | None = None,
) -> StateTable:
    """Compute the state table of a dataset: M rows on the device.

    Without a teacher (DBC uses none), the teacher's actions are those of the dataset and all values are zero.

    Args:
        data: the whole dataset, because weights by time require whole episodes.
        teacher: its actions and values are computed in all rows.
        weighting: weights of the states. Default: uniform.
        index: rows to include. Default: all.
        deviation: returns :func:`measure_action_deviation` of all R rows; called only if the weighting uses it.

    Raises:
        PotstillError: the weighting is by time or occupancy, but the rows are not in the order of their episodes; or it
            is by occupancy, but there is no teacher.

    Example:
        >>> import potstill
        >>> from potstill.distillation import WEIGHTINGS, combine_weightings
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(100))
        >>> teacher = potstill.load_teacher("hopper-medium-replay")
        >>> table = build_state_table(data, teacher, combine_weightings(WEIGHTINGS["ranged"]))
        >>> table.states.shape, table.critic_values.shape, round(float(table.weights.mean()), 4)
        ((100, 11), (100, 2), 1.0)
    """
    index = np.arange(len(data)) if index is None else index
    deviation = deviation or functools.partial(measure_action_deviation, data, teacher)
    observations, unit = data.observations[index], data.action_bounds.to_unit(data.actions[index])
    states = jnp.asarray((data if teacher is None else teacher).normaliser(observations))
    actions = jnp.asarray(unit)
    if teacher is None:
        teacher_actions, critic_values = actions, jnp.zeros((len(index), 1))
    else:
        teacher_actions, critic_values = evaluate_teacher(states, teacher)
    values = critic_values.min(axis=-1)
    scale = jnp.ones(()) if teacher is None else jnp.maximum(values.std(), 1e-8)
    features = StateFeatures(states, values, lambda: count_episode_steps(data)[index], lambda: deviation()[index])
    weights = (weighting or weigh_uniform)(features)
    return StateTable(states, actions, teacher_actions, critic_values, weights, scale)


def evaluate_teacher(states: Float[Array, "M S"], teacher: Teacher) -> tuple[Float[Array, "M A"], Float[Array, "M C"]]:
    """The teacher's actions, and their values by each of its critics."""

    @jax.jit
    def evaluate(chunk: Array) -> tuple[Array, Array]:
        actions = teacher.act(chunk)
        return actions, teacher.action_values(chunk, actions).T

    chunks = [evaluate(states[i : i + CHUNK]) for i in range(0, len(states), CHUNK)]
    actions, values = (jnp.concatenate(parts) for parts in zip(*chunks, strict=True))
    return actions, values


def count_episode_steps(data: Transitions) -> Int[np.ndarray, " M"]:
    """Count the steps before each row in its episode. Rows must be in the order of their episodes."""
    check_order(data, "a weighting by time", alternative="")
    rows = np.arange(len(data))
    starts = np.concatenate([[True], data.episode_ends[:-1]])
    return rows - np.maximum.accumulate(np.where(starts, rows, 0))


def measure_action_deviation(data: Transitions, teacher: Teacher | None) -> Float[np.ndarray, " M"]:
    """Average ‖π*(s_k) − a_k‖² over the steps k < t of each row's episode, with exponential forgetting.

    Actions lie in [−1, 1]. The weight of a step decays by 0.98 per step. The value in the first row of an episode is 0.

    Raises:
        PotstillError: no teacher, or rows that are not in the order of their episodes.
    """
    if teacher is None:
        raise PotstillError("weights by occupancy require a teacher: they depend on its distance to the data's actions")
    check_order(data, "a weighting by occupancy", alternative="")
    found, before = np.zeros(len(data), np.float32), np.zeros(2)
    for block in iterate_blocks(data.observations):
        states = teacher.normaliser(data.observations[block])
        actions = data.action_bounds.to_unit(data.actions[block])
        distances = np.sum((np.asarray(act_in_parts(teacher, jnp.asarray(states))) - actions) ** 2, axis=-1)
        ends = np.flatnonzero(data.episode_ends[block]) + 1
        for start, end in itertools.pairwise(sorted({0, *ends.tolist(), len(distances)})):
            sums = np.stack([distances[start:end], np.ones(end - start)])
            after, _ = lfilter([1.0], [1.0, -FORGETTING], sums, zi=FORGETTING * before[:, None])
            past = np.concatenate([before[:, None], after[:, :-1]], axis=1)
            found[block.start + start : block.start + end] = past[0] / np.maximum(past[1], 1e-12)
            before = np.zeros(2) if end in ends else after[:, -1]
    return found


def take_rows(table: StateTable, index: Int[Array, " B"]) -> StateTable:
    """The rows ``index`` of a table, as a table."""
    columns = {name: column[index] for name, column in table._asdict().items() if name != "value_scale"}
    return table._replace(**columns)


def add_state_noise(batch: StateTable, noise: float, teacher: Teacher, key: PRNGKeyArray) -> StateTable:
    """Add Gaussian noise to a random half of the states, and evaluate the teacher in the new states.

    The errors of a student lead it to states that the data do not contain. It should imitate the teacher there, too.

    Args:
        batch: rows of the dataset.
        noise: standard deviation of the noise, in standard deviations of the dataset.
        teacher: its actions and values are computed in the states with noise.
        key: determines the noise and which states it is added to.
    """
    choice_key, noise_key = jax.random.split(key)
    moved = jax.random.bernoulli(choice_key, 0.5, (len(batch.states), 1))
    states = batch.states + noise * moved * jax.random.normal(noise_key, batch.states.shape)
    actions = teacher.act(states)
    values = teacher.action_values(states, actions).T
    return batch._replace(states=states, teacher_actions=actions, critic_values=values)
