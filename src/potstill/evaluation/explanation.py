"""Explain a distillate: where its states lie in the data, which pairs matter, and where they lead."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from potstill.data.split import select_held_out_rows, select_training_rows
from potstill.data.transitions import Transitions
from potstill.distillate import Distillate
from potstill.distillation.solvers.base import Solver
from potstill.environments.posture import has_posture, measure_posture, step_states
from potstill.evaluation.influence import count_for_half, find_method, leave_each_out, measure_influence
from potstill.evaluation.maps import Plane, count_cells, find_neighbours, place_by_neighbours
from potstill.runtime.files import JsonObject
from potstill.students.training import Pairs
from potstill.teachers.base import Teacher
from potstill.teachers.evaluation.fqe import act_in_parts

EXAMINED = 300_000  # largest number of rows among which neighbours are looked for
NEIGHBOUR = 10  # rank of the neighbour whose distance measures density
MAPPED = 1500  # states of the neighbour embedding
CELLS = 24
RESAMPLES = 1000
FEATURES = {
    "density": "distance to the tenth nearest row, in standard deviations",
    "time": "position of the nearest row in its episode, from 0 to 1",
    "value": "value of the teacher's action by its critics, in standard deviations from the data's mean",
    "height": "distance of the torso from its upright height, in metres",
    "angle": "angle of the torso from upright, in radians",
    "next density": "distance to the tenth nearest row, one step later",
    "next height": "distance from the upright height, one step later",
    "next angle": "angle from upright, one step later",
}


class Rows(NamedTuple):
    """Real rows: those among which neighbours are looked for, and held-out ones to compare pairs with."""

    training: Int[np.ndarray, " M"]
    states: Float[np.ndarray, "M S"]
    """Standardised."""
    held: Int[np.ndarray, " B"]
    held_states: Float[np.ndarray, "B S"]


def choose_rows(data: Transitions, distillate: Distillate, count: int) -> Rows:
    """Choose at most 300,000 training rows and ``count`` held-out rows, evenly spaced, so always the same."""
    training, held = select_training_rows(len(data)), select_held_out_rows(len(data))
    training = training[np.unique(np.linspace(0, len(training) - 1, min(len(training), EXAMINED)).astype(int))]
    held = held[np.unique(np.linspace(0, len(held) - 1, min(len(held), count)).astype(int))]
    states = [standardise(distillate, data.observations[index]) for index in (training, held)]
    return Rows(training, states[0], held, states[1])


def standardise(distillate: Distillate, observations: Float[np.ndarray, "B S"]) -> Float[np.ndarray, "B S"]:
    """Standardise observations as the pairs are, in float64."""
    states: Float[np.ndarray, "B S"] = np.asarray(distillate.normaliser(observations), np.float64)
    return states


def explain_distillate(
    distillate: Distillate, data: Transitions, teacher: Teacher | None, solver: Solver, *, states: int, seed: int = 0
) -> JsonObject:
    """Compute all parts of an explanation.

    Args:
        distillate: the pairs.
        data: the dataset that they were distilled from.
        teacher: its teacher, if it has one.
        solver: computes the students that are trained without one of the pairs.
        states: the number of held-out states.
        seed: determines what the solver draws, and the resampling of intervals.

    Returns:
        ``features``: each of :data:`FEATURES` for pairs and held-out rows; ``influence``; ``neighbours``: the nearest
        real row of each pair; ``maps``: places of the pairs, and counts of real rows in a grid.
    """
    rows = choose_rows(data, distillate, states)
    found = np.asarray(distillate.pairs.states, np.float64)
    neighbours = describe_neighbours(distillate, data, rows, found)
    features = compare_features(distillate, data, teacher, rows, neighbours, seed)
    return {
        "pairs": len(distillate),
        "states": len(rows.held),
        "rows": len(rows.training),
        "features": features,
        "influence": explain_influence(distillate, data, teacher, solver, rows, seed),
        "neighbours": neighbours,
        "maps": make_maps(found, rows.held_states),
    }


def describe_neighbours(
    distillate: Distillate, data: Transitions, rows: Rows, states: Float[np.ndarray, "N S"]
) -> JsonObject:
    """Describe the nearest real row of each pair: its number, episode, step, distance, and distance of the actions."""
    distances, index = find_neighbours(states, rows.states, 1)
    nearest = rows.training[index[:, 0]]
    bounds = data.action_bounds
    actions = bounds.to_unit(distillate.actions) - bounds.to_unit(data.actions[nearest])
    episode, step, length = find_episodes(data, nearest)
    return {
        "row": nearest.tolist(),
        "episode": episode.tolist(),
        "step": step.tolist(),
        "length": length.tolist(),
        "distance": distances[:, 0].tolist(),
        "action_distance": np.linalg.norm(actions, axis=1).tolist(),
    }


def find_episodes(
    data: Transitions, rows: Int[np.ndarray, " B"]
) -> tuple[Int[np.ndarray, " B"], Int[np.ndarray, " B"], Int[np.ndarray, " B"]]:
    """Find the episode of each row, its step in the episode, and the length of the episode."""
    bounds = data.episode_bounds
    episode = np.searchsorted(bounds, rows, "right") - 1
    return episode, rows - bounds[episode], bounds[episode + 1] - bounds[episode]


def compare_features(
    distillate: Distillate,
    data: Transitions,
    teacher: Teacher | None,
    rows: Rows,
    neighbours: JsonObject,
    seed: int,
) -> JsonObject:
    """Compare each of :data:`FEATURES` of the pairs with that of held-out rows, where it is known."""
    pairs: dict[str, np.ndarray] = {}
    real: dict[str, np.ndarray] = {}
    states = np.asarray(distillate.pairs.states, np.float64)
    for found, points in ((pairs, states), (real, rows.held_states)):
        found["density"] = find_neighbours(points, rows.states, NEIGHBOUR)[0][:, -1]
    _, step, length = find_episodes(data, rows.held)
    for found, steps, lengths in ((pairs, neighbours["step"], neighbours["length"]), (real, step, length)):
        found["time"] = np.asarray(steps) / np.maximum(np.asarray(lengths) - 1, 1)
    if teacher is not None:
        values = [evaluate_states(teacher, points) for points in (states, rows.held_states)]
        mean, scale = values[1].mean(), max(float(values[1].std()), 1e-8)
        pairs["value"], real["value"] = ((found - mean) / scale for found in values)
    if distillate.env_id is not None and has_posture(distillate.env_id):
        pairs |= _measure_before_and_after(distillate, rows, distillate.states, distillate.actions)
        real |= _measure_before_and_after(distillate, rows, data.observations[rows.held], data.actions[rows.held])
    return {name: compare(pairs[name], real[name], seed) for name in FEATURES if name in pairs}


def evaluate_states(teacher: Teacher, states: Float[np.ndarray, "B S"]) -> Float[np.ndarray, " B"]:
    """The smallest value of the teacher's action by its critics in each state."""
    at = jnp.asarray(states, jnp.float32)
    values: Float[np.ndarray, " B"] = np.asarray(teacher.action_values(at, act_in_parts(teacher, at)).min(axis=0))
    return values


def _measure_before_and_after(
    distillate: Distillate, rows: Rows, observations: Float[np.ndarray, "B S"], actions: Float[np.ndarray, "B A"]
) -> dict[str, np.ndarray]:
    """Posture and density before and after one step of the simulator."""
    env_id = str(distillate.env_id)
    errors = measure_posture(env_id, observations, actions)
    after = standardise(distillate, step_states(env_id, observations, actions))
    (height, next_height), (angle, next_angle) = errors.height.T, errors.angle.T
    return {
        "height": height,
        "angle": angle,
        "next density": find_neighbours(after, rows.states, NEIGHBOUR)[0][:, -1],
        "next height": next_height,
        "next angle": next_angle,
    }


def compare(pairs: Float[np.ndarray, " N"], rows: Float[np.ndarray, " B"], seed: int) -> JsonObject:
    """Compare two samples: their means and medians, and the share of (pair, row) with the larger value at the pair.

    Ties count half. The 95 % interval of the share is a bootstrap over both samples.

    >>> found = compare(np.array([2.0, 3.0, 4.0]), np.array([0.0, 1.0]), 0)
    >>> found["pairs"], found["rows"], found["share"], found["interval"]
    (3.0, 0.5, 1.0, (1.0, 1.0))
    """
    rng = np.random.default_rng(seed)
    larger = (pairs[:, None] > rows[None]) + 0.5 * (pairs[:, None] == rows[None])
    counts = [rng.multinomial(len(x), np.full(len(x), 1.0 / len(x)), RESAMPLES) / len(x) for x in (pairs, rows)]
    drawn = np.einsum("rn,nb,rb->r", counts[0], larger, counts[1], optimize=True)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "pairs": float(pairs.mean()),
        "rows": float(rows.mean()),
        "pairs_median": float(np.median(pairs)),
        "rows_median": float(np.median(rows)),
        "share": float(larger.mean()),
        "interval": (float(low), float(high)),
        "values": np.asarray(pairs, np.float64).tolist(),
    }


def explain_influence(
    distillate: Distillate, data: Transitions, teacher: Teacher | None, solver: Solver, rows: Rows, seed: int
) -> JsonObject:
    """Leave each pair out; see :mod:`potstill.evaluation.influence`."""
    pairs: Pairs = distillate.pairs
    states, key = jnp.asarray(rows.held_states, jnp.float32), jax.random.key(seed)
    if teacher is None:
        wanted = data.action_bounds.to_unit(data.actions[rows.held])
    else:
        wanted = np.asarray(act_in_parts(teacher, states))
    actions = np.asarray(jax.jit(solver)(pairs, states, key))
    changes, errors = measure_influence(leave_each_out(solver, pairs, states, key), actions, wanted)
    return {
        "method": find_method(solver),
        "solver": type(solver).__name__,
        "error": float(np.square(actions - wanted).sum(-1).mean()),
        "action_change": changes.tolist(),
        "error_change": errors.tolist(),
        "half": count_for_half(changes),
        "harmful": int((errors < 0.0).sum()),
    }


def make_maps(pairs: Float[np.ndarray, "N S"], rows: Float[np.ndarray, "B S"]) -> JsonObject:
    """Make the maps: the plane of the rows' principal components, and the embedding of both by neighbours."""
    maps: JsonObject = {}
    if pairs.shape[1] >= 2 and len(rows) >= 3:
        plane = Plane.of(rows)
        maps["plane"] = _describe_map(plane(pairs), plane(rows)) | {"shares": plane.shares.tolist()}
    shown = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), MAPPED)).astype(int))]
    if len(pairs) + len(shown) > 8:
        places = place_by_neighbours(np.concatenate([pairs, shown]))
        maps["neighbours"] = _describe_map(places[: len(pairs)], places[len(pairs) :])
    return maps


def _describe_map(pairs: Float[np.ndarray, "N 2"], rows: Float[np.ndarray, "B 2"]) -> JsonObject:
    cells, extent = count_cells(rows, CELLS, pairs)
    return {"pairs": pairs.round(4).tolist(), "cells": cells.tolist(), "extent": list(extent)}
