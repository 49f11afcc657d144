"""The dataset as the outer loop wants it: all that objectives ask of its states, computed once."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from potstill.objectives import Batch, States, state_weights
from potstill.teachers.base import Teacher
from potstill.teachers.rows import need_order, to_unit
from potstill.types import Transitions

TABLE_CHUNK = 16_384  # rows of the dataset that pass through the teacher at once


def tabulate(
    data: Transitions,
    teacher: Teacher | None,
    weighting: str = "uniform",
    index: Int[np.ndarray, " M"] | None = None,
) -> Batch:
    """Everything objectives need of a dataset, computed once: M rows on the device.

    Without a teacher (enough for DBC) its actions are the dataset's and its values are zero.

    Args:
        data: the whole dataset, so that the time within an episode is known.
        teacher: gives actions and values.
        weighting: of the states, see :func:`~potstill.objectives.weights.state_weights`.
        index: the rows to tabulate. Default: all.

    Raises:
        PotstillError: an unknown weighting; one of time, of rows that are not in the order of their episodes.
    """
    index = np.arange(len(data)) if index is None else index
    observations, unit = data.observations[index], to_unit(data.actions[index], data)
    states = jnp.asarray((data if teacher is None else teacher).normaliser(observations))
    actions = jnp.asarray(unit)
    chosen, critic_values = (actions, jnp.zeros((len(index), 1))) if teacher is None else judged(states, teacher)
    values = critic_values.min(axis=-1)
    of = States(states, values, lambda: episode_steps(data)[index])
    scale = jnp.ones(()) if teacher is None else jnp.maximum(values.std(), 1e-8)
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


def episode_steps(data: Transitions) -> Int[np.ndarray, " M"]:
    """How many steps of its episode precede each row, for data in the order of their episodes."""
    need_order(data, "a weighting of time", otherwise="")
    rows = np.arange(len(data))
    starts = np.concatenate([[True], data.episode_ends[:-1]])
    return rows - np.maximum.accumulate(np.where(starts, rows, 0))


def rows(table: Batch, index: Int[Array, " B"]) -> Batch:
    """The rows ``index`` of a table, or of a batch."""
    columns = {name: column[index] for name, column in table._asdict().items() if name != "value_scale"}
    return table._replace(**columns)
