import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from potstill.distillation import KernelDescent
from potstill.distillation.solvers.empirical import compute_linearised_actions, empirical_kernel
from potstill.distillation.solvers.kernel_descent import (
    _angle,
    compute_initialisation_variance,
    descent,
    kernels,
    tangent_kernel,
)
from potstill.networks.mlp import apply_mlp
from potstill.students import Pairs, Recipe, training
from potstill.students.initialisation import SCHEMES
from potstill.students.training import compute_mean_actions, initialise_network, initialise_training, train_networks


def some_states(count, size=5, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(count, size)))


def test_kernel_values_by_hand(x64):
    x = jnp.array([[3.0, 4.0]])
    # equal states: all angles are 0, so each of L layers adds |x|² + 1
    for layers in (1, 2, 4):
        np.testing.assert_allclose(tangent_kernel(x, x, Recipe(layers=layers)), [[26.0 * layers]], rtol=2e-3)
    # orthogonal states, two layers: s₁ = |x||y| / π, and the first layer's contribution is halved
    y = jnp.array([[4.0, -3.0]])
    np.testing.assert_allclose(tangent_kernel(x, y, Recipe(layers=2)), [[25.0 / np.pi + 1.0 + 0.5]], rtol=1e-6)
    # a last layer three times as large: the layers below contribute nine times as much
    np.testing.assert_allclose(tangent_kernel(x, x, Recipe(layers=2, output_gain=3.0)), [[10 * 26.0]], rtol=2e-3)
    # normal weights of variance 2 / fan-in: n units of E relu² = (2 · 25 / 2) / 2, and n slopes of ½
    he = 100 * 25.0 / 2 + 1.0 + 2.0 / 100 * 100 * 0.5 * 26.0
    np.testing.assert_allclose(
        tangent_kernel(x, x, Recipe(layers=2, width=100, initialisation="he")), [[he]], rtol=2e-3
    )
    # a residual block of one layer: |h₁|² + |h₂|² + 2 n m₁ m₂ = (1 + 1 + 2/π) |x|², and both slopes
    joined = (2.0 + 2.0 / np.pi) * 25.0 + 1.0 + 26.0 + 2 * 26.0
    np.testing.assert_allclose(tangent_kernel(x, x, Recipe(layers=3, residual=True)), [[joined]], rtol=2e-3)


RECIPES: dict[str, Recipe] = {
    **{name: Recipe(initialisation=name, output_gain=3.0) for name in SCHEMES},
    "two layers": Recipe(layers=2),
    "six layers": Recipe(layers=6),
    "residual": Recipe(residual=True),
    "residual, five layers": Recipe(residual=True, initialisation="he", layers=5),
    "residual, antisymmetric, gain": Recipe(residual=True, initialisation="antisymmetric", output_gain=2.0),
}


@pytest.mark.parametrize("name", RECIPES)
def test_finite_networks_approach_the_kernel(name):
    states = jnp.asarray(np.random.default_rng(0).normal(size=(8, 5)), jnp.float32)

    def error(width, networks):
        recipe = dataclasses.replace(RECIPES[name], width=width)
        limit = jnp.einsum("nm,ab->namb", tangent_kernel(states, states, recipe), jnp.eye(2))

        def one(key):
            return jnp.linalg.norm(empirical_kernel(initialise_network(key, 5, 2, recipe), states) - limit)

        distances = jax.jit(lambda keys: jax.lax.map(one, keys))(jax.random.split(jax.random.key(1), networks))
        return float(distances.mean() / jnp.linalg.norm(limit))

    narrow, wide = error(32, 8), error(512, 4)
    assert wide < 0.2
    assert wide < 0.5 * narrow


@pytest.mark.parametrize("scheme", ["orthogonal", "he", "torch", "antisymmetric"])
def test_covariance_of_the_initial_function(x64, scheme):
    recipe, states = Recipe(width=32, layers=3, initialisation=scheme), some_states(4)
    drawn = jax.jit(jax.vmap(lambda key: apply_mlp(initialise_network(key, 5, 1, recipe), states)[:, 0]))
    outputs = drawn(jax.random.split(jax.random.key(0), 2000))
    covariance = kernels(states, states, recipe)[1]
    np.testing.assert_allclose(outputs.T @ outputs / 2000, covariance, atol=0.12 * float(covariance.max()) + 1e-12)


def test_the_empirical_kernel_is_a_product_of_jacobians(x64):
    states, recipe = some_states(5), Recipe(width=12, residual=True)
    params = initialise_network(jax.random.key(0), 5, 2, recipe)
    gradients = jax.tree.leaves(jax.jit(jax.jacobian(lambda p: apply_mlp(p, states)))(params))
    flat = np.concatenate([np.reshape(g, (10, -1)) for g in gradients], 1)
    found = jax.jit(empirical_kernel)(params, states)
    np.testing.assert_allclose(np.reshape(found, (10, 10)), flat @ flat.T, rtol=1e-9, atol=1e-12)


def test_linearised_networks_match_training(x64, monkeypatch):
    """Training the parameters of the linearised network by the ordinary inner loop gives the same actions."""
    rng, query = np.random.default_rng(0), some_states(7, seed=2)
    pairs = Pairs(some_states(6), jnp.asarray(rng.uniform(-0.8, 0.8, size=(6, 2))))
    recipe = Recipe(steps=9, momentum=0.7, width=12, learning_rate=0.05)
    first = initialise_network(jax.random.key(0), 5, 2, recipe)
    found = jax.jit(lambda params: compute_linearised_actions(params, pairs, query, recipe))(first)

    def linear(params, states):
        moved = jax.tree.map(jnp.subtract, params, first)
        return sum(jax.jvp(lambda p: apply_mlp(p, states), (first,), (moved,)))

    monkeypatch.setattr(training, "apply_mlp", linear)
    start = initialise_training(first, recipe)
    last = jax.jit(lambda state: training.train_steps(state, None, pairs, recipe, recipe.steps).params)(start)
    np.testing.assert_allclose(found, compute_mean_actions(last, query, 2), rtol=1e-9)


def test_the_variance_of_the_initialisation_in_closed_form(x64):
    """Small actions, where tanh is linear: c = M (a − f₀(S)) with M the descent's own linear map."""
    pairs, query = Pairs(some_states(6), jnp.full((6, 1), 0.01)), some_states(5, seed=2)
    recipe = Recipe(
        steps=40, momentum=0.5, learning_rate=3e-4, width=64, layers=3, initialisation="he", output_gain=0.01
    )
    found = compute_initialisation_variance(pairs, query, jax.random.key(0), recipe=recipe, networks=500)[:, 0]
    kernel = tangent_kernel(pairs.states, pairs.states, recipe)
    c, velocity = jnp.zeros((6, 6)), jnp.zeros((6, 6))
    for _ in range(recipe.steps):
        velocity = recipe.momentum * velocity + 2.0 / 6.0 * (kernel @ c - jnp.eye(6))
        c = c - recipe.learning_rate * velocity
    k = tangent_kernel(query, pairs.states, recipe) @ c
    own, cross, between = (
        kernels(x, y, recipe)[1] for x, y in ((query, query), (pairs.states, query), (pairs.states, pairs.states))
    )
    wanted = jnp.diag(own - 2.0 * k @ cross + k @ between @ k.T)
    np.testing.assert_allclose(found, wanted, rtol=0.35)


@pytest.mark.parametrize("scheme", ["antisymmetric", "torch"])
def test_training_of_wide_networks_approaches_kernel_descent(scheme):
    """In the lazy regime: with a large last layer, or with a learning rate that decreases with the width."""
    rng = np.random.default_rng(0)
    pairs = Pairs(*(jnp.asarray(x, jnp.float32) for x in (some_states(20), rng.uniform(-0.8, 0.8, size=(20, 2)))))
    query = jnp.asarray(some_states(30, seed=2), jnp.float32)

    def error(width):
        gain, rate = (4.0, 0.008) if scheme == "antisymmetric" else (1.0, 20.0 / width)
        recipe = Recipe(30, rate, momentum=0.5, width=width, initialisation=scheme, output_gain=gain)
        limit = jax.jit(KernelDescent(recipe))(pairs, query, jax.random.key(0))
        students = train_networks(jax.random.split(jax.random.key(1), 4), pairs, recipe)
        actions = jax.jit(jax.vmap(lambda params: compute_mean_actions(params, query, 2)))(students)
        return float(jnp.sqrt(jnp.mean((actions - limit) ** 2)))

    assert error(512) < 0.6 * error(32)


def test_gradient_with_coinciding_states_is_finite(x64):
    states = some_states(4)
    pairs = Pairs(states, jnp.zeros((4, 1)) + 0.3)
    loss = lambda p: jnp.sum(KernelDescent(Recipe(steps=5))(p, states, jax.random.key(0)))  # noqa: E731
    gradient = jax.jit(jax.grad(loss))(pairs)
    assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradient))


@pytest.mark.parametrize("between", [False, True], ids=["each output's own", "between outputs"])
def test_adjoint_of_descent_matches_back_propagation(x64, between):
    """Against back-propagation through an explicit loop over the same steps."""
    recipe = Recipe(steps=30, learning_rate=0.3, momentum=0.8)
    rng = np.random.default_rng(0)
    count = 8 if between else 4
    root = jnp.asarray(rng.normal(size=(count, count)))
    before, weights = jnp.asarray(rng.normal(size=(4, 2))), jnp.asarray(rng.uniform(0.5, 1.5, size=4))
    pairs = Pairs(some_states(4), jnp.asarray(rng.uniform(-0.9, 0.9, size=(4, 2))), weights)

    def loop(kernel, before, pairs):
        c = velocity = jnp.zeros_like(before)
        for _ in range(recipe.steps):
            unit = jnp.tanh(before + (kernel @ c.reshape(count, -1)).reshape(4, 2))
            gradient = 2.0 * (unit - pairs.actions) * (1.0 - unit**2) / 8.0
            velocity = recipe.momentum * velocity + pairs.weights[:, None] * gradient
            c = c - recipe.learning_rate * velocity
        return c

    towards = jnp.asarray(rng.normal(size=(4, 2)))
    slopes = [
        jax.jit(jax.grad(lambda *x, of=of: jnp.vdot(of(x[0] @ x[0].T, *x[1:]), towards), argnums=(0, 1, 2)))
        for of in (loop, lambda *x: descent(*x, recipe))
    ]
    slopes = [slope(root, before, pairs) for slope in slopes]
    for one, other in zip(*map(jax.tree.leaves, slopes), strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-12)


def test_angle_has_float32_accuracy():
    cosines = np.linspace(-1.0 + 1e-6, 1.0 - 1e-6, 100_001, dtype=np.float32)
    found = np.asarray(_angle(jnp.asarray(cosines)[None]), np.float64)
    np.testing.assert_allclose(found[0], np.arccos(cosines.astype(np.float64)), atol=5e-7)
