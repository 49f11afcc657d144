"""What is learned with the pairs, averaged over iterates and chosen among them; and how students use it."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_distillate import make
from test_solvers import SMALL, finite_differences, problem

import potstill
from potstill.config import DistillConfig
from potstill.distillate import load, settle
from potstill.distillation.outer_loop import Learned, make_pace, outer_steps
from potstill.distillation.schedule import Pace
from potstill.distillation.selection import candidates, held_out_loss, make_choice, students_loss
from potstill.distillation.solvers import SOLVERS, make_solver
from potstill.distillation.state_table import tabulate
from potstill.errors import PotstillError
from potstill.runtime import storage
from potstill.runtime.validation import check_choices
from potstill.students import training as clone
from potstill.students.recipe import RECIPES
from potstill.students.training import Pairs

KEY = jax.random.key(3)
PAIRS = Pairs(jnp.zeros((1, 1)), jnp.zeros((1, 1)))
WEIGHTS = jnp.array([0.5, 1.5, 1.0, 2.0, 0.25])


@pytest.mark.parametrize("name", SOLVERS)
class TestEverySolver:
    def test_gradient_in_the_weights(self, x64, name):
        pairs, queries = problem()
        weighed = pairs._replace(weights=WEIGHTS.astype(jnp.float64))
        function = lambda p: jnp.sum(jnp.sin(3.0 * make_solver(name, SMALL)(p, queries, KEY)))  # noqa: E731
        found, wanted = jax.grad(function)(weighed), finite_differences(function, weighed)
        np.testing.assert_allclose(found.weights, wanted.weights, rtol=2e-5, atol=1e-7)

    def test_a_factor_on_all_weights_is_one_on_the_step_size(self, x64, name):
        pairs, queries = problem()
        faster = dataclasses.replace(SMALL, learning_rate=1.7 * SMALL.learning_rate)
        weighed = pairs._replace(weights=jnp.full(5, 1.7))
        found = make_solver(name, SMALL)(weighed, queries, KEY)
        np.testing.assert_allclose(found, make_solver(name, faster)(pairs, queries, KEY), rtol=1e-9)

    def test_a_pair_of_no_weight_is_no_pair(self, x64, name):
        """N in the mean stays, so that four pairs of weight 5/4 are the same as four of five."""
        pairs, queries = problem()
        without = Pairs(*(column[:4] for column in pairs[:2]))
        weighed = pairs._replace(weights=jnp.array([1.25] * 4 + [0.0]))
        found = make_solver(name, SMALL)(weighed, queries, KEY)
        np.testing.assert_allclose(found, make_solver(name, SMALL)(without, queries, KEY), rtol=1e-9)


def test_weights_are_positive_of_mean_one_and_the_step_is_a_factor():
    drawn = jnp.asarray(np.random.default_rng(0).normal(size=6), jnp.float32)
    pairs = Learned(jnp.zeros((6, 2)), jnp.zeros((6, 1)), drawn, jnp.log(jnp.array(3.0))).pairs()
    weights, recipe = settle(pairs.weights, RECIPES["paper"])
    assert weights.min() > 0
    assert weights.mean() == pytest.approx(1.0, rel=1e-5)
    assert recipe.learning_rate == pytest.approx(0.3, rel=1e-5)
    assert settle(None, RECIPES["paper"]) == (None, RECIPES["paper"])
    assert settle(jnp.full(6, 2.0), RECIPES["paper"])[0] is None


def options(**more):
    return {"size": 8, "steps": 12, "batch": 64, "students": 2, "curve_points": 2, **more}


def iterates(data, teacher, **more):
    settings = {key: value for key, value in options(**more).items() if key not in ("students", "curve_points")}
    return [pairs for _, pairs, _ in outer_steps(DistillConfig("x", **settings), tabulate(data, teacher), teacher)]


def test_the_average_is_that_of_the_last_iterates(data, teacher):
    plain, averaged = iterates(data, teacher), iterates(data, teacher, average=0.25)
    for before, after in zip(plain[:11], averaged[:11], strict=True):
        np.testing.assert_array_equal(before.states, after.states)
    for column in (0, 1):
        mean = np.mean([pairs[column] for pairs in plain[-3:]], axis=0)
        np.testing.assert_allclose(averaged[-1][column], mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("learn", "learned"), [("weights", 1), ("step-size", 0), ("both", 1)])
def test_what_is_learned_moves_and_travels(data, teacher, tmp_path, learn, learned):
    first, *_, last = iterates(data, teacher, learn=learn)
    assert first.weights is None
    weights, recipe = settle(last.weights, RECIPES["default"])
    assert (weights is not None) == learned
    assert (recipe.learning_rate != RECIPES["default"].learning_rate) == (learn != "weights")
    papers = make().metadata | {"student": dataclasses.asdict(recipe)}
    bottled = dataclasses.replace(make(3, 2, 8), weights=weights, metadata=papers)
    again = load(bottled.save(tmp_path / "d.safetensors"))
    assert again.recipe == recipe
    if learned:
        np.testing.assert_allclose(again.weights, weights, rtol=1e-6)
        plain = dataclasses.replace(again, weights=None).train_student()(again.states)
        assert np.abs(again.train_student()(again.states) - plain).max() > 1e-4


def test_students_of_the_file_are_those_of_the_solver(data, teacher):
    """Weights of mean 1 and the recipe's new step size train the student that the outer loop saw."""
    *_, last = iterates(data, teacher, learn="both")
    weights, recipe = settle(last.weights, SMALL)
    ours = clone.train(KEY, last, SMALL)
    theirs = clone.train(KEY, last._replace(weights=jnp.asarray(weights)), recipe)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "weights", [np.ones(7), np.r_[np.ones(7), 0.0], np.ones((8, 1))], ids=["short", "zero", "deep"]
)
def test_weights_that_do_not_fit_are_refused(tmp_path, weights):
    path = make(pairs=8).save(tmp_path / "d.safetensors")
    arrays, papers = storage.load(path, "distillate")
    storage.save(path, "distillate", {**arrays, "weights": weights.astype(np.float32)}, papers)
    with pytest.raises(PotstillError, match="a positive weight for each of its 8 pairs"):
        load(path)


@pytest.mark.parametrize("make_loss", [held_out_loss, students_loss])
def test_criteria_prefer_what_was_distilled(data, teacher, make_loss):
    config = DistillConfig("x", **{**options(steps=60), "objective": "pbc", "initial": "random"})
    table = tabulate(data, teacher)
    first, *_, last = (pairs for _, pairs, _ in outer_steps(config, table, teacher))
    loss = make_loss(config, table, teacher)
    assert loss(last) < 0.9 * loss(first)
    assert loss(last) == loss(last)


def test_the_choice_keeps_the_least_of_the_candidates(data, teacher):
    config = DistillConfig("x", steps=20, choose="held-out")
    assert candidates(20) == {0, 10, 12, 14, 16, 18, 20}
    choice = make_choice(config, tabulate(data, teacher), teacher, make_pace(config))
    found = iter([9.0, 5.0, 3.0, 4.0, 3.0])
    choice.loss = lambda _: next(found)
    assert [step for step in (0, 10, 11, 12, 14, 20) if choice.offer(step, PAIRS)] == [0, 10, 12]
    assert choice.losses == {0: 9.0, 10: 5.0, 12: 3.0, 14: 4.0, 20: 3.0}


def test_the_last_is_kept_unless_asked_otherwise(data, teacher):
    choice = make_choice(DistillConfig("x", steps=3), tabulate(data, teacher), teacher, Pace(3))
    assert [step for step in range(4) if choice.offer(step, PAIRS)] == [0, 1, 2, 3]
    assert choice.losses == {}


def test_settings_out_of_range():
    for share in (-0.1, 1.5):
        with pytest.raises(PotstillError, match="--average"):
            DistillConfig("x", average=share)


@dataclasses.dataclass
class Settings:
    learn_what: Literal["weights", "nothing"] = "weights"
    other: str = "anything"


def test_settings_with_a_list_of_values_take_no_others():
    """The command line refuses them by itself; this is for Python, where nothing checks types."""
    check_choices(Settings("nothing", "goes"))
    with pytest.raises(PotstillError, match="unknown --learn-what 'weigths': did you mean 'weights'"):
        check_choices(Settings("weigths"))


@pytest.mark.parametrize("choose", ["held-out", "students"])
def test_distil_bottles_the_chosen_iterate(tmp_path, choose):
    from conftest import random_teacher
    from test_commands import result_of
    from test_teachers import bandit, write_npz

    data = write_npz(tmp_path / "logs.npz", bandit(400))
    teacher = random_teacher(states=1, actions=1).save(tmp_path / "t.safetensors")
    more = options(
        learn="both", average=0.5, initial="k-means", weighting="ranged,density", choose=choose, recipe="plain"
    )
    run = potstill.distill(data, teacher=teacher, out=tmp_path / "run", **more)
    chosen, distillate = result_of(run)["chosen"], load(run)
    assert chosen["by"] == choose
    losses = {int(step): loss for step, loss in chosen["losses"].items()}
    assert losses[chosen["step"]] == min(losses.values())
    assert distillate.metadata["steps"] == chosen["step"]
    assert distillate.metadata["weighting"] == "ranged,density"
    assert distillate.metadata["settings"]["choose"] == choose
    again = potstill.distill(data, teacher=teacher, out=tmp_path / "again", episodes=0, **{**more, "curve_points": 5})
    np.testing.assert_array_equal(load(again).states, distillate.states)
