"""Where the pairs start: N real states, and the actions put to them.

``random``   any N states.
``k-means``  one for each of N clusters: the real state nearest to the cluster's centre.
``diverse``  far from one another and of high value: states drawn one by one, each with a probability
             proportional to w(s) d(s)², d the distance to the nearest state drawn so far and w the
             ``ranged`` weight of its value. (With w = 1 it is the seeding of k-means++, Arthur and
             Vassilvitskii 2007. Taking the farthest state instead of drawing one collects outliers.)

The last two look at 32,768 states at most, drawn at random: a few seconds for 256 pairs of any dataset.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.vq import vq
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from potstill.distillation.objectives import Batch
from potstill.distillation.objectives.weights import of_mean_one, ranged
from potstill.errors import unknown
from potstill.students.training import Pairs

SAMPLE = 32_768  # states that a choice looks at
ROUNDS = 20  # of k-means

Chosen = Int[np.ndarray, " N"]


def drawn_apart(
    states: Float[np.ndarray, "M S"], weights: Float[np.ndarray, " M"], size: int, rng: np.random.Generator
) -> Chosen:
    """``size`` rows, each drawn with probability ∝ w d², d the distance to the nearest row drawn so far."""
    squares, found = np.full(len(states), np.inf), np.zeros(size, np.int64)
    chances = weights.astype(np.float64)
    for i in range(size):
        if not chances.sum() > 0:  # fewer different states of weight than pairs: any that are left
            chances = np.ones(len(states))
            chances[found[:i]] = 0.0
        found[i] = rng.choice(len(states), p=chances / chances.sum())
        squares = np.minimum(squares, np.sum((states - states[found[i]]) ** 2, axis=1))
        squares[found[: i + 1]] = 0.0
        chances = weights * squares
    return found


def random_states(table: Batch, size: int, rng: np.random.Generator) -> Chosen:
    """Any ``size`` rows of the table."""
    return rng.choice(len(table.states), size, replace=False)


def clustered_states(table: Batch, size: int, rng: np.random.Generator) -> Chosen:
    """The rows nearest to the centres of ``size`` clusters of states, no row twice."""
    sample = _sample(table, size, rng)
    states = np.asarray(table.states, np.float64)[sample]
    centres = states[drawn_apart(states, np.ones(len(states)), size, rng)]
    for _ in range(ROUNDS):
        cluster = vq(states, centres)[0]
        counts = np.bincount(cluster, minlength=size)
        sums = np.zeros_like(centres)
        np.add.at(sums, cluster, states)
        held = counts > 0  # a cluster that lost its last state keeps its centre
        centres[held] = sums[held] / counts[held, None]
    return sample[linear_sum_assignment(cdist(centres, states))[1]]


def diverse_states(table: Batch, size: int, rng: np.random.Generator) -> Chosen:
    """Rows of high value that lie far apart."""
    sample = _sample(table, size, rng)
    weights = np.asarray(of_mean_one(ranged(table.values)), np.float64)[sample]
    return sample[drawn_apart(np.asarray(table.states, np.float64)[sample], weights, size, rng)]


def _sample(table: Batch, size: int, rng: np.random.Generator) -> Int[np.ndarray, " M"]:
    rows = len(table.states)
    return rng.choice(rows, min(rows, max(SAMPLE, 4 * size)), replace=False)


INITIAL: dict[str, Callable[[Batch, int, np.random.Generator], Chosen]] = {
    "random": random_states,
    "k-means": clustered_states,
    "diverse": diverse_states,
}


def initial_pairs(table: Batch, size: int, choice: str, actions: str, rng: np.random.Generator) -> Pairs:
    """The pairs before the first outer step.

    Args:
        table: the dataset's states, at least ``size`` of them.
        size: N.
        choice: a name of :data:`INITIAL`; an unknown one is a :class:`~potstill.errors.PotstillError`.
        actions: ``teacher`` or, as in the paper, ``data``: whose actions the states get.
        rng: draws.
    """
    if choice not in INITIAL:
        raise unknown("choice of initial states", choice, INITIAL)
    index = jnp.asarray(INITIAL[choice](table, size, rng))
    source = table.teacher_actions if actions == "teacher" else table.actions
    return Pairs(table.states[index], source[index])
