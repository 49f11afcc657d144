"""Kernel descent with tangent kernels of random finite networks: the kernels and their limits."""

import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from potstill.distillation import SOLVERS, DrawnKernelDescent, KernelDescent, KernelInterpolation
from potstill.distillation.solvers.drawn import largest_eigenvalue
from potstill.distillation.solvers.drawn_kernel import compute_features, drawn_kernel
from potstill.distillation.solvers.kernel_descent import tangent_kernel
from potstill.errors import PotstillError
from potstill.networks.mlp import apply_mlp
from potstill.students import Pairs, Recipe
from potstill.students.initialisation import SCHEMES
from potstill.students.training import train_network

KEY = jax.random.key(0)


def some_states(count, size=4, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(count, size)))


def drawn_params(key, recipe, size=4):
    """One network with one output, as the solver draws it."""
    sizes = (size, *[recipe.width] * (recipe.layers - 1), 1)
    *hidden, last = SCHEMES[recipe.initialisation].draw(key, sizes)
    return [*hidden, {name: recipe.output_gain * value for name, value in last.items()}]


def jacobian_kernel(params, x, y):
    """∇f(x) · ∇f(y) over all parameters, biases included, by automatic differentiation."""

    def flat(states):
        gradients = jax.tree.leaves(jax.jacobian(lambda p: apply_mlp(p, states)[:, 0])(params))
        return jnp.concatenate([g.reshape(len(states), -1) for g in gradients], axis=1)

    return flat(x) @ flat(y).T


@pytest.mark.parametrize(("scheme", "layers"), [*itertools.product(SCHEMES, (2, 4)), ("torch", 1)])
def test_the_kernel_is_a_product_of_jacobians(x64, scheme, layers):
    recipe = Recipe(width=12, layers=layers, initialisation=scheme, output_gain=1.5)
    x, pairs = some_states(5), some_states(3, seed=1)
    found = jax.jit(lambda key: drawn_kernel(key, x, pairs, recipe, networks=2))(KEY)
    rows = jnp.concatenate([pairs, x])
    kernel = jax.jit(lambda key: jacobian_kernel(drawn_params(key, recipe), rows, pairs))
    kernels = [kernel(key) for key in jax.random.split(KEY, 2)]
    np.testing.assert_allclose(found, sum(kernels) / 2, rtol=1e-10, atol=1e-10)


def test_biases_other_than_zero(x64):
    params = [{name: value + 0.1 for name, value in layer.items()} for layer in drawn_params(KEY, Recipe(width=6))]
    x = some_states(5)
    kernel = jax.jit(lambda p: sum((h @ h.T + 1.0) * (delta @ delta.T) for h, delta in compute_features(p, x)))
    wanted = jax.jit(lambda p: jacobian_kernel(p, x, x))(params)
    np.testing.assert_allclose(kernel(params), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("scheme", ["orthogonal", "antisymmetric", "he"])
def test_the_mean_of_wide_networks_is_the_exact_kernel(scheme):
    states = some_states(6).astype(jnp.float32)

    def error(width):
        recipe = Recipe(width=width, initialisation=scheme)
        exact = tangent_kernel(states, states, recipe)
        one = lambda key: drawn_kernel(key, states, states, recipe, networks=1)[6:]  # noqa: E731
        mean = jax.jit(lambda keys: jax.lax.map(one, keys).mean(axis=0))(jax.random.split(KEY, 24))
        return float(jnp.linalg.norm(mean - exact) / jnp.linalg.norm(exact))

    narrow, wide = error(16), error(256)
    assert wide < 0.1
    assert wide < 0.8 * narrow


def test_many_wide_networks_match_kernel_descent():
    pairs = Pairs(some_states(5).astype(jnp.float32), 0.8 * jnp.sin(some_states(5, 2, seed=1)).astype(jnp.float32))
    queries = some_states(7, seed=2).astype(jnp.float32)
    recipe = Recipe(steps=20, momentum=0.5, width=256)
    solvers = DrawnKernelDescent(recipe, networks=24), KernelDescent(recipe)
    found, wanted = (jax.jit(solver)(pairs, queries, KEY) for solver in solvers)
    np.testing.assert_allclose(found, wanted, atol=0.06)


def test_keys_draw_different_kernels():
    pairs, queries = Pairs(some_states(4), jnp.full((4, 1), 0.5)), some_states(3, seed=2)
    solver = jax.jit(DrawnKernelDescent(Recipe(steps=5, width=8), networks=1))
    actions = [solver(pairs, queries, jax.random.key(i)) for i in (0, 0, 1)]
    np.testing.assert_array_equal(actions[0], actions[1])
    assert float(jnp.abs(actions[0] - actions[2]).max()) > 1e-3


def test_weights_of_pairs(x64):
    weights = jnp.array([2.0, 1.0, 1.0, 0.0])
    pairs = Pairs(some_states(4), jnp.full((4, 1), 0.5), weights)
    fewer = Pairs(pairs.states[:3], pairs.actions[:3], 0.75 * weights[:3])  # a mean over three pairs, not four
    solver = jax.jit(DrawnKernelDescent(Recipe(steps=5, width=8), networks=1))
    queries = some_states(3, seed=2)
    np.testing.assert_allclose(solver(pairs, queries, KEY), solver(fewer, queries, KEY), rtol=1e-9)


def test_the_largest_eigenvalue_and_its_derivative(x64):
    kernel = jax.jit(lambda x: drawn_kernel(KEY, x, x, Recipe(width=16), networks=1))(some_states(9))[:9]
    kernel = 0.5 * (kernel + kernel.T)
    value, slope = jax.jit(jax.value_and_grad(largest_eigenvalue))(kernel)
    values, vectors = np.linalg.eigh(kernel)
    np.testing.assert_allclose(value, values[-1], rtol=1e-9)
    np.testing.assert_allclose(slope, np.outer(vectors[:, -1], vectors[:, -1]), atol=1e-5)


@pytest.mark.parametrize(("kind", "most"), [(DrawnKernelDescent, 0.2), (KernelInterpolation, 0.1)])
def test_students_of_adam(kind, most):
    recipe = Recipe(steps=400, learning_rate=3e-3, optimiser="adam", width=64, layers=3, initialisation="torch")
    states = some_states(12).astype(jnp.float32)
    pairs, queries = Pairs(states, 0.8 * jnp.sin(2.0 * states[:, :2])), some_states(40, seed=2).astype(jnp.float32)
    train = jax.jit(lambda key: jnp.tanh(apply_mlp(train_network(key, pairs, recipe), queries)))
    students = np.stack([train(jax.random.key(i)) for i in range(6)])
    solver = jax.jit(kind(recipe, networks=8))
    distance = lambda x: float(np.mean((x - students.mean(axis=0)) ** 2))  # noqa: E731
    assert distance(solver(pairs, queries, KEY)) < most * distance(np.zeros_like(students[0]))
    np.testing.assert_allclose(solver(pairs, states, KEY), pairs.actions, atol=0.1)


def test_refused_input(unchecked):
    assert SOLVERS["drawn"] is DrawnKernelDescent
    residual = Recipe(residual=True)
    for make in (
        lambda: DrawnKernelDescent(residual),
        lambda: DrawnKernelDescent().with_recipe(residual),
        lambda: dataclasses.replace(DrawnKernelDescent(), recipe=residual),
    ):
        with pytest.raises(
            PotstillError,
            match=r"DrawnKernelDescent does not support residual students .*: choose solver='kernel' or unroll",
        ) as caught:
            make()
        assert "\n" not in str(caught.value)
    with pytest.raises(PotstillError, match=r"DrawnKernelDescent\.networks 0: expected at least 1"):
        DrawnKernelDescent(networks=0)
    with pytest.raises(PotstillError, match=r"DrawnKernelDescent\.networks is 'many' \(str\): expected int"):
        DrawnKernelDescent(networks="many")  # type: ignore[arg-type]
