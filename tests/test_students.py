import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser
from potstill.errors import PotstillError
from potstill.networks.policy import load_policy
from potstill.runtime import storage
from potstill.students import training as clone
from potstill.students.ensemble import train_students
from potstill.students.initialisation import start_named
from potstill.students.recipe import RECIPES, Recipe, recipe_named
from potstill.students.training import Pairs

SMALL = Recipe(steps=20, momentum=0.9, width=32)


def crew(seeds, recipe=SMALL):
    rng = np.random.default_rng(0)
    normaliser = Normaliser(np.array([1.0, 2.0, 3.0], np.float32), np.array([2.0, 2.0, 2.0], np.float32))
    bounds = ActionBounds(np.array([-2.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32))
    return train_students(
        rng.normal(size=(8, 3)), rng.uniform(-0.9, 0.9, size=(8, 2)), seeds, recipe, normaliser, bounds
    )


def test_the_antisymmetric_start_is_zero():
    params = clone.start(jax.random.key(0), 3, 2, dataclasses.replace(SMALL, start="antisymmetric"))
    states = jax.random.normal(jax.random.key(1), (5, 3))
    np.testing.assert_allclose(clone.mean_actions(params, states, 2), 0.0, atol=1e-6)


def test_the_paper_recipe_is_plain_sgd_by_hand():
    pairs = Pairs(jnp.ones((4, 3)) * 0.5, jnp.full((4, 1), 0.3))
    recipe = dataclasses.replace(RECIPES["paper"], steps=2, width=8)
    params = clone.start(jax.random.key(0), 3, 1, recipe)
    for _ in range(2):
        gradient = jax.grad(lambda p: jnp.mean((jnp.tanh(_forward(p, pairs.states)) - pairs.actions) ** 2))(params)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)
    for found, wanted in zip(
        jax.tree.leaves(clone.train(jax.random.key(0), pairs, recipe)), jax.tree.leaves(params), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def _forward(params, x):
    for layer in params[:-1]:
        x = jnp.maximum(x @ layer["weight"] + layer["bias"], 0.0)
    return x @ params[-1]["weight"] + params[-1]["bias"]


def test_students_are_their_seeds():
    together, alone = crew([3, 4]), crew([4])
    observations = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    np.testing.assert_allclose(together.policy(1)(observations), alone.policy(0)(observations), rtol=1e-4, atol=1e-5)
    assert not np.allclose(together.policy(0)(observations), together.policy(1)(observations))


def test_each_and_ensemble_by_hand():
    students = crew([0, 1, 2])
    observations = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    policies = [students.policy(i) for i in range(3)]
    each = np.concatenate([p(observations[2 * i : 2 * i + 2]) for i, p in enumerate(policies)])
    np.testing.assert_allclose(students.each(observations), each, rtol=1e-4, atol=1e-5)
    mean = np.mean([p(observations) for p in policies], axis=0)
    np.testing.assert_allclose(students.ensemble(observations), mean, rtol=1e-4, atol=1e-5)
    assert (mean >= [-2.0, 0.0]).all()
    assert (mean <= [2.0, 1.0]).all()


def test_a_policy_on_disk_acts_the_same(tmp_path):
    policy = crew([0]).policy(0)
    observations = np.ones((2, 3), np.float32)
    again = load_policy(policy.save(tmp_path / "p.safetensors"))
    np.testing.assert_array_equal(policy(observations), again(observations))
    with pytest.raises(PotstillError, match="an observation of 4 numbers, 3 are needed"):
        policy(np.zeros(4))


def test_a_residual_policy_on_disk_acts_as_its_student(tmp_path):
    students = crew([0], dataclasses.replace(SMALL, residual=True))
    observations = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    policy = students.policy(0)
    np.testing.assert_allclose(policy(observations), students.each(observations), rtol=1e-4, atol=1e-5)
    again = load_policy(policy.save(tmp_path / "p.safetensors"))
    np.testing.assert_array_equal(policy(observations), again(observations))
    # by hand: the first hidden layer joins the last
    x = policy.normaliser(observations)
    hidden = [x]
    for layer in policy.layers[:-1]:
        hidden.append(np.maximum(hidden[-1] @ layer["weight"] + layer["bias"], 0.0))
    unit = np.tanh((hidden[1] + hidden[3]) @ policy.layers[3]["weight"] + policy.layers[3]["bias"])
    np.testing.assert_allclose(
        policy(observations), [-2.0, 0.0] + (unit + 1.0) / 2.0 * [4.0, 1.0], rtol=1e-5, atol=1e-6
    )


TOWERS = dataclasses.replace(SMALL, towers=3)


def test_towers_are_trained_as_one_by_hand():
    """Gradient descent on the loss of the mean, each tower's step three times the learning rate."""
    pairs = Pairs(jnp.linspace(-1.0, 1.0, 12).reshape(4, 3), jnp.full((4, 1), 0.3))
    recipe = dataclasses.replace(TOWERS, steps=2, momentum=0.0, width=8)
    params = clone.start(jax.random.key(0), 3, 1, recipe)
    towers = [[jax.tree.map(lambda x, i=i: x[i], layer) for layer in params] for i in range(3)]

    def loss(towers):
        return jnp.mean((jnp.tanh(sum(_forward(one, pairs.states) for one in towers) / 3.0) - pairs.actions) ** 2)

    for _ in range(2):
        towers = jax.tree.map(lambda p, g: p - 3.0 * 0.1 * g, towers, jax.grad(loss)(towers))
    trained = clone.train(jax.random.key(0), pairs, recipe)
    for i, tower in enumerate(towers):
        for found, wanted in zip(jax.tree.leaves(list(trained)), jax.tree.leaves(tower), strict=True):
            np.testing.assert_allclose(found[i], wanted, rtol=1e-5, atol=1e-7)


def test_a_policy_of_towers_on_disk_acts_as_its_student(tmp_path):
    students = crew([0, 1], TOWERS)
    observations = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    again = load_policy(students.policy(1).save(tmp_path / "p.safetensors"))
    np.testing.assert_allclose(again(observations), students.each(np.tile(observations, (2, 1)))[4:], rtol=1e-4)
    np.testing.assert_allclose(again(observations[0]), again(observations)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:2], "different numbers of towers"),
        (lambda x: x[0], "3 axes"),
        (lambda x: x[:, :-1], "do not lead"),
    ],
    ids=["fewer", "one", "short"],
)
def test_towers_that_do_not_fit_are_refused(tmp_path, change, message):
    policy = crew([0], TOWERS).policy(0)
    arrays = policy.arrays()
    arrays["layers.1.weight"] = change(arrays["layers.1.weight"])
    path = storage.save(tmp_path / "p.safetensors", "policy", arrays, policy.kind_metadata())
    with pytest.raises(PotstillError, match=message):
        load_policy(path)


def test_towers_share_out_the_variance_of_a_start():
    """With four times the towers, what actions vary by from start to start is a quarter, or little more."""
    rng = np.random.default_rng(0)
    drawn = lambda *shape: jnp.asarray(rng.uniform(-0.9, 0.9, shape), jnp.float32)  # noqa: E731
    pairs, elsewhere = Pairs(drawn(24, 4), drawn(24, 2)), drawn(64, 4)

    def variance(towers):
        recipe = Recipe(momentum=0.9, width=32, towers=towers)
        crew = clone.train_students(jax.random.split(jax.random.key(0), 12), pairs, recipe)
        acts = jax.vmap(lambda params: clone.mean_actions(params, elsewhere, 2))(crew)
        return float(acts.var(axis=0, ddof=1).mean())

    assert variance(8) < 0.5 * variance(2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"towers": 0}, "0 towers: at least 1"), ({"towers": 2, "residual": True}, "residual student of 2 towers")],
    ids=["none", "residual"],
)
def test_towers_that_cannot_be(settings, message):
    with pytest.raises(PotstillError, match=message):
        Recipe(**settings)


def test_a_residual_student_needs_a_block():
    with pytest.raises(PotstillError, match="a residual student of 2 layers: at least 3 are needed"):
        Recipe(residual=True, layers=2)


def test_unknown_start():
    with pytest.raises(PotstillError, match="did you mean 'lecun'"):
        start_named("lecum")


def test_sampled_students_differ_from_mean_ones():
    plain, sampled = crew([0]), crew([0], dataclasses.replace(SMALL, sampled=True))
    observations = np.ones((1, 3), np.float32)
    assert sampled.policy(0)(observations).shape == (1, 2)
    assert not np.allclose(plain.policy(0)(observations), sampled.policy(0)(observations))


def test_unknown_recipe():
    with pytest.raises(PotstillError, match="did you mean 'paper'"):
        recipe_named("papper")


def test_adam_is_optax_adam_with_its_epsilon_under_the_root():
    params, rng = clone.start(jax.random.key(0), 3, 2, SMALL), np.random.default_rng(0)
    recipe = Recipe(optimiser="adam", learning_rate=0.01)
    state, rule = clone.begin(params, recipe), optax.adam(0.01, eps=0.0, eps_root=clone.EPS_ROOT)
    carried = rule.init(params)
    for _ in range(3):
        gradient = jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), params)
        state = clone.step(state, gradient, recipe)
        updates, carried = rule.update(gradient, carried)
        params = optax.apply_updates(params, updates)
    for found, wanted in zip(jax.tree.leaves(state.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
