"""The contract every solver inherits, and what the two of the unroll owe each other."""

import dataclasses

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from potstill.config import DistillConfig, EmpiricalConfig, FeaturesConfig, KernelConfig, RidgeConfig, UnrollConfig
from potstill.distillation.outer_loop import Learned, OuterState, make_update, outer_optimiser, outer_steps
from potstill.distillation.solvers import NETWORKS, SOLVERS, make_solver
from potstill.distillation.solvers.ridge import MARGIN
from potstill.distillation.state_table import tabulate
from potstill.errors import PotstillError
from potstill.students import training as clone
from potstill.students.recipe import RECIPES, Recipe
from potstill.students.training import Pairs

SMALL = Recipe(steps=7, momentum=0.9, width=16, learning_rate=0.05)
ADAM = Recipe(steps=6, width=8, optimiser="adam", learning_rate=0.01)
KEY = jax.random.key(3)
CASES = {
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
    flat, rebuild = ravel_pytree(pairs)
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
        *((recipe, UnrollConfig()) for recipe in CASES.values()),
        (ADAM, UnrollConfig(window=2)),
        (CASES["sampled"], UnrollConfig(window=2, random_window=True)),
    ],
    ids=[*CASES, "window", "random-window"],
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
        gradients = jax.jit(jax.grad(function))(pairs), finite_differences(function, pairs)
        for found, wanted in zip(*map(jax.tree.leaves, gradients), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-6)

    def test_dead_units_leave_adams_gradient_finite(self, name):
        pairs, queries = problem()
        still = pairs._replace(states=jnp.zeros_like(pairs.states))  # the first weights have gradient 0
        gradient = jax.jit(jax.grad(outer(make_solver(name, ADAM), queries)))(still)
        assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradient))
        assert any(bool((g != 0).any()) for g in jax.tree.leaves(gradient))

    def test_a_window_is_the_gradient_of_its_last_steps(self, x64, name):
        pairs, queries = problem()

        def last_steps(moved):  # only the last three steps see pairs that move
            state, noise = clone.begun(KEY, pairs, SMALL)
            state = clone.descend(state, noise, pairs, SMALL, SMALL.steps - 3)
            params = clone.descend(state, noise, moved, SMALL, 3).params
            return jnp.sum(jnp.sin(3.0 * clone.mean_actions(params, queries, 2)))

        function = outer(make_solver(name, SMALL, UnrollConfig(window=3)), queries)
        np.testing.assert_allclose(function(pairs), last_steps(pairs), rtol=1e-12)
        gradients = jax.jit(jax.grad(function))(pairs), finite_differences(last_steps, pairs)
        for found, wanted in zip(*map(jax.tree.leaves, gradients), strict=True):
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


def test_ridge_is_the_end_of_kernel_descent(x64):
    """Long training and a small penalty meet: both reach the pairs, and agree between them."""
    pairs, queries = problem()
    recipe = Recipe(steps=3_000, momentum=0.9, learning_rate=0.05)
    wanted = make_solver("ridge", recipe, RidgeConfig(penalty=1e-7))(
        pairs._replace(actions=pairs.actions / (1.0 - MARGIN)), queries, KEY
    )
    np.testing.assert_allclose(make_solver("kernel", recipe)(pairs, queries, KEY), wanted, atol=2e-3)


def test_trained_features_follow_the_pairs_and_pass_no_gradient(x64):
    pairs, queries = problem()
    young, old = (make_solver("features", SMALL, FeaturesConfig(networks=2, trained=t)) for t in (0, 6))
    assert float(jnp.abs(young(pairs, queries, KEY) - old(pairs, queries, KEY)).max()) > 1e-4
    assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(jax.grad(outer(old, queries))(pairs)))


@pytest.mark.parametrize(
    ("name", "settings"),
    [("kernel", KernelConfig(start="drawn")), ("empirical", EmpiricalConfig(networks=3))],
    ids=["kernel, drawn start", "empirical, three networks"],
)
def test_gradients_of_other_settings(x64, name, settings):
    pairs, queries = problem()
    function = outer(make_solver(name, SMALL, settings), queries)
    gradients = jax.grad(function)(pairs), finite_differences(function, pairs)
    for found, wanted in zip(*map(jax.tree.leaves, gradients), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-7)


def test_a_polish_is_unrolled_steps_from_where_the_solver_ended(monkeypatch, data, teacher):
    monkeypatch.setitem(RECIPES, "small", SMALL)
    config = DistillConfig("x", recipe="small", size=5, steps=3, batch=16, polish=2)
    table = tabulate(data, teacher)
    found = list(outer_steps(config, table, teacher))
    assert [step for step, _, _ in found] == [0, 1, 2, 3, 4, 5]
    ended = found[3][1]
    alone = dataclasses.replace(config, solver="unroll")
    learned = Learned(*jax.tree.map(jnp.copy, ended)[:2])
    state = OuterState(learned, outer_optimiser(alone).init(learned))
    update = make_update(alone, SMALL, teacher)
    for step, rate in ((4, 0.01), (5, 0.005)):  # a tenth of the learning rate, then half of that
        state, _ = update(state, table, jax.random.fold_in(jax.random.key(config.seed), step), rate)
    for last, wanted in zip(found[-1][1][:2], state.learned[:2], strict=True):
        np.testing.assert_array_equal(last, wanted)
