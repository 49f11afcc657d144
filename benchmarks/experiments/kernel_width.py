"""The accuracy with which kernel descent predicts finite students of several widths and initialisations.

The pairs are 64 of the bundled distillate, and the students have the ``plain`` recipe. Actions are compared in 128
states of the dataset. The learning rate for an initialisation is 0.1 times the mean diagonal of the plain kernel
divided by that of its own kernel, so that all train equally fast. For n students with mean m and variance V, the bias
is the squared distance of m from the prediction, minus V / n.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import potstill
from benchmarks.files import BUNDLED, BUNDLED_NAME, Workspace
from benchmarks.grid import Cell, Experiment, Record
from potstill.distillation import KernelDescent
from potstill.distillation.solvers.empirical import empirical_kernel
from potstill.distillation.solvers.kernel_descent import compute_initialisation_variance, tangent_kernel
from potstill.students import training
from potstill.students.recipe import RECIPES, Recipe
from potstill.students.training import Pairs

PAIRS, STATES, DRAWS, NETWORKS = 64, 128, 8, 3
STUDENTS = {64: 16, 128: 12, 256: 8, 512: 5}  # by width
PLAIN = RECIPES["plain"]
SCHEMES: dict[str, dict[str, Any]] = {
    "orthogonal": {},
    "antisymmetric": {"initialisation": "antisymmetric"},
    "antisymmetric, gain 4": {"initialisation": "antisymmetric", "output_gain": 4.0},
    "he, gain 0.1": {"initialisation": "he", "output_gain": 0.1},
    "torch": {"initialisation": "torch"},
    "residual": {"residual": True},
}
FIELDS = ("learning_rate", "kernel_error", "students", "bias", "variance", "start_variance")


def make_problem() -> tuple[Pairs, jax.Array]:
    """The pairs, and the states in which actions are compared, standardised."""
    distillate, data = potstill.load(BUNDLED_NAME), potstill.load_dataset(BUNDLED_NAME)
    unit = distillate.action_bounds.to_unit(distillate.actions)
    index = np.random.default_rng(0).choice(len(data), STATES, replace=False)
    states = (distillate.normaliser(x) for x in (distillate.states[:PAIRS], data.observations[index]))
    at_pairs, elsewhere = (jnp.asarray(x, jnp.float32) for x in states)
    return Pairs(at_pairs, jnp.asarray(unit[:PAIRS], jnp.float32)), elsewhere


def mean_squared_distance(difference: jax.Array) -> float:
    """Mean over states of the squared norm of a difference of actions."""
    return float(jnp.mean(jnp.sum(difference**2, axis=-1)))


def kernel_error(recipe: Recipe, states: jax.Array, networks: int) -> float:
    """Relative distance of one network's empirical kernel to the infinitely wide one, mean over networks."""
    size = 3
    limit = jnp.einsum("nm,ab->namb", tangent_kernel(states, states, recipe), jnp.eye(size))

    @jax.jit
    def distances(keys: jax.Array) -> jax.Array:
        params = lambda key: training.initialise_network(key, states.shape[-1], size, recipe)  # noqa: E731
        return jax.lax.map(lambda key: jnp.linalg.norm(empirical_kernel(params(key), states) - limit), keys)

    return float(distances(jax.random.split(jax.random.key(2), networks)).mean() / jnp.linalg.norm(limit))


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Train students of one initialisation and width, and compare them with the prediction."""
    width = 8 if workspace.toy else cell["width"]
    students, networks = (2, 1) if workspace.toy else (STUDENTS[cell["width"]], NETWORKS)
    pairs, states = make_problem()
    recipe = dataclasses.replace(PLAIN, width=width, **SCHEMES[cell.method])
    diagonal = [float(jnp.diag(tangent_kernel(pairs.states, pairs.states, r)).mean()) for r in (PLAIN, recipe)]
    recipe = dataclasses.replace(recipe, learning_rate=PLAIN.learning_rate * diagonal[0] / diagonal[1])
    trained = training.train_networks(jax.random.split(jax.random.key(1), students), pairs, recipe)
    actions = jax.vmap(lambda params: training.compute_mean_actions(params, states, 3))(trained)
    mean = actions.mean(axis=0)
    variance = mean_squared_distance(actions - mean) * students / (students - 1)
    predicted = jax.jit(KernelDescent(recipe))(pairs, states, jax.random.key(0))
    drawn = jax.jit(lambda key: compute_initialisation_variance(pairs, states, key, recipe=recipe, networks=DRAWS))
    return {
        "learning_rate": recipe.learning_rate,
        "kernel_error": kernel_error(recipe, states[:32], networks),
        "students": students,
        "bias": mean_squared_distance(mean - predicted) - variance / students,
        "variance": variance,
        "start_variance": float(drawn(jax.random.key(3)).sum(axis=-1).mean()),
    }


def describe_inputs(cell: Cell) -> Record:
    """The recipe's fields and the counts."""
    counts = {"pairs": PAIRS, "states": STATES, "draws": DRAWS, "networks": NETWORKS}
    return {"recipe": SCHEMES[cell.method], "students": STUDENTS[cell["width"]], **counts}


EXPERIMENT = Experiment(
    "kernel-width",
    "accuracy of kernel descent's prediction of finite students, by width and initialisation",
    tuple(Cell(name, BUNDLED, 0, (("width", width),)) for width in STUDENTS for name in SCHEMES),
    describe_inputs,
    measure,
    frozenset(FIELDS),
)
