"""Initial pairs: N states of the dataset, with the teacher's or the data's actions.

- ``random``: any N states.
- ``k-means``: for each of N clusters, the state nearest to the centre.
- ``diverse``: states of high value that are far apart. They are drawn one by one, with probability proportional to
  w(s) d(s)², where d is the distance to the nearest state drawn so far and w the ``ranged`` weight of the value.
  (With w = 1 this is the initialisation of k-means++, Arthur and Vassilvitskii 2007. Choosing the farthest state
  instead of drawing one would collect outliers.)

The last two consider a random sample of at most 32,768 states, and take a few seconds for 256 pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.vq import vq
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from potstill.distillation.objectives.base import StateTable
from potstill.distillation.objectives.weights import normalise_mean, ranged
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.students.training import Pairs

SAMPLE = 32_768  # states that k-means and diverse consider
ROUNDS = 20  # iterations of k-means

Index = Int[np.ndarray, " N"]


def draw_apart(
    states: Float[np.ndarray, "M S"], weights: Float[np.ndarray, " M"], size: int, rng: np.random.Generator
) -> Index:
    """Draw ``size`` rows, each with probability ∝ w d², where d is the distance to the nearest row drawn so far."""
    squares, found = np.full(len(states), np.inf), np.zeros(size, np.int64)
    chances = weights.astype(np.float64)
    for i in range(size):
        if not chances.sum() > 0:  # fewer distinct states of positive weight than pairs: draw among all others
            chances = np.ones(len(states))
            chances[found[:i]] = 0.0
        found[i] = rng.choice(len(states), p=chances / chances.sum())
        squares = np.minimum(squares, np.sum((states - states[found[i]]) ** 2, axis=1))
        squares[found[: i + 1]] = 0.0
        chances = weights * squares
    return found


def draw_random_states(table: StateTable, size: int, rng: np.random.Generator) -> Index:
    """Draw any ``size`` rows of the table."""
    return rng.choice(len(table.states), size, replace=False)


def cluster_states(table: StateTable, size: int, rng: np.random.Generator) -> Index:
    """Choose the rows nearest to the centres of ``size`` clusters of states, no row twice."""
    sample = _sample(table, size, rng)
    states = np.asarray(table.states, np.float64)[sample]
    centres = states[draw_apart(states, np.ones(len(states)), size, rng)]
    for _ in range(ROUNDS):
        cluster = vq(states, centres)[0]
        counts = np.bincount(cluster, minlength=size)
        sums = np.zeros_like(centres)
        np.add.at(sums, cluster, states)
        held = counts > 0  # a cluster without states keeps its centre
        centres[held] = sums[held] / counts[held, None]
    nearest = linear_sum_assignment(cdist(centres, states))[1]
    rows: Index = sample[nearest]
    return rows


def draw_diverse_states(table: StateTable, size: int, rng: np.random.Generator) -> Index:
    """Draw rows of high value that lie far apart."""
    sample = _sample(table, size, rng)
    weights = np.asarray(normalise_mean(ranged(table.values)), np.float64)[sample]
    rows: Index = sample[draw_apart(np.asarray(table.states, np.float64)[sample], weights, size, rng)]
    return rows


def _sample(table: StateTable, size: int, rng: np.random.Generator) -> Int[np.ndarray, " M"]:
    rows = len(table.states)
    return rng.choice(rows, min(rows, max(SAMPLE, 4 * size)), replace=False)


InitialStates = Callable[[StateTable, int, np.random.Generator], Index]
"""Maps a table, N and a random number generator to the rows of N initial states."""


@check_arguments
def make_initial_pairs(
    table: StateTable,
    size: int,
    choose: InitialStates = cluster_states,
    *,
    actions: Literal["teacher", "data"] = "teacher",
    rng: np.random.Generator,
) -> Pairs:
    """Make the pairs before the first outer step.

    Args:
        table: the dataset's states, at least ``size`` of them.
        size: N.
        choose: selects the states.
        actions: ``teacher``: the teacher's actions in these states; ``data``: those of the dataset, as in the paper.
        rng: the random number generator.

    Returns:
        N pairs without weights: standardised states [N, S] and actions [N, A].

    Raises:
        PotstillError: fewer states than pairs.

    Example:
        >>> import potstill
        >>> from potstill.distillation import INITIAL_STATES, build_state_table
        >>> table = build_state_table(potstill.load_dataset("hopper-medium-replay").take(np.arange(100)), None)
        >>> pairs = make_initial_pairs(
        ...     table, 16, INITIAL_STATES["random"], actions="data", rng=np.random.default_rng(0)
        ... )
        >>> pairs.states.shape, pairs.actions.shape
        ((16, 11), (16, 3))
    """
    if size > len(table.states):
        raise PotstillError(f"{size} pairs: the table has only {len(table.states)} states")
    index = jnp.asarray(choose(table, size, rng))
    source = table.teacher_actions if actions == "teacher" else table.actions
    return Pairs(table.states[index], source[index])
