"""The figures of a dataset, as plain values: what ``potstill inspect`` keeps, prints and draws."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float, Shaped

from potstill.bundled import BUNDLED, bundled_names
from potstill.data.blocks import blocks
from potstill.data.selection import sample_episodes
from potstill.data.transitions import Transitions
from potstill.environments.making import make
from potstill.environments.references import REFERENCES, normalised_return, reference_returns
from potstill.errors import PotstillError
from potstill.runtime.run_folder import read_json

RANGE = ("min", "mean", "std", "max")
BINS = 30
CELLS = 20  # along each of the two first principal components
SAMPLE = 2000  # states whose distances are taken, drawn with a fixed seed
LOOKED_AT = 300_000  # rows of a mapped dataset
NEIGHBOUR = 10
VARIANCE = 0.95  # kept by the effective dimension
AT_BOUND = 0.005  # of the width between the bounds: |a| ≥ 0.99 where they are ±1


def figures_of(data: Transitions) -> dict[str, Any]:
    """Everything ``potstill inspect`` says of a dataset but the warnings.

    Returns:
        A JSON-like dictionary: sizes, ``returns``, ``lengths`` and ``ends`` of the episodes, ``columns``
        (range of each component), ``actions`` (use of the bounds), ``coverage`` of the state space,
        ``environment``, ``scores``, ``normaliser``, ``sha256``, ``card``.

    >>> from potstill import load_dataset
    >>> figures = figures_of(load_dataset("hopper-medium-replay"))
    >>> figures["episodes"], figures["coverage"]["components"]
    (1100, 8)

    Of a mapped dataset, returns, lengths and ends are of all rows; ranges, use of the bounds, copies and
    coverage are of ``looked_at`` rows, whole episodes drawn with a fixed seed.
    """
    returns, seen = data.episode_returns(), sample_episodes(data, LOOKED_AT)
    return {
        "kind": "dataset",
        "name": data.name,
        "env_id": data.env_id,
        "rows": len(data),
        "looked_at": len(seen),
        "episodes": len(returns),
        "state_size": data.state_size,
        "action_size": data.action_size,
        "returns": summary(returns),
        "lengths": summary(episode_lengths(data)),
        "ends": ends_of(data),
        "environment": environment_of(seen),
        "scores": scores_of(data, returns),
        "columns": [
            *ranges("observations", seen.observations),
            *ranges("actions", seen.actions),
            *ranges("rewards", seen.rewards),
        ],
        "actions": actions_of(seen),
        "duplicated_states": duplicated_share(seen.observations),
        "coverage": coverage_of(seen),
        "normaliser": {"mean": data.normaliser.mean.tolist(), "scale": data.normaliser.scale.tolist()},
        "sha256": data.content_hash,
        "card": data.card,
    }


def summary(values: Shaped[np.ndarray, " E"]) -> dict[str, Any]:
    """Least, mean, spread, median, greatest and histogram of some numbers."""
    counts, edges = np.histogram(values, min(BINS, len(np.unique(values))))
    return {
        "min": float(values.min()),
        "mean": float(values.mean()),
        "std": float(values.std()),
        "median": float(np.median(values)),
        "max": float(values.max()),
        "histogram": {"counts": counts.tolist(), "edges": edges.tolist()},
    }


def episode_lengths(data: Transitions) -> Shaped[np.ndarray, " E"]:
    """Rows of each episode, in order."""
    ends = np.flatnonzero(data.episode_ends)
    last = [] if len(ends) and ends[-1] == len(data) - 1 else [len(data) - 1]
    return np.diff(np.concatenate([[-1], ends, last]).astype(np.int64))


def ends_of(data: Transitions) -> dict[str, Any]:
    """How many episodes end by the environment's own rule, and how many by time or by the file's end."""
    terminations = sum(int(data.terminations[rows].sum()) for rows in blocks(data.terminations))
    truncations = int(data.episode_ends.sum()) - terminations
    marked = max(1, terminations + truncations)
    return {
        "terminations": terminations,
        "truncations": truncations,
        "termination_share": terminations / marked,
        "truncation_share": truncations / marked,
    }


def ranges(name: str, array: Shaped[np.ndarray, "M ..."]) -> list[dict[str, Any]]:
    """Least, mean, standard deviation and greatest of each component, by its finite values alone."""
    found = []
    for index, column in enumerate(array.T if array.ndim > 1 else [array]):
        finite = column[np.isfinite(column)].astype(np.float64)
        figures = (finite.min(), finite.mean(), finite.std(), finite.max()) if len(finite) else (None,) * 4
        found.append(
            {
                "name": f"{name}[{index}]" if array.ndim > 1 else name,
                **{key: x if x is None else float(x) for key, x in zip(RANGE, figures, strict=True)},
                "not_finite": len(column) - len(finite),
            }
        )
    return found


def actions_of(data: Transitions) -> dict[str, Any]:
    """The bounds, the share of each component at one, the share of the width it spans, its histogram."""
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


def duplicated_share(states: Float[np.ndarray, "M S"]) -> float:
    """The share of states that are, bit for bit, a copy of an earlier row's.

    >>> duplicated_share(np.array([[0.0], [1.0], [0.0], [0.0]]))
    0.5
    """
    return 1.0 - len({hash(state.tobytes()) for state in states}) / len(states)


def coverage_of(data: Transitions) -> dict[str, Any]:
    """How the states fill their space, by a fixed random sample of standardised ones.

    Returns:
        ``states``, the size of the sample; ``neighbour`` k and the 5th, 50th and 95th percentile of the
        distance to the k-th nearest (small where states are dense); ``components``, the principal
        components that hold 95 % of the variance; ``plane``, the variance in the first two; ``cells``, the
        counts of a 20 × 20 grid over those two, from the 1st to the 99th percentile of each (states
        beyond count in the outermost cells); ``cells_occupied``, the share of cells with a state.
    """
    rows = np.random.default_rng(0).choice(len(data), min(SAMPLE, len(data)), replace=False)
    states = data.normaliser(data.observations[np.sort(rows)].astype(np.float64))
    centred = states - states.mean(axis=0)
    norms = np.square(centred).sum(axis=1)
    squared = norms[:, None] + norms - 2.0 * centred @ centred.T
    neighbour = min(NEIGHBOUR, len(states) - 1)  # the nearest of all is the state itself, at place 0
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


def environment_of(data: Transitions) -> dict[str, Any]:
    """The environment that the file names or, if it names none, those that its sizes and actions fit."""
    sizes = (data.state_size, data.action_size)
    lowest, highest = data.actions.min(axis=0), data.actions.max(axis=0)
    return {"declared": data.env_id, "fits": [] if data.env_id else fitting(*sizes, lowest, highest)}


def fitting(
    state_size: int, action_size: int, lowest: Float[np.ndarray, " A"], highest: Float[np.ndarray, " A"]
) -> list[str]:
    """The MuJoCo environments of these sizes, -v4 and later, whose bounds hold the actions.

    >>> fitting(11, 3, -np.ones(3), np.ones(3))
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
        except (PotstillError, ImportError):  # Pusher-v4 does not run on the MuJoCo of today
            continue
        low, high = env.action_space.low, env.action_space.high
        env.close()
        same = env.observation_space.shape == (state_size,) and env.action_space.shape == (action_size,)
        if same and (lowest >= low - 1e-4).all() and (highest <= high + 1e-4).all():
            found.append(env_id)
    return sorted(found)


def scores_of(data: Transitions, returns: Float[np.ndarray, " E"]) -> dict[str, Any] | None:
    """Normalised scores of the episodes, the returns they refer to, and behavioural cloning's if known.

    ``None`` where no reference returns are known: returns then stay raw.
    """
    reference = reference_returns(data.env_id, data.card)
    if reference.source is None:
        return None
    scores = normalised_return(returns, reference)
    cloned = BUNDLED / f"{data.name}.bc.json"
    known = read_json(cloned)["bc"]["mean"] if data.name in bundled_names() and cloned.exists() else None
    return {
        "mean": float(scores.mean()),
        "best": float(scores.max()),
        "random_return": reference.random,
        "expert_return": reference.expert,
        "source": reference.source,
        "bc": data.card.get("bc", known),
    }
