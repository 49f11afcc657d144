"""Students: recipes, training by hand, ensembles, and policies on disk."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from potstill.data.bounds import ActionBounds
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser
from potstill.errors import PotstillError
from potstill.networks.policy import load_policy
from potstill.runtime import storage
from potstill.students import RECIPES, Pairs, Recipe, train_students
from potstill.students.recipe import find_recipe_name, read_recipe
from potstill.students.training import (
    EPS_ROOT,
    compute_mean_actions,
    initialise_network,
    initialise_training,
    take_optimiser_step,
    train_network,
    train_networks,
)

SMALL = Recipe(steps=20, momentum=0.9, width=32)


def students_of(seeds, recipe=SMALL):
    rng = np.random.default_rng(0)
    normaliser = Normaliser(np.array([1.0, 2.0, 3.0], np.float32), np.array([2.0, 2.0, 2.0], np.float32))
    bounds = ActionBounds(np.array([-2.0, 0.0], np.float32), np.array([2.0, 1.0], np.float32))
    states, actions = rng.normal(size=(8, 3)), rng.uniform(-0.9, 0.9, size=(8, 2))
    pairs = Pairs(jnp.asarray(states, jnp.float32), jnp.asarray(actions, jnp.float32))
    return train_students(pairs, seeds, recipe, Scaling(normaliser, bounds))


def test_antisymmetric_network_is_initially_zero():
    params = initialise_network(jax.random.key(0), 3, 2, dataclasses.replace(SMALL, initialisation="antisymmetric"))
    states = jax.random.normal(jax.random.key(1), (5, 3))
    np.testing.assert_allclose(compute_mean_actions(params, states, 2), 0.0, atol=1e-6)


def test_the_paper_recipe_is_plain_sgd_by_hand():
    pairs = Pairs(jnp.ones((4, 3)) * 0.5, jnp.full((4, 1), 0.3))
    recipe = dataclasses.replace(RECIPES["paper"], steps=2, width=8)
    params = initialise_network(jax.random.key(0), 3, 1, recipe)
    for _ in range(2):
        gradient = jax.grad(lambda p: jnp.mean((jnp.tanh(_forward(p, pairs.states)) - pairs.actions) ** 2))(params)
        params = jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)
    for found, wanted in zip(
        jax.tree.leaves(train_network(jax.random.key(0), pairs, recipe)), jax.tree.leaves(params), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def _forward(params, x):
    for layer in params[:-1]:
        x = jnp.maximum(x @ layer["weight"] + layer["bias"], 0.0)
    return x @ params[-1]["weight"] + params[-1]["bias"]


def test_seeds_determine_students():
    first, second, alone = (students_of(seeds).make_policy(i) for seeds, i in (([3, 4], 0), ([3, 4], 1), ([4], 0)))
    observations = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    np.testing.assert_allclose(second(observations), alone(observations), rtol=1e-4, atol=1e-5)
    assert not np.allclose(first(observations), second(observations))


def test_separate_and_joint_actions_by_hand():
    students = students_of([0, 1, 2])
    observations = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    policies = [students.make_policy(i) for i in range(3)]
    each = np.concatenate([p(observations[2 * i : 2 * i + 2]) for i, p in enumerate(policies)])
    np.testing.assert_allclose(students.act_separately(observations), each, rtol=1e-4, atol=1e-5)
    mean = np.mean([p(observations) for p in policies], axis=0)
    np.testing.assert_allclose(students.act_as_ensemble(observations), mean, rtol=1e-4, atol=1e-5)
    assert (mean >= [-2.0, 0.0]).all()
    assert (mean <= [2.0, 1.0]).all()


def test_a_policy_on_disk_acts_the_same(tmp_path):
    policy = students_of([0]).make_policy(0)
    observations = np.ones((2, 3), np.float32)
    again = load_policy(policy.save(tmp_path / "p.safetensors"))
    np.testing.assert_array_equal(policy(observations), again(observations))
    with pytest.raises(PotstillError, match="the observation has 4 components, but the policy expects 3"):
        policy(np.zeros(4))


def test_a_residual_policy_on_disk_acts_as_its_student(tmp_path):
    students = students_of([0], dataclasses.replace(SMALL, residual=True))
    observations = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    policy = students.make_policy(0)
    np.testing.assert_allclose(policy(observations), students.act_separately(observations), rtol=1e-4, atol=1e-5)
    again = load_policy(policy.save(tmp_path / "p.safetensors"))
    np.testing.assert_array_equal(policy(observations), again(observations))
    # by hand: the first hidden layer is added to the last
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
    """Gradient descent on the loss of the mean, with three times the learning rate for each of three towers."""
    pairs = Pairs(jnp.linspace(-1.0, 1.0, 12).reshape(4, 3), jnp.full((4, 1), 0.3))
    recipe = dataclasses.replace(TOWERS, steps=2, momentum=0.0, width=8)
    params = initialise_network(jax.random.key(0), 3, 1, recipe)
    towers = [[jax.tree.map(lambda x, i=i: x[i], layer) for layer in params] for i in range(3)]

    def loss(towers):
        return jnp.mean((jnp.tanh(sum(_forward(one, pairs.states) for one in towers) / 3.0) - pairs.actions) ** 2)

    for _ in range(2):
        towers = jax.tree.map(lambda p, g: p - 3.0 * 0.1 * g, towers, jax.grad(loss)(towers))
    trained = train_network(jax.random.key(0), pairs, recipe)
    for i, tower in enumerate(towers):
        for found, wanted in zip(jax.tree.leaves(list(trained)), jax.tree.leaves(tower), strict=True):
            np.testing.assert_allclose(found[i], wanted, rtol=1e-5, atol=1e-7)


def test_a_policy_of_towers_on_disk_acts_as_its_student(tmp_path):
    students = students_of([0, 1], TOWERS)
    observations = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)
    again = load_policy(students.make_policy(1).save(tmp_path / "p.safetensors"))
    twice = np.tile(observations, (2, 1))
    np.testing.assert_allclose(again(observations), students.act_separately(twice)[4:], rtol=1e-4)
    np.testing.assert_allclose(again(observations[0]), again(observations)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[:2], r"layers\[1\]: weight has shape \(2, 32, 32\), expected \(3, 32, 32\)"),
        (lambda x: x[0], "3 axes"),
        (lambda x: x[:, :-1], r"layers\[1\]: weight has shape \(3, 31, 32\), expected \(3, 32, 32\)"),
    ],
    ids=["fewer", "one", "short"],
)
def test_towers_that_do_not_fit_are_refused(tmp_path, change, message):
    policy = students_of([0], TOWERS).make_policy(0)
    arrays = policy.to_arrays()
    arrays["layers.1.weight"] = change(arrays["layers.1.weight"])
    path = storage.save(tmp_path / "p.safetensors", "policy", arrays, policy.describe_kind())
    with pytest.raises(PotstillError, match=message):
        load_policy(path)


def test_towers_reduce_the_initialisation_variance():
    """With four times the towers, the variance of actions over initialisations is about a quarter."""
    rng = np.random.default_rng(0)
    drawn = lambda *shape: jnp.asarray(rng.uniform(-0.9, 0.9, shape), jnp.float32)  # noqa: E731
    pairs, elsewhere = Pairs(drawn(24, 4), drawn(24, 2)), drawn(64, 4)

    def variance(towers):
        recipe = Recipe(momentum=0.9, width=32, towers=towers)
        students = train_networks(jax.random.split(jax.random.key(0), 12), pairs, recipe)
        acts = jax.vmap(lambda params: compute_mean_actions(params, elsewhere, 2))(students)
        return float(acts.var(axis=0, ddof=1).mean())

    assert variance(8) < 0.5 * variance(2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"towers": 0}, r"Recipe\.towers 0: expected at least 1"),
        ({"towers": 2, "residual": True}, r"Recipe\.towers 2: a residual student has one"),
        ({"residual": True, "layers": 2}, r"Recipe\.layers 2: a residual student needs at least 3"),
        ({"layers": 0}, r"Recipe\.layers 0: expected at least 1"),
        ({"width": 0}, r"Recipe\.width 0: expected at least 1"),
        ({"width": 7, "initialisation": "antisymmetric"}, r"Recipe\.width 7: an antisymmetric .* even width"),
        ({"steps": -1}, r"Recipe\.steps -1: expected at least 0"),
        ({"learning_rate": -0.1}, r"Recipe\.learning_rate -0\.1: expected at least 0"),
        ({"learning_rate": float("nan")}, r"Recipe\.learning_rate nan: expected at least 0"),
        ({"momentum": 1.0}, r"Recipe\.momentum 1\.0: expected a value below 1"),
        ({"momentum": -0.1}, r"Recipe\.momentum -0\.1: expected at least 0"),
        ({"weight_decay": -1.0}, r"Recipe\.weight_decay -1\.0: expected at least 0"),
        ({"optimiser": "adamw2"}, r"unknown Recipe\.optimiser 'adamw2': did you mean 'adamw'"),
        ({"initialisation": "lecum"}, r"unknown Recipe\.initialisation 'lecum': did you mean 'lecun'"),
        ({"steps": 10.5}, r"Recipe\.steps is 10\.5 \(float\): expected int"),
        ({"steps": True}, r"Recipe\.steps is True \(bool\): expected int"),
        ({"width": "24"}, r"Recipe\.width is '24' \(str\): expected int"),
        ({"width": None}, r"Recipe\.width is None \(NoneType\): expected int"),
        ({"residual": 1}, r"Recipe\.residual is 1 \(int\): expected bool"),
        ({"optimiser": 3}, r"Recipe\.optimiser is 3 \(int\): expected 'sgd', 'adam' or 'adamw'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_recipes_are_checked(unchecked, fields, message):
    with pytest.raises(PotstillError, match=message) as caught:
        Recipe(**fields)
    assert "\n" not in str(caught.value)


def test_a_replaced_field_is_checked_too(unchecked):
    with pytest.raises(PotstillError, match=r"Recipe\.optimiser 'rmsprop'"):
        dataclasses.replace(RECIPES["default"], optimiser="rmsprop")  # type: ignore[arg-type]
    assert Recipe(learning_rate=1).learning_rate == 1  # an int is accepted for a float
    assert Recipe(steps=np.int64(3)).steps == 3  # type: ignore[arg-type]


def test_recipes_survive_the_metadata_of_a_file():
    own = Recipe(layers=5, optimiser="adamw", weight_decay=0.1, initialisation="he", batch=64)
    for recipe in (*RECIPES.values(), own):
        stored = recipe.to_metadata()
        assert read_recipe(stored) == recipe
        assert stored["start"] == recipe.initialisation  # its name in files since 0.1
        assert "initialisation" not in stored
        assert ("batch" in stored) == bool(recipe.batch)
        assert ("weight_decay" in stored) == (recipe.optimiser == "adamw")


def test_metadata_of_0_1_hold_the_same_keys():
    assert list(RECIPES["paper"].to_metadata()) == [
        *("steps", "learning_rate", "optimiser", "momentum", "width", "towers", "layers", "residual"),
        *("start", "output_gain", "sampled"),
    ]


def test_invalid_recipe_metadata(unchecked):
    with pytest.raises(PotstillError, match="unknown recipe setting 'widht': did you mean 'width'"):
        read_recipe({"widht": 24})
    with pytest.raises(PotstillError, match="did you mean 'lecun'"):
        read_recipe({"start": "lecum"})


def test_names_and_objects_of_recipes():
    own = Recipe(layers=5)
    assert [find_recipe_name(r) for r in (own, Recipe(), RECIPES["default"])] == ["custom", "paper", "default"]


def test_sampled_students_differ_from_mean_ones():
    plain, sampled = students_of([0]), students_of([0], dataclasses.replace(SMALL, sampled=True))
    observations = np.ones((1, 3), np.float32)
    assert sampled.make_policy(0)(observations).shape == (1, 2)
    assert not np.allclose(plain.make_policy(0)(observations), sampled.make_policy(0)(observations))


def gradients_of(params, steps=3):
    rng = np.random.default_rng(0)
    return [jax.tree.map(lambda p: jnp.asarray(rng.normal(size=p.shape), jnp.float32), params) for _ in range(steps)]


@pytest.mark.parametrize("weight_decay", [None, 0.0, 0.3])
def test_adam_matches_optax(weight_decay):
    """Adam without weight decay; AdamW with it, decoupled: it does not pass through the running means."""
    params, optimiser = initialise_network(jax.random.key(0), 3, 2, SMALL), {"eps": 0.0, "eps_root": EPS_ROOT}
    if weight_decay is None:
        recipe, rule = Recipe(optimiser="adam", learning_rate=0.01), optax.adam(0.01, **optimiser)
    else:
        recipe = Recipe(optimiser="adamw", learning_rate=0.01, weight_decay=weight_decay)
        rule = optax.adamw(0.01, weight_decay=weight_decay, **optimiser)
    state, carried = initialise_training(params, recipe), rule.init(params)
    for gradient in gradients_of(params):
        state = take_optimiser_step(state, gradient, recipe)
        updates, carried = rule.update(gradient, carried, params)
        params = optax.apply_updates(params, updates)
    for found, wanted in zip(jax.tree.leaves(state.params), jax.tree.leaves(params), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def test_decay_shrinks_every_weight_by_the_same_factor():
    """AdamW's step is Adam's step minus α λ θ, with the parameters before the step."""
    params = initialise_network(jax.random.key(0), 3, 2, SMALL)
    (gradient,) = gradients_of(params, steps=1)
    adam = Recipe(optimiser="adam", learning_rate=0.01)
    decaying = dataclasses.replace(adam, optimiser="adamw", weight_decay=0.5)
    plain, decayed = (take_optimiser_step(initialise_training(params, r), gradient, r).params for r in (adam, decaying))
    for before, one, other in zip(*map(jax.tree.leaves, (params, plain, decayed)), strict=True):
        np.testing.assert_allclose(other, one - 0.01 * 0.5 * before, rtol=1e-6, atol=1e-8)


def test_adamw_trains_other_students_than_sgd_and_adam():
    observations = np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32)
    recipes = [Recipe(20, 0.01, name, weight_decay=0.5, width=32) for name in ("sgd", "adam", "adamw")]
    sgd, adam, adamw = (students_of([0], recipe).act_separately(observations) for recipe in recipes)
    assert np.abs(adamw - adam).max() > 1e-3
    assert np.abs(adamw - sgd).max() > 1e-3
