"""Errors of a world model on held-out rows and episodes, measured without the environment."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Bool, Float, Int

from potstill.data.successors import find_recorded_successors
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError
from potstill.runtime.files import JsonObject
from potstill.worlds.base import World

EVERY = 20  # one of 20 episodes (or rows) is held out
MOST_HELD_OUT = 10_000  # largest number of held-out rows
LENGTHS = (1, 5, 10, 25, 50, 100, 200)  # steps after which open-loop errors are measured
ROLLOUTS = 256  # largest number of open-loop rollouts for each length
ONE_STEP = 4_096  # largest number of rows for one-step errors


def hold_out(data: Transitions, seed: int) -> Bool[np.ndarray, " M"]:
    """Mask of the held-out rows: every twentieth episode, at most 10,000 rows but at least one episode.

    An episode with more than half of all rows is never held out.
    """
    bounds = data.episode_bounds
    held = np.zeros(len(data), np.bool_)
    rng = np.random.default_rng(seed)
    if len(bounds) < 3:  # a single episode: hold out rows instead
        held[rng.choice(len(data), max(1, len(data) // EVERY), replace=False)] = True
        return held
    few = max(1, (len(bounds) - 1) // EVERY)
    lengths, order = np.diff(bounds), rng.permutation(len(bounds) - 1)
    for i, episode in enumerate(order[2 * lengths[order] <= len(data)][:few]):  # the rest has most of the rows
        if i and held.sum() + lengths[episode] > MOST_HELD_OUT:
            break
        held[bounds[episode] : bounds[episode + 1]] = True
    return held


def measure_errors(world: World, data: Transitions, held_out: Bool[np.ndarray, " M"]) -> JsonObject:
    """Errors on held-out rows.

    Returns:
        ``one_step``: share of the variance of change and reward that the model leaves unexplained, mean over the
        components; ``reward``: the same of the reward alone; ``disagreement``: of the members on these rows, median
        and 95th percentile; ``open_loop``: for n steps, the median over rollouts of the root mean square error of the
        state in standard deviations, along the recorded actions; ``terminations``: shares of the terminations and of
        the other rows that are predicted correctly, ``null`` without terminations.
    """
    index = np.flatnonzero(held_out)
    index = index[np.unique(np.linspace(0, len(index) - 1, min(len(index), ONE_STEP), dtype=int))]
    rows = data.take(index)
    states = data.normaliser(rows.observations)
    actual = np.concatenate([data.normaliser(rows.next_observations) - states, rows.rewards[:, None]], axis=1)
    predicted = world.step(states, data.action_bounds.to_unit(rows.actions))
    changes = np.concatenate([np.asarray(predicted.states) - states, np.asarray(predicted.rewards)[:, None]], axis=1)
    recorded = find_recorded_successors(data)[index]
    changes[~recorded, :-1] = actual[~recorded, :-1]  # nothing is known there
    unexplained = np.mean((changes - actual) ** 2, axis=0) / np.maximum(actual.var(axis=0), 1e-12)
    unexplained = np.where(actual.var(axis=0) > 1e-12, unexplained, 0.0)  # constant components count as explained
    disagreement = np.asarray(predicted.disagreement)
    ended, said = rows.terminations, np.asarray(predicted.terminated)
    wrong = said[~ended].mean() if not ended.all() else 0.0
    found = {"found": float(said[ended].mean()), "kept": float(1.0 - wrong)} if ended.any() else None
    return {
        "rows": len(index),
        "one_step": float(unexplained.mean()),
        "reward": float(unexplained[-1]),
        "disagreement": {"median": float(np.median(disagreement)), "p95": float(np.percentile(disagreement, 95))},
        "open_loop": {str(n): e for n, e in open_loop_errors(world, data, held_out).items()},
        "terminations": found,
    }


def open_loop_errors(world: World, data: Transitions, held_out: Bool[np.ndarray, " M"]) -> dict[int, float]:
    """The median error of the state after n steps along the data's own actions, by n.

    Lengths that no held-out episode reaches are omitted. If rows are not in the order of their episodes, the errors are
    as large as the breaks in the order.
    """
    errors = {}
    for length in LENGTHS:
        starts = find_rollout_starts(data, held_out, length)
        if not len(starts):
            break
        starts = starts[np.unique(np.linspace(0, len(starts) - 1, min(len(starts), ROLLOUTS), dtype=int))]
        errors[length] = float(np.median(measure_open_loop(world, data, starts, length)))
    return errors


def find_rollout_starts(data: Transitions, held_out: Bool[np.ndarray, " M"], length: int) -> Int[np.ndarray, " L"]:
    """The rows of held-out episodes that ``length`` further rows of the same episode follow."""
    spans = [(a, b) for a, b in itertools.pairwise(data.episode_bounds) if held_out[a:b].all()]
    return np.concatenate([np.arange(a, b - length) for a, b in spans] or [np.zeros(0, int)])


def measure_open_loop(
    world: World, data: Transitions, starts: Int[np.ndarray, " L"], length: int
) -> Float[np.ndarray, " L"]:
    """Measure the error of L rollouts after ``length`` recorded actions, in standard deviations of states."""
    if length < 1:
        raise PotstillError(f"length {length}: expected at least one step")
    states = data.normaliser(data.observations[starts])
    for t in range(length):
        states = np.asarray(world.step(states, data.action_bounds.to_unit(data.actions[starts + t])).states)
    wrong = states - data.normaliser(data.observations[starts + length])
    error: np.ndarray = np.sqrt(np.mean(wrong**2, axis=1))
    return error
