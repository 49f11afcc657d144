"""The contract every solver inherits, and what the two of the unroll owe each other."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from potstill import clone
from potstill.clone import Pairs
from potstill.config import UnrollConfig
from potstill.errors import PotstillError
from potstill.recipes import Recipe
from potstill.solvers import NETWORKS, SOLVERS, make_solver

SMALL = Recipe(steps=7, momentum=0.9, width=16, learning_rate=0.05)
ADAM = Recipe(steps=6, width=8, optimiser="adam", learning_rate=0.01)
KEY = jax.random.key(3)
RECIPES = {
    "momentum": SMALL,
    "paper": Recipe(steps=6, width=8),
    "sampled": Recipe(steps=6, width=8, sampled=True),
    "shallow": Recipe(steps=4, layers=2, width=8),
    "adam": ADAM,
}


def problem(seed=0, pairs=5, states=3, actions=2, queries=4):
    rng = np.random.default_rng(seed)
    drawn = Pairs(
        jnp.asarray(rng.normal(size=(pairs, states))), jnp.asarray(rng.uniform(-0.9, 0.9, size=(pairs, actions)))
    )
    return drawn, jnp.asarray(rng.normal(size=(queries, states)))


def outer(solver, queries):
    return lambda pairs: jnp.sum(jnp.sin(3.0 * solver(pairs, queries, KEY)))


def finite_differences(function, pairs, step=1e-6):
    """Central differences of ``function`` in every number of ``pairs``."""
    flat, rebuild = jax.flatten_util.ravel_pytree(pairs)
    compiled = jax.jit(lambda x: function(rebuild(x)))
    unit = np.eye(len(flat)) * step
    return rebuild(jnp.array([(compiled(flat + e) - compiled(flat - e)) / (2 * step) for e in unit]))


@pytest.mark.parametrize("name", SOLVERS)
class TestEverySolver:
    def test_gradient(self, x64, name):
        pairs, queries = problem()
        function = outer(make_solver(name, SMALL), queries)
        gradients = (
            jax.tree.leaves(g) for g in (jax.jit(jax.grad(function))(pairs), finite_differences(function, pairs))
        )
        for found, wanted in zip(*gradients, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-7)

    def test_actions_have_their_shape_and_range(self, name):
        pairs, queries = problem()
        actions = make_solver(name, SMALL)(pairs, queries, KEY)
        assert actions.shape == (4, 2)
        assert bool((jnp.abs(actions) <= 1.0).all())

    def test_same_key_same_bytes(self, name):
        pairs, queries = problem()
        solver = jax.jit(make_solver(name, SMALL))
        assert solver(pairs, queries, KEY).tobytes() == solver(pairs, queries, KEY).tobytes()

    def test_learns_its_pairs(self, name):
        pairs, _ = problem()
        recipe = Recipe(steps=300, momentum=0.5, learning_rate=0.05, width=64)
        fitted = make_solver(name, recipe)(pairs, pairs.states, KEY)
        assert float(jnp.abs(fitted - pairs.actions).max()) < 0.1


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        *((recipe, UnrollConfig()) for recipe in RECIPES.values()),
        (ADAM, UnrollConfig(window=2)),
        (RECIPES["sampled"], UnrollConfig(window=2, random_window=True)),
    ],
    ids=[*RECIPES, "window", "random-window"],
)
def test_autodiff_and_the_hand_written_sweep_agree(x64, recipe, settings):
    pairs, queries = problem(seed=1)
    gradients = []
    for name in NETWORKS:
        solver = make_solver(name, recipe, settings)
        value, gradient = jax.jit(jax.value_and_grad(outer(solver, queries)))(pairs)
        gradients.append((value, *jax.tree.leaves(gradient)))
    for first, second in zip(*gradients, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-9, atol=1e-12)


def test_unknown_solver_names_the_nearest():
    with pytest.raises(PotstillError, match="did you mean 'kernel'"):
        make_solver("kernal", SMALL)


@pytest.mark.parametrize("name", NETWORKS)
class TestVariants:
    def test_the_gradient_through_adam(self, x64, name):
        pairs, queries = problem()
        function = outer(make_solver(name, ADAM), queries)
        for found, wanted in zip(jax.jit(jax.grad(function))(pairs), finite_differences(function, pairs), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-6)

    def test_dead_units_leave_adams_gradient_finite(self, name):
        pairs, queries = problem()
        still = pairs._replace(states=jnp.zeros_like(pairs.states))  # the first weights have gradient 0
        gradient = jax.jit(jax.grad(outer(make_solver(name, ADAM), queries)))(still)
        assert all(bool(jnp.isfinite(g).all()) for g in gradient)
        assert any(bool((g != 0).any()) for g in gradient)

    def test_a_window_is_the_gradient_of_its_last_steps(self, x64, name):
        pairs, queries = problem()

        def last_steps(moved):  # only the last three steps see pairs that move
            state, noise = clone.begun(KEY, pairs, SMALL)
            state = clone.descend(state, noise, pairs, SMALL, SMALL.steps - 3)
            params = clone.descend(state, noise, moved, SMALL, 3).params
            return jnp.sum(jnp.sin(3.0 * clone.mean_actions(params, queries, 2)))

        function = outer(make_solver(name, SMALL, UnrollConfig(window=3)), queries)
        np.testing.assert_allclose(function(pairs), last_steps(pairs), rtol=1e-12)
        for found, wanted in zip(
            jax.jit(jax.grad(function))(pairs), finite_differences(last_steps, pairs), strict=True
        ):
            np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-7)

    def test_a_random_window_ends_at_any_step_it_can(self, x64, name):
        pairs, queries = problem()
        random = jax.jit(make_solver(name, SMALL, UnrollConfig(window=5, random_window=True)))

        @jax.jit
        def at_each_end(key):
            state, noise = clone.begun(key, pairs, SMALL)
            trained = [clone.descend(state, noise, pairs, SMALL, steps).params for steps in (5, 6, 7)]
            return jnp.stack([clone.mean_actions(params, queries, 2) for params in trained])

        seen = set()
        for i in range(8):
            key = jax.random.fold_in(KEY, i)
            errors = jnp.abs(at_each_end(key) - random(pairs, queries, key)).max(axis=(1, 2))
            assert errors.min() < 1e-12
            seen.add(int(errors.argmin()))
        assert seen == {0, 1, 2}

    def test_a_window_longer_than_the_training(self, name):
        with pytest.raises(PotstillError, match="train 7 steps"):
            make_solver(name, SMALL, UnrollConfig(window=8))


@pytest.mark.parametrize("name", sorted(set(SOLVERS) - set(NETWORKS)))
def test_function_space_refuses_adam_and_samples(name):
    for recipe in (ADAM, Recipe(sampled=True)):
        with pytest.raises(PotstillError, match=f"--solver {name} follows SGD"):
            make_solver(name, recipe)
