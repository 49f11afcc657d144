"""The contract of every solver, and the agreement of the two implementations of the unroll."""

import dataclasses
from typing import Any, cast

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from potstill.distillation import (
    SOLVERS,
    EmpiricalKernelDescent,
    FeatureRidge,
    KernelDescent,
    KernelRidge,
    OuterSettings,
    PolicyCloning,
    Schedule,
    Solver,
    Sweep,
    Unroll,
    build_state_table,
    make_initial_pairs,
    optimise_pairs,
)
from potstill.distillation.outer_step import initialise_outer, make_update
from potstill.distillation.solvers.ridge import MARGIN
from potstill.errors import PotstillError
from potstill.students import Pairs, Recipe, training

SMALL = Recipe(steps=7, momentum=0.9, width=16, layers=3, learning_rate=0.05)
ADAM = Recipe(steps=6, width=8, layers=3, optimiser="adam", learning_rate=0.01)
KEY = jax.random.key(3)
UNROLLED = [name for name in SOLVERS if SOLVERS[name].trains_networks]
KERNELS = [name for name in SOLVERS if not SOLVERS[name].trains_networks]
CASES = {
    "momentum": SMALL,
    "paper": Recipe(steps=6, width=8),
    "sampled": Recipe(steps=6, width=8, sampled=True),
    "shallow": Recipe(steps=4, layers=2, width=8),
    "batches": Recipe(steps=4, layers=2, width=8, batch=2),
    "adam": ADAM,
    "adamw": dataclasses.replace(ADAM, optimiser="adamw", weight_decay=0.3),
}


def find_unroll(name: str) -> type[Unroll]:
    """A registered solver that trains networks: these have the fields of ``Unroll``."""
    return cast(type[Unroll], SOLVERS[name])


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
        function = outer(SOLVERS[name](SMALL), queries)
        gradients = (
            jax.tree.leaves(g) for g in (jax.jit(jax.grad(function))(pairs), finite_differences(function, pairs))
        )
        for found, wanted in zip(*gradients, strict=True):
            np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-7)

    def test_actions_have_their_shape_and_range(self, name):
        pairs, queries = problem()
        solver = jax.jit(SOLVERS[name](SMALL))
        actions = solver(pairs, queries, KEY)
        assert actions.shape == (4, 2)
        assert bool((jnp.abs(actions) <= 1.0).all())
        assert actions.tobytes() == solver(pairs, queries, KEY).tobytes()

    def test_its_policy_gives_the_same_actions(self, x64, name):
        pairs, queries = problem()
        solver = SOLVERS[name](SMALL)
        policy = solver.make_policy(pairs, KEY)
        wanted = jax.jit(solver)(pairs, queries, KEY)
        np.testing.assert_allclose(policy(queries), wanted, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(policy(queries[:1]), wanted[:1], rtol=1e-9, atol=1e-12)  # states are independent

    def test_learns_its_pairs(self, name):
        pairs, _ = problem()
        recipe = Recipe(steps=300, momentum=0.5, learning_rate=0.05, width=64, layers=3)
        fitted = jax.jit(SOLVERS[name](recipe))(pairs, pairs.states, KEY)
        assert float(jnp.abs(fitted - pairs.actions).max()) < 0.1


@pytest.mark.parametrize(
    ("recipe", "settings"),
    [
        *((recipe, {}) for recipe in CASES.values()),
        (ADAM, {"window": 2}),
        (CASES["sampled"], {"window": 2, "random_window": True}),
    ],
    ids=[*CASES, "window", "random-window"],
)
def test_autodiff_and_the_hand_written_sweep_agree(x64, recipe, settings):
    pairs, queries = problem(seed=1)
    gradients = []
    for kind in (Unroll, Sweep):
        value, gradient = jax.jit(jax.value_and_grad(outer(kind(recipe, **settings), queries)))(pairs)
        gradients.append((value, *jax.tree.leaves(gradient)))
    for first, second in zip(*gradients, strict=True):
        np.testing.assert_allclose(first, second, rtol=1e-9, atol=1e-12)


def test_unknown_solver_names_the_nearest():
    with pytest.raises(PotstillError, match="unknown solver 'kernal': did you mean 'kernel'"):
        SOLVERS["kernal"]


def test_custom_solver(data, teacher):
    """A frozen dataclass with a ``__call__`` is sufficient for the outer loop."""

    @dataclasses.dataclass(frozen=True)
    class Softmax(Solver):
        sharpness: float = 2.0

        def __call__(self, pairs, states, key):
            distances = ((states[:, None] - pairs.states[None]) ** 2).sum(-1)
            return jax.nn.softmax(-self.sharpness * distances) @ pairs.actions

    table = build_state_table(data, teacher)
    pairs = make_initial_pairs(table, 8, rng=np.random.default_rng(0))
    parts: dict[str, Any] = {"objective": PolicyCloning(), "solver": Softmax(sharpness=1.0), "schedule": Schedule(30)}
    _, first, *_, last = optimise_pairs(pairs, table, teacher, **parts, key=KEY)
    assert last.metrics["loss"] < 0.9 * first.metrics["loss"]
    assert Softmax().make_exact() == Softmax()
    assert Softmax().with_recipe(SMALL).recipe == SMALL


@pytest.mark.parametrize("name", UNROLLED)
class TestVariants:
    def test_the_gradient_through_adam(self, x64, name):
        pairs, queries = problem()
        function = outer(SOLVERS[name](ADAM), queries)
        gradients = jax.jit(jax.grad(function))(pairs), finite_differences(function, pairs)
        for found, wanted in zip(*map(jax.tree.leaves, gradients), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=1e-6)

    def test_adam_gradient_is_finite_with_dead_units(self, name):
        pairs, queries = problem()
        still = pairs._replace(states=jnp.zeros_like(pairs.states))  # the first weights have gradient 0
        gradient = jax.jit(jax.grad(outer(SOLVERS[name](ADAM), queries)))(still)
        assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradient))
        assert any(bool((g != 0).any()) for g in jax.tree.leaves(gradient))

    def test_a_window_is_the_gradient_of_its_last_steps(self, x64, name):
        pairs, queries = problem()

        def last_steps(moved):  # only the last three steps see pairs that move
            state, keys = training.initialise_student(KEY, pairs, SMALL)
            state = training.train_steps(state, keys, pairs, SMALL, SMALL.steps - 3)
            params = training.train_steps(state, keys, moved, SMALL, 3).params
            return jnp.sum(jnp.sin(3.0 * training.compute_mean_actions(params, queries, 2)))

        function = outer(find_unroll(name)(SMALL, window=3), queries)
        np.testing.assert_allclose(jax.jit(function)(pairs), jax.jit(last_steps)(pairs), rtol=1e-12)
        gradients = jax.jit(jax.grad(function))(pairs), finite_differences(last_steps, pairs)
        for found, wanted in zip(*map(jax.tree.leaves, gradients), strict=True):
            np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-7)

    def test_random_window_ends_at_any_step(self, x64, name):
        pairs, queries = problem()
        random = jax.jit(find_unroll(name)(SMALL, window=5, random_window=True))

        @jax.jit
        def at_each_end(key):
            state, keys = training.initialise_student(key, pairs, SMALL)
            trained = [training.train_steps(state, keys, pairs, SMALL, steps).params for steps in (5, 6, 7)]
            return jnp.stack([training.compute_mean_actions(params, queries, 2) for params in trained])

        seen = set()
        for i in range(8):
            key = jax.random.fold_in(KEY, i)
            errors = jnp.abs(at_each_end(key) - random(pairs, queries, key)).max(axis=(1, 2))
            assert errors.min() < 1e-12
            seen.add(int(errors.argmin()))
        assert seen == {0, 1, 2}

    def test_a_window_longer_than_the_training(self, name):
        with pytest.raises(PotstillError, match=r"Unroll\.window 8: expected at most 7"):
            find_unroll(name)(SMALL, window=8)
        with pytest.raises(PotstillError, match=r"Unroll\.window 8"):
            find_unroll(name)(dataclasses.replace(SMALL, steps=9), window=8).with_recipe(SMALL)

    def test_a_random_window_needs_a_window(self, name):
        with pytest.raises(PotstillError, match=r"Unroll\.random_window requires Unroll\.window"):
            find_unroll(name)(SMALL, random_window=True)

    def test_the_exact_solver_has_no_window(self, name):
        assert find_unroll(name)(SMALL, window=5, random_window=True).make_exact() == SOLVERS[name](SMALL)


@pytest.mark.parametrize("name", KERNELS)
def test_function_space_refuses_adam_and_samples(name):
    of_sgd = name in ("kernel", "empirical", "ridge", "features")
    for recipe in (Recipe(sampled=True), *((ADAM, CASES["adamw"]) if of_sgd else ())):
        with pytest.raises(PotstillError, match=r"describes (SGD|training) on mean actions, but"):
            SOLVERS[name](recipe)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: KernelDescent(SMALL, initialisation="drawm"), r"KernelDescent\.initialisation 'drawm': .*'drawn'"),  # type: ignore[arg-type]
        (lambda: EmpiricalKernelDescent(SMALL, networks=0), r"EmpiricalKernelDescent\.networks 0: expected at least 1"),
        (lambda: FeatureRidge(SMALL, trained=-1), r"FeatureRidge\.trained -1: expected at least 0"),
        (lambda: KernelRidge(SMALL, penalty=0.0), r"KernelRidge\.penalty 0\.0: expected at least"),
        (lambda: KernelRidge(SMALL, penalty="little"), r"KernelRidge\.penalty is 'little' \(str\): expected float"),  # type: ignore[arg-type]
        (lambda: Unroll(SMALL, window=2.5), r"Unroll\.window is 2\.5 \(float\): expected int or None"),  # type: ignore[arg-type]
        (lambda: Unroll("paper"), r"Unroll\.recipe is 'paper' \(str\): expected Recipe"),  # type: ignore[arg-type]
    ],
)
def test_settings_are_checked(unchecked, make, message):
    with pytest.raises(PotstillError, match=message):
        make()


def test_ridge_is_the_limit_of_kernel_descent(x64):
    """Long training and ridge regression with a small penalty agree, both at the pairs and between them."""
    pairs, queries = problem()
    recipe = Recipe(steps=3_000, momentum=0.9, learning_rate=0.05)
    further = pairs._replace(actions=pairs.actions / (1.0 - MARGIN))
    wanted = KernelRidge(recipe, penalty=1e-7)(further, queries, KEY)
    np.testing.assert_allclose(KernelDescent(recipe)(pairs, queries, KEY), wanted, atol=2e-3)


def test_trained_features_depend_on_pairs_without_gradient(x64):
    pairs, queries = problem()
    young, old = (FeatureRidge(SMALL, networks=2, trained=steps) for steps in (0, 6))
    apart = jnp.abs(jax.jit(young)(pairs, queries, KEY) - jax.jit(old)(pairs, queries, KEY))
    assert float(apart.max()) > 1e-4
    assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(jax.jit(jax.grad(outer(old, queries)))(pairs)))


@pytest.mark.parametrize(
    "solver",
    [KernelDescent(SMALL, initialisation="drawn"), EmpiricalKernelDescent(SMALL, networks=3)],
    ids=["kernel descent from a drawn network", "three empirical kernels"],
)
def test_gradients_of_other_settings(x64, solver):
    pairs, queries = problem()
    function = outer(solver, queries)
    gradients = jax.jit(jax.grad(function))(pairs), finite_differences(function, pairs)
    for found, wanted in zip(*map(jax.tree.leaves, gradients), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=1e-7)


def test_polish_continues_with_unrolled_steps(data, teacher):
    table = build_state_table(data, teacher)
    settings = OuterSettings(batch=16, polish=2)
    pairs, key = make_initial_pairs(table, 5, rng=np.random.default_rng(0)), jax.random.key(0)
    parts: dict[str, Any] = {"objective": PolicyCloning(), "solver": KernelDescent(SMALL), "schedule": Schedule(3)}
    found = list(optimise_pairs(pairs, table, teacher, **parts, settings=settings, key=key))
    assert [iterate.step for iterate in found] == [0, 1, 2, 3, 4, 5]
    state = initialise_outer(found[3].pairs, settings)
    update = make_update(PolicyCloning(), Unroll(SMALL), teacher, settings)
    for step, rate in ((4, 0.01), (5, 0.005)):  # a tenth of the learning rate, then half of that
        state, _ = update(state, table, jax.random.fold_in(key, step), rate)
    for last, wanted in zip(found[-1].pairs[:2], state.learned[:2], strict=True):
        np.testing.assert_array_equal(last, wanted)
