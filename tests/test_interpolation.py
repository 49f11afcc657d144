"""Kernel interpolation: the linear system, its weights, and the students that it describes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from potstill.distillation import SOLVERS, KernelInterpolation
from potstill.distillation.solvers.drawn_kernel import drawn_kernel
from potstill.distillation.solvers.interpolation import EDGE, make_targets
from potstill.errors import PotstillError
from potstill.students import Pairs, Recipe

KEY = jax.random.key(0)
ADAM = Recipe(steps=400, learning_rate=3e-3, optimiser="adam", width=64, layers=3, initialisation="torch")


def some_states(count, size=4, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(count, size)))


def test_the_pairs_are_fitted_at_any_scale_of_the_network(x64):
    pairs = Pairs(some_states(5), jnp.asarray(np.linspace(-0.9, 0.9, 10).reshape(5, 2)))
    for gain in (0.1, 1.0, 10.0):  # gradient descent would need another step size for each
        recipe = Recipe(optimiser="adam", width=256, layers=3, initialisation="torch", output_gain=gain)
        found = jax.jit(KernelInterpolation(recipe, networks=1))(pairs, pairs.states, KEY)
        np.testing.assert_allclose(found, pairs.actions, atol=0.02)


def test_a_large_ridge_is_kernel_smoothing(x64):
    """With ρ → ∞, ρ f(s) → k(s)ᵀ y / k̄."""
    pairs, queries = Pairs(some_states(5), jnp.full((5, 1), 0.3)), some_states(3, seed=2)
    solver = jax.jit(KernelInterpolation(ADAM, networks=2, ridge=1e6))
    kernel = jax.jit(lambda x, y: drawn_kernel(KEY, x, y, ADAM, networks=2))(queries, pairs.states)
    wanted = kernel[5:] @ np.arctanh(pairs.actions) / np.diag(kernel[:5]).mean() / 1e6
    np.testing.assert_allclose(np.arctanh(solver(pairs, queries, KEY)), wanted, rtol=1e-4)


def test_targets_are_finite_and_give_the_actions(x64):
    actions = jnp.array([[-1.0, -0.5], [0.9, 1.0]])
    np.testing.assert_allclose(jnp.tanh(make_targets(actions, "squared-error")), [[-EDGE, -0.5], [0.9, EDGE]])
    labels = jnp.array([[1.0, 0.0], [0.25, 0.75]])
    smoothed = EDGE * labels + (1.0 - EDGE) / 2.0
    np.testing.assert_allclose(jax.nn.softmax(make_targets(labels, "cross-entropy")), smoothed)


def test_of_contradicting_pairs_the_heavier_one_is_fitted(x64):
    states = jnp.concatenate([some_states(4), some_states(1)])  # the first and the last state are equal
    pairs = Pairs(states, jnp.array([[0.5], [0.1], [0.2], [0.3], [-0.5]]))
    solver = jax.jit(KernelInterpolation(dataclasses.replace(ADAM, width=256), networks=1))
    for weights, wanted in (([1.0, 1.0, 1.0, 1.0, 1e-3], 0.5), ([1e-3, 1.0, 1.0, 1.0, 1.0], -0.5)):
        found = [
            solver(pairs._replace(weights=scale * jnp.array(weights)), states[:1], KEY)[0, 0] for scale in (1.0, 7.0)
        ]
        np.testing.assert_allclose(found, wanted, atol=0.02)
        np.testing.assert_allclose(found[0], found[1], rtol=1e-9)


def test_refused_input(unchecked):
    assert SOLVERS["interpolation"] is KernelInterpolation
    for optimiser, others in (("sgd", "solver='kernel' or unroll"), ("adam", "solver='unroll'")):
        message = rf"^KernelInterpolation does not support residual students.*: choose {others}, or"
        with pytest.raises(PotstillError, match=message):
            KernelInterpolation(Recipe(residual=True, optimiser=optimiser))  # type: ignore[arg-type]
    with pytest.raises(PotstillError, match=r"KernelInterpolation\.networks 0: expected at least 1"):
        KernelInterpolation(networks=0)
    with pytest.raises(PotstillError, match=r"KernelInterpolation\.ridge 0\.0: expected at least 1e-06"):
        KernelInterpolation(ridge=0.0)
    with pytest.raises(PotstillError, match=r"KernelInterpolation\.ridge inf: expected a finite number"):
        KernelInterpolation(ridge=float("inf"))
    with pytest.raises(PotstillError, match="KernelInterpolation requires a recipe with at least 1 step"):
        KernelInterpolation(Recipe(steps=0))
