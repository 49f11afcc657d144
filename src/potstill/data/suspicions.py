"""Warn of likely mistakes in a dataset that the data alone cannot prove. The dataset is still used."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from potstill.data.blocks import gather
from potstill.data.ends import USUAL_LIMIT
from potstill.data.transitions import Transitions
from potstill.environments.making import find_registered_limit
from potstill.errors import name_option

SAMPLE = 4096  # rows in which next observations are compared
FEW = 1024  # rows sampled to check precision and discreteness


def find_suspicions(data: Transitions, *, numbers: bool = True) -> list[str]:
    """Look for likely mistakes in a dataset. The data are not changed.

    The checks are: time-outs that are recorded as terminations, missing ends of episodes, next observations that are
    not the following row's observations, numbers that float32 rounds coarsely, and actions that look discrete. The last
    three checks use a sample of rows; the rows for next observations are drawn with a fixed seed.

    Args:
        data: the dataset.
        numbers: whether to check for discrete actions. It is not needed if the user states the kind of actions.

    Returns:
        One line for each suspicion.

    Example:
        >>> from potstill.data import load_dataset
        >>> find_suspicions(load_dataset("hopper-medium-replay"))
        []
    """
    limit = find_registered_limit(data.env_id)
    known, limit = limit is not None, limit or USUAL_LIMIT
    ends, lengths = data.episode_bounds[1:] - 1, np.diff(data.episode_bounds)
    found = [_find_late_terminations(data, ends, lengths, limit), *_find_broken_sequences(data)]
    row = ends[lengths.argmax()] - lengths.max() + 1
    if known and lengths.max() > limit:
        found.append(f"an episode has {lengths.max()} rows from row {row}, but {data.env_id} stops after {limit}")
    elif not known and len(ends) == 1 and len(data) > limit:
        found.append(f"no episode ends in {len(data)} rows: are terminations or time-outs missing?")
    discrete = _find_discrete_actions(data) if numbers else ""
    return [line for line in (*found, *_find_coarse_numbers(data), discrete) if line]


def _find_late_terminations(
    data: Transitions, ends: Int[np.ndarray, " E"], lengths: Int[np.ndarray, " E"], limit: int
) -> str:
    """Return a warning if most episodes of full length end by termination, else an empty string."""
    (terminated,) = gather([data.terminations], ends)
    late = terminated & (lengths == limit)
    cut = ~terminated & (lengths >= limit - 1)  # D4RL's rule drops the row of a time-out
    if late.sum() < 2 or late.sum() <= cut.sum():
        return ""
    return (
        f"{late.sum()} episodes terminate exactly at step {limit}, the first in row {ends[late][0]}: "
        "are time-outs recorded as terminations? They belong in truncations (timeouts)"
    )


def _find_broken_sequences(data: Transitions) -> list[str]:
    """Return at most one warning about next observations, from a sample of the rows that end no episode."""
    count = max(0, len(data) - 2)
    if data.in_order and 2 * np.count_nonzero(data.truncations) <= len(data):
        return []
    rows = np.arange(min(count, SAMPLE))
    if count > SAMPLE:
        rows = np.sort(np.random.default_rng(0).integers(0, count, SAMPLE))
    if len(rows) and data.truncations[rows].mean() > 0.5 and len(rows) >= 100:
        return ["most rows are truncated: are rows out of order? Returns of episodes are then meaningless"]
    rows = rows[:0] if data.in_order else rows[~data.episode_ends[rows]]
    if not len(rows):
        return []
    after = data.next_observations[rows]
    own, second = (np.all(after == data.observations[rows + step], axis=1) for step in (0, 2))
    broken = ~np.isclose(after, data.observations[rows + 1], rtol=1e-3, atol=1e-5).all(axis=1)
    for wrong, what in ((own, "the row's own observations"), (second & broken, "the observations two rows later")):
        if wrong.mean() > 0.5:
            share, row = wrong.mean(), rows[wrong][0]
            return [f"next_observations equal {what} in {share:.0%} of rows, first in row {row}: are they shifted?"]
    if not broken.any():
        return []
    return [
        f"next_observations differ from the following row's observations in {broken.mean():.2%} of rows, first in row "
        f"{rows[broken][0]}, though no episode ends there: are truncations missing, or rows out of order?"
    ]


def _sample(data: Transitions, column: np.ndarray) -> np.ndarray:
    """Return evenly spaced rows of a column."""
    rows = np.linspace(0, len(data) - 1, min(len(data), FEW), dtype=int)
    return gather([column], rows)[0]


def _find_coarse_numbers(data: Transitions) -> list[str]:
    """Return a warning for each component that float32 rounds by more than a thousandth of its range."""
    found = []
    columns = {"observations": data.observations, "actions": data.actions, "rewards": data.rewards}
    for key, column in columns.items():
        values = _sample(data, column).reshape(-1, column.shape[1] if column.ndim == 2 else 1)
        low, high = values.min(axis=0), values.max(axis=0)
        largest = np.maximum(np.abs(low), np.abs(high))
        coarse = (high > low) & (np.spacing(largest) > (high.astype(np.float64) - low) / 1000)
        found += [
            f"{f'{key}[{i}]' if column.ndim == 2 else key} is about {largest[i]:.3g}, where float32 has steps of "
            f"{np.spacing(largest[i]):.3g}: subtract an offset, such as the first value, before converting to float32"
            for i in np.flatnonzero(coarse)
        ]
    return found


def _find_discrete_actions(data: Transitions) -> str:
    """Return a warning if the only action component is a whole number from 0 to at least 2."""
    if data.action_size != 1:
        return ""
    actions = _sample(data, data.actions)
    if actions.min() != 0 or actions.max() < 2 or (actions != np.rint(actions)).any():
        return ""
    return (
        f"actions are whole numbers from 0 to {actions.max():.0f}: are they discrete? They are used as continuous "
        f"actions; read a finite set with {name_option('actions', 'discrete')}"
    )
