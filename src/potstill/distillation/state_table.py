"""The dataset as the outer loop wants it: all that objectives ask of its states, computed once."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from scipy.signal import lfilter

from potstill.data.blocks import blocks, extremes
from potstill.data.transitions import Transitions
from potstill.distillation.objectives import Batch, States, state_weights, weighting_of
from potstill.errors import PotstillError
from potstill.students.recipe import Recipe
from potstill.teachers.base import Teacher
from potstill.teachers.evaluation.fqe import act_in_parts
from potstill.teachers.rows import check_order, find_order_breaks

TABLE_CHUNK = 16_384  # rows of the dataset that pass through the teacher at once
USUAL_NOISE = 0.2  # on states, in standard deviations of the dataset
MEMORY = 0.98  # of how far the data strayed from the teacher: some fifty steps


def tabulate(
    data: Transitions,
    teacher: Teacher | None,
    weighting: str = "uniform",
    index: Int[np.ndarray, " M"] | None = None,
    straying: Callable[[], Float[np.ndarray, " R"]] | None = None,
) -> Batch:
    """Everything objectives need of a dataset, computed once: M rows on the device.

    Without a teacher (enough for DBC) its actions are the dataset's and its values are zero.

    Args:
        data: the whole dataset, so that the time within an episode is known.
        teacher: gives actions and values.
        weighting: of the states, see :func:`~potstill.distillation.objectives.weights.state_weights`.
        index: the rows to tabulate. Default: all.
        straying: gives what :func:`strayed` gives of all R rows, asked if the weighting needs it. Default: that.

    Raises:
        PotstillError: an unknown weighting; one of time or occupancy, of rows that are not in the order of their
            episodes; one of occupancy, without a teacher.
    """
    index = np.arange(len(data)) if index is None else index
    straying = straying or functools.partial(strayed, data, teacher)
    observations, unit = data.observations[index], data.action_bounds.to_unit(data.actions[index])
    states = jnp.asarray((data if teacher is None else teacher).normaliser(observations))
    actions = jnp.asarray(unit)
    chosen, critic_values = (actions, jnp.zeros((len(index), 1))) if teacher is None else judged(states, teacher)
    values = critic_values.min(axis=-1)
    scale = jnp.ones(()) if teacher is None else jnp.maximum(values.std(), 1e-8)
    of = States(states, values, lambda: episode_steps(data)[index], lambda: straying()[index])
    return Batch(states, actions, chosen, critic_values, state_weights(weighting, of), scale)


def judged(states: Float[Array, "M S"], teacher: Teacher) -> tuple[Float[Array, "M A"], Float[Array, "M C"]]:
    """The teacher's actions, and what each of its critics says of them."""

    @jax.jit
    def judge(chunk: Array) -> tuple[Array, Array]:
        chosen = teacher.act(chunk)
        return chosen, teacher.action_values(chunk, chosen).T

    chunks = [judge(states[i : i + TABLE_CHUNK]) for i in range(0, len(states), TABLE_CHUNK)]
    chosen, values = (jnp.concatenate(parts) for parts in zip(*chunks, strict=True))
    return chosen, values


def usual_states(objective: str, data: Transitions, teacher: Teacher | None, recipe: Recipe) -> tuple[str, float]:
    """Which states count where nothing is asked for: the weighting, and the noise on half of them.

    A Q-gap's students are to stay on their feet first. Where the environment ends episodes they come, by their own
    errors, to states beside the data's, and fall if they have learned nothing there: noise of 0.2 standard
    deviations puts some there, and weights of ``opening`` see to the first steps. Where it never does, what counts is
    to be exact where the teacher goes: weights of ``occupancy``, and half of the noise. On the benchmark each helps
    where it is used, and costs where the other is (docs/objectives/weights.md). Students that fall short err more:
    twice the noise, and no ``opening``, which they do not learn. Rows in another order than that of their episodes do
    not tell what led where: of all this they get noise, where episodes end. All other objectives are as their papers
    have them.
    """
    own = weighting_of(objective, None), 0.0
    if not objective.startswith("q-gap") or teacher is None:
        return own
    noise, ends = USUAL_NOISE * (2.0 if recipe.falls_short else 1.0), extremes(data.terminations)[1]
    if ends and (recipe.falls_short or find_order_breaks(data)[1]):
        return own[0], noise
    if ends:
        return "opening", noise
    return own if find_order_breaks(data)[1] else ("occupancy", noise / 2.0)


def episode_steps(data: Transitions) -> Int[np.ndarray, " M"]:
    """How many steps of its episode precede each row, for data in the order of their episodes."""
    check_order(data, "a weighting of time", alternative="")
    rows = np.arange(len(data))
    starts = np.concatenate([[True], data.episode_ends[:-1]])
    return rows - np.maximum.accumulate(np.where(starts, rows, 0))


def strayed(data: Transitions, teacher: Teacher | None) -> Float[np.ndarray, " M"]:
    """Fading mean of ‖π*(s_k) − a_k‖² over the steps k < t of its episode, for each row t; 0 for the first.

    Actions lie in [−1, 1]; the memory fades by 0.98 a step.

    Raises:
        PotstillError: no teacher, or rows in another order than that of their episodes.
    """
    if teacher is None:
        raise PotstillError("weights of occupancy need a teacher: their measure is its distance to the data's actions")
    check_order(data, "a weighting of occupancy", alternative="")
    found, before = np.zeros(len(data), np.float32), np.zeros(2)
    for block in blocks(data.observations):
        states, actions = teacher.normaliser(data.observations[block]), data.action_bounds.to_unit(data.actions[block])
        distances = np.sum((np.asarray(act_in_parts(teacher, jnp.asarray(states))) - actions) ** 2, axis=-1)
        ends = np.flatnonzero(data.episode_ends[block]) + 1
        for begin, end in itertools.pairwise(sorted({0, *ends.tolist(), len(distances)})):
            sums = np.stack([distances[begin:end], np.ones(end - begin)])
            after, _ = lfilter([1.0], [1.0, -MEMORY], sums, zi=MEMORY * before[:, None])
            past = np.concatenate([before[:, None], after[:, :-1]], axis=1)
            found[block.start + begin : block.start + end] = past[0] / np.maximum(past[1], 1e-12)
            before = np.zeros(2) if end in ends else after[:, -1]
    return found


def rows(table: Batch, index: Int[Array, " B"]) -> Batch:
    """The rows ``index`` of a table, or of a batch."""
    columns = {name: column[index] for name, column in table._asdict().items() if name != "value_scale"}
    return table._replace(**columns)


def perturbed(batch: Batch, noise: float, teacher: Teacher, key: PRNGKeyArray) -> Batch:
    """The batch with Gaussian noise on every other state, on average; the teacher says anew what to do there.

    A student errs, so that it comes to states beside the data's. There too it should do as the teacher does.

    Args:
        batch: of the dataset.
        noise: its standard deviation, in those of the dataset.
        teacher: gives actions and values of the moved states.
        key: draws which states move, and where to.
    """
    choice_key, noise_key = jax.random.split(key)
    moved = jax.random.bernoulli(choice_key, 0.5, (len(batch.states), 1))
    states = batch.states + noise * moved * jax.random.normal(noise_key, batch.states.shape)
    actions = teacher.act(states)
    values = teacher.action_values(states, actions).T
    return batch._replace(states=states, teacher_actions=actions, critic_values=values)
