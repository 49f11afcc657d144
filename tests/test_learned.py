"""Learned weights and step sizes, averages of iterates, selection among iterates, and their use by students."""

import dataclasses
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_distillate import make
from test_solvers import SMALL, finite_differences, problem

import potstill
from potstill.distillate import load, split_weights
from potstill.distillation import (
    SOLVERS,
    KernelDescent,
    KernelInterpolation,
    OuterSettings,
    PolicyCloning,
    Portfolio,
    QGap,
    Schedule,
    build_state_table,
    make_initial_pairs,
    optimise_pairs,
)
from potstill.distillation.initial_states import draw_random_states
from potstill.distillation.outer_step import Learned
from potstill.distillation.selection import (
    IterateSelection,
    choose_candidate_steps,
    make_held_out_loss,
    make_imagined_loss,
    make_students_loss,
)
from potstill.errors import PotstillError
from potstill.runtime import storage
from potstill.runtime.validation import check_types
from potstill.students import RECIPES, Pairs, Recipe
from potstill.students.training import train_network

KEY = jax.random.key(3)
PAIRS = Pairs(jnp.zeros((1, 1)), jnp.zeros((1, 1)))
WEIGHTS = jnp.array([0.5, 1.5, 1.0, 2.0, 0.25])
STUDENT = Recipe(steps=30, momentum=0.9, width=32)  # whose training takes little time


@pytest.mark.parametrize("name", [name for name in SOLVERS if name != "portfolio"])  # it passes its pairs to "drawn"
class TestEverySolver:
    def test_gradient_in_the_weights(self, x64, name):
        pairs, queries = problem()
        weighed = pairs._replace(weights=WEIGHTS.astype(jnp.float64))
        function = lambda p: jnp.sum(jnp.sin(3.0 * SOLVERS[name](SMALL)(p, queries, KEY)))  # noqa: E731
        found, wanted = jax.jit(jax.grad(function))(weighed), finite_differences(function, weighed)
        np.testing.assert_allclose(found.weights, wanted.weights, rtol=2e-5, atol=1e-7)

    def test_common_factor_on_weights_scales_the_step_size(self, x64, name):
        pairs, queries = problem()
        faster = dataclasses.replace(SMALL, learning_rate=1.7 * SMALL.learning_rate)
        weighed = pairs._replace(weights=jnp.full(5, 1.7))
        found = jax.jit(SOLVERS[name](SMALL))(weighed, queries, KEY)
        np.testing.assert_allclose(found, jax.jit(SOLVERS[name](faster))(pairs, queries, KEY), rtol=1e-9)

    def test_pair_with_weight_zero_has_no_effect(self, x64, name):
        """The mean is over all N pairs, so four of five pairs are equivalent to four pairs with weight 4/5."""
        pairs, queries = problem()
        without = Pairs(*(column[:4] for column in pairs[:2]))
        weighed = pairs._replace(weights=jnp.array([1.25] * 4 + [0.0]))
        solver = jax.jit(SOLVERS[name](SMALL))
        np.testing.assert_allclose(solver(weighed, queries, KEY), solver(without, queries, KEY), rtol=1e-9)


def test_learned_weights_have_mean_one():
    drawn = jnp.asarray(np.random.default_rng(0).normal(size=6), jnp.float32)
    pairs = Learned(jnp.zeros((6, 2)), jnp.zeros((6, 1)), drawn, jnp.log(jnp.array(3.0))).make_pairs()
    weights, recipe = split_weights(pairs.weights, RECIPES["paper"])
    assert weights is not None
    assert weights.min() > 0
    assert weights.mean() == pytest.approx(1.0, rel=1e-5)
    assert recipe.learning_rate == pytest.approx(0.3, rel=1e-5)
    assert split_weights(None, RECIPES["paper"]) == (None, RECIPES["paper"])
    assert split_weights(jnp.full(6, 2.0), RECIPES["paper"])[0] is None


def distil(data, teacher, objective=None, steps=12, choose=None, **settings):
    """All iterates of 8 pairs."""
    table = build_state_table(data, teacher)
    chosen = () if choose is None else (choose,)
    pairs = make_initial_pairs(table, 8, *chosen, rng=np.random.default_rng(0))
    parts: dict[str, Any] = {
        "objective": objective or QGap(),
        "solver": KernelDescent(STUDENT),
        "schedule": Schedule(steps),
    }
    outer = OuterSettings(batch=64, **settings)
    found = optimise_pairs(pairs, table, teacher, **parts, settings=outer, key=jax.random.key(0))
    return [iterate.pairs for iterate in found]


def test_average_of_the_last_iterates(data, teacher):
    plain, averaged = distil(data, teacher), distil(data, teacher, average=0.25)
    for before, after in zip(plain[:11], averaged[:11], strict=True):
        np.testing.assert_array_equal(before.states, after.states)
    for column in (0, 1):
        mean = np.mean([pairs[column] for pairs in plain[-3:]], axis=0)
        np.testing.assert_allclose(averaged[-1][column], mean, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("learn", "learned"), [("weights", 1), ("step-size", 0), ("both", 1)])
def test_learned_weights_and_step_size_are_saved(data, teacher, tmp_path, learn, learned):
    first, *_, last = distil(data, teacher, learn=learn)
    assert first.weights is None
    weights, recipe = split_weights(last.weights, STUDENT)
    assert (weights is not None) == learned
    assert (recipe.learning_rate != STUDENT.learning_rate) == (learn != "weights")
    metadata = make().metadata | {"student": recipe.to_metadata()}
    distillate = dataclasses.replace(make(3, 2, 8), weights=weights, metadata=metadata)
    again = load(distillate.save(tmp_path / "d.safetensors"))
    assert again.recipe == recipe
    if weights is not None:
        assert again.weights is not None
        np.testing.assert_allclose(again.weights, weights, rtol=1e-6)
        plain = dataclasses.replace(again, weights=None).train_student()(again.states)
        assert np.abs(again.train_student()(again.states) - plain).max() > 1e-4


def test_students_of_the_file_match_the_outer_loop(data, teacher):
    """Weights with mean 1 and the recipe's new step size train the same student as in the outer loop."""
    *_, last = distil(data, teacher, learn="both")
    weights, recipe = split_weights(last.weights, SMALL)
    ours = train_network(KEY, last, SMALL)
    theirs = train_network(KEY, last._replace(weights=jnp.asarray(weights)), recipe)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "weights", [np.ones(7), np.r_[np.ones(7), 0.0], np.ones((8, 1))], ids=["short", "zero", "deep"]
)
def test_weights_that_do_not_fit_are_refused(tmp_path, weights):
    path = make(pairs=8).save(tmp_path / "d.safetensors")
    arrays, metadata = storage.load(path, "distillate")
    storage.save(path, "distillate", {**arrays, "weights": weights.astype(np.float32)}, metadata)
    with pytest.raises(PotstillError, match=r"Distillate\.weights(\[7\] is 0| has shape \((7,|8, 1)\)): expected"):
        load(path)


@pytest.mark.parametrize("make_loss", [make_held_out_loss, make_students_loss])
@pytest.mark.parametrize("objective", [PolicyCloning(), None], ids=["pbc", "random"])
def test_criteria_prefer_distilled_pairs(data, teacher, make_loss, objective):
    """Without an objective, the criterion is DBC, which is higher for the initial pairs."""
    first, *_, last = distil(data, teacher, objective or PolicyCloning(), steps=60, choose=draw_random_states)
    table = build_state_table(data, teacher)
    if objective is None:
        table = table._replace(actions=table.teacher_actions)
    loss = make_loss(objective, KernelDescent(STUDENT), table, teacher)
    assert loss(last) < 0.9 * loss(first)
    assert loss(last) == loss(last)


def test_selection_keeps_the_candidate_with_the_lowest_loss():
    assert choose_candidate_steps(60) == set(range(0, 61, 10))
    assert choose_candidate_steps(20) == {0, 3, 6, 10, 13, 16, 20}
    found = iter([9.0, 5.0, 3.0, 4.0, 3.0])
    selection = IterateSelection(Schedule(20), lambda _: next(found))
    assert [step for step in (0, 3, 4, 10, 13, 20) if selection.offer(step, PAIRS)] == [0, 3, 10]
    assert selection.losses == {0: 9.0, 3: 5.0, 10: 3.0, 13: 4.0, 20: 3.0}


def test_late_candidates():
    """Until the first candidate, the last iterate is kept: an interrupted loop has pairs, too."""
    assert choose_candidate_steps(60, 0.5) == {30, 35, 40, 45, 50, 55, 60}
    found = iter([5.0, 6.0, 4.0])
    selection = IterateSelection(Schedule(60), lambda _: next(found), first=0.5)
    assert [step for step in (0, 10, 29, 30, 31, 35, 60) if selection.offer(step, PAIRS)] == [0, 10, 29, 30, 60]
    assert selection.losses == {30: 5.0, 35: 6.0, 60: 4.0}


def test_imagined_returns_are_those_of_trained_students(cliff_world):
    """The reward of the model is the next state, so students that push up earn more."""
    students = dataclasses.replace(STUDENT, steps=200)
    states = jnp.asarray(np.random.default_rng(0).normal(size=(16, 2)), jnp.float32)
    up, down = (Pairs(states, jnp.full((16, 1), action)) for action in (0.9, -0.9))
    loss = make_imagined_loss(cliff_world, KernelDescent(students), cliff_world.scaling)
    assert loss(up) == loss(up)
    assert loss(up) < loss(down)
    both = make_imagined_loss(cliff_world, Portfolio(students), cliff_world.scaling)(up)
    kinds = [make_imagined_loss(cliff_world, KernelDescent(students), cliff_world.scaling)(up)]
    assert Portfolio(students).kinds == (students, RECIPES["pytorch"])
    other = make_imagined_loss(cliff_world, KernelInterpolation(RECIPES["pytorch"]), cliff_world.scaling)(up)
    np.testing.assert_allclose(both, np.mean([*kinds, other]), rtol=1e-5)


def test_last_iterate_is_kept_without_a_criterion():
    selection = IterateSelection(Schedule(3), None)
    assert [step for step in range(4) if selection.offer(step, PAIRS)] == [0, 1, 2, 3]
    assert selection.losses == {}


@dataclasses.dataclass
class Settings:
    learn_what: Literal["weights", "nothing"] = "weights"
    other: str = "anything"


def test_literal_fields_are_checked():
    """The command line checks the values itself; in Python, the settings check them."""
    check_types(Settings("nothing", "goes"))
    with pytest.raises(PotstillError, match=r"unknown Settings\.learn_what 'weigths': did you mean 'weights'"):
        check_types(Settings("weigths"))  # type: ignore[arg-type]


@pytest.mark.parametrize("choose", ["held-out", "students"])
def test_distil_saves_the_chosen_iterate(tmp_path, choose):
    from conftest import random_teacher
    from test_commands import result_of
    from test_teachers import bandit, write_npz

    data = write_npz(tmp_path / "logs.npz", bandit(400))
    teacher = random_teacher(states=1, actions=1).save(tmp_path / "t.safetensors")
    more: dict[str, Any] = {"size": 8, "steps": 12, "batch": 64, "students": 2, "curve_points": 2, "recipe": STUDENT}
    more |= {"learn": "both", "average": 0.5, "initial": "k-means", "weighting": "ranged,density", "choose": choose}
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
