"""The statistics of a dataset that ``potstill inspect`` saves, prints and plots."""

from __future__ import annotations

from typing import Literal, cast

import numpy as np
from jaxtyping import Float, Shaped

from potstill.bundled import BUNDLED, list_bundled_names
from potstill.data.blocks import iterate_blocks
from potstill.data.selection import sample_episodes
from potstill.data.transitions import Transitions
from potstill.environments.making import make
from potstill.environments.references import REFERENCES, find_reference_returns, normalised_return
from potstill.errors import PotstillError
from potstill.reports.schema import (
    ActionStatistics,
    ColumnRange,
    Coverage,
    DatasetScores,
    DatasetStatistics,
    EnvironmentMatch,
    EpisodeEnds,
    ValueSummary,
)
from potstill.runtime.files import read_json

RANGE: tuple[Literal["min"], Literal["mean"], Literal["std"], Literal["max"]] = ("min", "mean", "std", "max")
BINS = 30
CELLS = 20  # grid cells along each of the first two principal components
SAMPLED_STATES = 2000  # states whose distances are computed, drawn with a fixed seed
EXAMINED_ROWS = 300_000  # largest number of rows of a mapped dataset that are examined
NEIGHBOUR = 10  # rank of the neighbour whose distance measures density
VARIANCE = 0.95  # share of the variance that the effective dimension explains
AT_BOUND = 0.005  # actions within this share of the range count as at a bound: |a| ≥ 0.99 for bounds of ±1


def summarise_dataset(data: Transitions) -> DatasetStatistics:
    """Compute the statistics of a dataset.

    For a mapped dataset, returns, lengths and ends of episodes are computed from all rows. The other statistics are
    computed from at most 300,000 rows: whole episodes, drawn with a fixed seed.

    >>> from potstill import load_dataset
    >>> statistics = summarise_dataset(load_dataset("hopper-medium-replay"))
    >>> statistics["episodes"], statistics["coverage"]["components"]
    (1100, 8)
    """
    returns, seen = data.episode_returns(), sample_episodes(data, EXAMINED_ROWS)
    return {
        "kind": "dataset",
        "name": data.name,
        "env_id": data.env_id,
        "rows": len(data),
        "looked_at": len(seen),
        "episodes": len(returns),
        "state_size": data.state_size,
        "action_size": data.action_size,
        "returns": summarise_values(returns),
        "lengths": summarise_values(measure_episode_lengths(data)),
        "ends": count_ends(data),
        "environment": match_environment(seen),
        "scores": summarise_scores(data, returns),
        "columns": [
            *find_column_ranges("observations", seen.observations),
            *find_column_ranges("actions", seen.actions),
            *find_column_ranges("rewards", seen.rewards),
        ],
        "actions": summarise_actions(seen),
        "duplicated_states": measure_duplicated_share(seen.observations),
        "coverage": measure_state_coverage(seen),
        "normaliser": {"mean": data.normaliser.mean.tolist(), "scale": data.normaliser.scale.tolist()},
        "sha256": data.content_hash,
        "card": data.card,
    }


def summarise_values(values: Shaped[np.ndarray, " E"]) -> ValueSummary:
    """Compute minimum, mean, standard deviation, median, maximum and histogram of one number per episode."""
    counts, edges = np.histogram(values, min(BINS, len(np.unique(values))))
    return {
        "min": float(values.min()),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "median": float(np.median(values)),
        "max": float(values.max()),
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
    }


def measure_episode_lengths(data: Transitions) -> Shaped[np.ndarray, " E"]:
    """Count the rows of each episode, in order."""
    return np.diff(data.episode_bounds)


def count_ends(data: Transitions) -> EpisodeEnds:
    """Count the episodes that terminate by the environment's rule, and those with any other end."""
    terminations = sum(int(data.terminations[rows].sum()) for rows in iterate_blocks(data.terminations))
    truncations = int(data.episode_ends.sum()) - terminations
    marked = max(1, terminations + truncations)
    return {
        "terminations": terminations,
        "truncations": truncations,
        "termination_share": terminations / marked,
        "truncation_share": truncations / marked,
    }


def find_column_ranges(name: str, array: Shaped[np.ndarray, "M ..."]) -> list[ColumnRange]:
    """Compute minimum, mean, standard deviation and maximum of the finite values of each component."""
    found: list[ColumnRange] = []
    for index, column in enumerate(array.T if array.ndim > 1 else [array]):
        finite = column[np.isfinite(column)].astype(np.float64)
        some = len(finite) > 0
        found.append(
            {
                "name": f"{name}[{index}]" if array.ndim > 1 else name,
                "min": float(finite.min()) if some else None,
                "mean": float(finite.mean()) if some else None,
                "std": float(finite.std()) if some else None,
                "max": float(finite.max()) if some else None,
                "not_finite": len(column) - len(finite),
            }
        )
    return found


def summarise_actions(data: Transitions) -> ActionStatistics:
    """Return the action bounds; for each component, the share of values at a bound, the range, and a histogram.

    For discrete actions, return the number of rows with each action.
    """
    if data.action_bounds.discrete:
        counts = data.actions.sum(axis=0, dtype=np.float64).astype(int).tolist()
        empty: ActionStatistics = {
            "low": [],
            "high": [],
            "at_bounds": [],
            "at_bounds_share": 0.0,
            "spans": [],
            "histograms": [],
        }
        return {**empty, "counts": counts}
    low, high = data.action_bounds.low, data.action_bounds.high
    near = AT_BOUND * (high - low)
    at_bounds = ((data.actions <= low + near) | (data.actions >= high - near)).mean(axis=0)
    spans = (data.actions.max(axis=0) - data.actions.min(axis=0)) / (high - low)
    bounds = zip(data.actions.T, low, high, strict=True)
    return {
        "low": low.tolist(),
        "high": high.tolist(),
        "at_bounds": at_bounds.tolist(),
        "at_bounds_share": float(at_bounds.mean()),
        "spans": spans.tolist(),
        "histograms": [np.histogram(np.clip(a, lo, hi), BINS, (lo, hi))[0].tolist() for a, lo, hi in bounds],
    }


def measure_duplicated_share(states: Float[np.ndarray, "M S"]) -> float:
    """Measure the share of states that are exact copies of the state in an earlier row.

    >>> measure_duplicated_share(np.array([[0.0], [1.0], [0.0], [0.0]]))
    0.5
    """
    return 1.0 - len({hash(state.tobytes()) for state in states}) / len(states)


def measure_state_coverage(data: Transitions) -> Coverage:
    """Measure the density and coverage of the states on a sample of standardised states with a fixed seed.

    Returns:
        ``states``: the size of the sample. ``neighbour``: k. ``distances``: the 5th, 50th and 95th percentile of the
        distance to the k-th nearest neighbour, which is small where states are dense. ``components``: the number of
        principal components that explain 95 % of the variance. ``plane``: the share of the variance that the first
        two explain. ``cells``: the counts in a 20 × 20 grid over these two, from the 1st to the 99th percentile of
        each; states outside are counted in the outermost cells. ``cells_occupied``: the share of cells with a state.
    """
    rows = np.random.default_rng(0).choice(len(data), min(SAMPLED_STATES, len(data)), replace=False)
    states = data.normaliser(data.observations[np.sort(rows)].astype(np.float64))
    centred = states - states.mean(axis=0)
    norms = np.square(centred).sum(axis=1)
    squared = norms[:, None] + norms - 2.0 * centred @ centred.T
    neighbour = min(NEIGHBOUR, len(states) - 1)  # index 0 is the state itself
    distances = np.sqrt(np.maximum(np.partition(squared, neighbour, axis=1)[:, neighbour], 0.0))
    _, scales, directions = np.linalg.svd(centred, full_matrices=False)
    shares = np.cumsum(np.square(scales)) / max(np.square(scales).sum(), 1e-12)
    plane = np.zeros((len(states), 2))
    plane[:, : len(directions[:2])] = centred @ directions[:2].T
    low, high = np.percentile(plane, [1, 99], axis=0)
    first, second = np.clip(plane, low, high).T
    cells = np.histogram2d(first, second, CELLS, np.stack([low, high], axis=1))[0]
    return {
        "states": len(states),
        "neighbour": neighbour,
        "distances": np.percentile(distances, [5, 50, 95]).tolist(),
        "components": int(np.searchsorted(shares, VARIANCE) + 1) if shares[-1] > VARIANCE else 0,
        "plane": float(shares[:2][-1]),
        "cells_occupied": float((cells > 0).mean()),
        "cells": cells.astype(int).tolist(),
    }


def match_environment(data: Transitions) -> EnvironmentMatch:
    """Return the dataset's environment or, if it has none, the environments that match its sizes and actions."""
    if data.action_bounds.discrete:  # the known environments have continuous actions
        return {"declared": data.env_id, "fits": []}
    sizes = (data.state_size, data.action_size)
    lowest, highest = data.actions.min(axis=0), data.actions.max(axis=0)
    return {"declared": data.env_id, "fits": [] if data.env_id else find_fitting_environments(*sizes, lowest, highest)}


def find_fitting_environments(
    state_size: int, action_size: int, lowest: Float[np.ndarray, " A"], highest: Float[np.ndarray, " A"]
) -> list[str]:
    """Find the MuJoCo environments, -v4 and later, with these sizes and with bounds that contain the actions.

    >>> find_fitting_environments(11, 3, -np.ones(3), np.ones(3))
    ['Hopper-v4', 'Hopper-v5']
    """
    import gymnasium

    found = []
    for env_id in gymnasium.registry:
        family, _, version = env_id.rpartition("-v")
        if family not in REFERENCES or int(version) < 4:
            continue
        try:
            env = make(env_id)
        except (PotstillError, ImportError):  # Pusher-v4 does not run on current versions of MuJoCo
            continue
        low, high = env.action_space.low, env.action_space.high
        env.close()
        same = env.observation_space.shape == (state_size,) and env.action_space.shape == (action_size,)
        if same and (lowest >= low - 1e-4).all() and (highest <= high + 1e-4).all():
            found.append(env_id)
    return sorted(found)


def summarise_scores(data: Transitions, returns: Float[np.ndarray, " E"]) -> DatasetScores | None:
    """Return normalised scores of the episodes, the reference returns, and the score of behavioural cloning if known.

    The result is ``None`` if no reference returns are known.
    """
    reference = find_reference_returns(data.env_id, data.card)
    if reference.source is None:
        return None
    scores = normalised_return(returns, reference)
    cloned = BUNDLED / f"{data.name}.bc.json"
    known = read_json(cloned)["bc"]["mean"] if data.name in list_bundled_names() and cloned.exists() else None
    return {
        "mean": float(scores.mean()),
        "best": float(scores.max()),
        "random_return": reference.random,
        "expert_return": reference.expert,
        "source": reference.source,
        "bc": cast("float | None", data.card.get("bc", known)),
    }
