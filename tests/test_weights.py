"""Weights of states by value, density and time: single, multiplied, and from a dataset."""

import copy
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import potstill
from potstill.commands.resolve import Problem, resolve_weighting
from potstill.distillation import (
    WEIGHTINGS,
    ActionValueCloning,
    KernelDescent,
    OuterSettings,
    PolicyCloning,
    QGap,
    build_state_table,
    combine_weightings,
)
from potstill.distillation.defaults import STATE_NOISE, choose_default_action_limit, choose_default_states
from potstill.distillation.initial_states import cluster_states
from potstill.distillation.objectives.density import log_density
from potstill.distillation.objectives.gap import QGapEach
from potstill.distillation.objectives.weights import (
    LEAST_EFFECTIVE,
    OCCUPIED,
    OPENING,
    StateFeatures,
    effective_share,
    inverse_density,
    occupancy,
    opening,
    sdw,
)
from potstill.distillation.state_table import FORGETTING, add_state_noise, count_episode_steps, measure_action_deviation
from potstill.errors import PotstillError
from potstill.students import RECIPES

OF_VALUE = ("clipped", "shifted", "softplus", "ranged")
MEAN_ONE = [name for name in WEIGHTINGS if name not in ("reference", "unscaled")]


def some(rows=500, values=None, seed=0):
    rng = np.random.default_rng(seed)
    drawn = rng.normal(50.0, 100.0, size=rows) if values is None else values
    states = jnp.asarray(rng.normal(size=(len(drawn), 4)), jnp.float32)
    far = rng.gamma(2.0, size=len(drawn))
    return StateFeatures(states, jnp.asarray(drawn, jnp.float32), lambda: np.arange(len(drawn)) % 100, lambda: far)


@pytest.mark.parametrize("name", MEAN_ONE)
def test_weights_are_non_negative_with_mean_one(name):
    weights = resolve_weighting(name)(some())
    assert float(weights.min()) >= 0.0
    assert float(weights.mean()) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("name", OF_VALUE)
def test_weights_of_value_rise_with_it(name):
    of = some()
    weights = resolve_weighting(name)(of)
    assert bool((jnp.diff(weights[jnp.argsort(of.values)]) >= 0).all())


def test_effect_of_a_reward_shift():
    values = np.random.default_rng(0).normal(0.0, 10.0, size=200)
    before, after = some(values=values), some(values=values + 100.0)
    same = {n: np.allclose(resolve_weighting(n)(before), resolve_weighting(n)(after), atol=1e-3) for n in OF_VALUE}
    assert same == {"clipped": False, "shifted": True, "softplus": False, "ranged": True}


def test_reference_weights_can_be_negative():
    np.testing.assert_allclose(resolve_weighting("reference")(some(values=[-10.0, 20.0])), [-0.2, 0.4], rtol=1e-6)
    np.testing.assert_allclose(resolve_weighting("unscaled")(some(values=[-10.0, 20.0])), [-10.0, 20.0], rtol=1e-6)


def test_all_negative_values_fall_back_to_uniform():
    np.testing.assert_array_equal(resolve_weighting("clipped")(some(values=[-3.0, -1.0])), [1.0, 1.0])


def test_weightings_multiply():
    of = some()
    product = resolve_weighting("ranged")(of) * resolve_weighting("early")(of)
    np.testing.assert_allclose(resolve_weighting("ranged,early")(of), product / product.mean(), rtol=1e-4)
    np.testing.assert_allclose(resolve_weighting("early, ranged")(of), resolve_weighting("ranged,early")(of), rtol=1e-4)
    twice = combine_weightings(WEIGHTINGS["ranged"], lambda features: 2.0 * features.steps)
    product = WEIGHTINGS["ranged"](of) * of.steps
    np.testing.assert_allclose(twice(of), product / product.mean(), rtol=1e-4)
    np.testing.assert_array_equal(combine_weightings()(of), np.ones(500))


def test_weights_by_time_by_hand():
    steps = some(rows=200)
    found = resolve_weighting("discounted")(steps)
    assert float(found[7] / found[0]) == pytest.approx(0.99**7, rel=1e-4)
    found = resolve_weighting("early")(steps)
    assert float(found[50] / found[0]) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(("size", "least"), [(1, 0.6), (4, 0.9), (17, 0.9)])
def test_densities_of_a_gaussian(size, least):
    """The estimate orders states as the true log-density −‖s‖² / 2 does; in one dimension, it is noisy."""
    states = np.random.default_rng(0).normal(size=(6000, size)).astype(np.float32)
    found = np.asarray(log_density(jnp.asarray(states)))
    wanted = -0.5 * (states**2).sum(1)
    rank = lambda x: np.argsort(np.argsort(x))  # noqa: E731
    assert np.corrcoef(rank(found), rank(wanted))[0, 1] > least


def test_densities_of_a_plane_and_of_copies():
    """Twice the density is log 2 more, and states that occur twice have a finite density."""
    rng = np.random.default_rng(0)
    sides = np.where(rng.random(8000) < 2 / 3, 0.0, 5.0)
    states = np.stack([sides + rng.random(8000), rng.random(8000)], 1).astype(np.float32)
    found = np.asarray(log_density(jnp.asarray(states)))
    difference = found[sides == 0].mean() - found[sides > 0].mean()
    assert difference == pytest.approx(np.log(2.0), abs=0.1)
    copies = jnp.asarray(np.repeat(states[:50], 4, axis=0))
    assert bool(jnp.isfinite(log_density(copies)).all())


def test_inverse_density_keeps_half_of_the_states():
    """1/p would put all weight on a few states, because log-densities span tens of nats."""
    wide = jnp.asarray(np.random.default_rng(0).normal(0.0, 15.0, size=4000), jnp.float32)
    assert float(effective_share(jnp.exp(-(wide - wide.min())))) < 0.01
    weights = inverse_density(wide)
    assert float(effective_share(weights)) == pytest.approx(LEAST_EFFECTIVE, abs=1e-3)
    assert bool((jnp.diff(weights[jnp.argsort(wide)]) <= 0).all())


def test_inverse_density_is_reciprocal_for_mild_densities():
    mild = jnp.linspace(0.0, 0.5, 101)
    found = inverse_density(mild)
    assert float(found[10] / found[90]) == pytest.approx(np.exp(0.4), rel=1e-4)


def test_sdw_by_hand():
    np.testing.assert_allclose(sdw(jnp.array([0.0, -50.0])), [1.0, np.e], rtol=1e-6)


def test_steps_of_episodes(data):
    with pytest.raises(PotstillError, match="a weighting by time requires rows in the order"):
        build_state_table(data, None, resolve_weighting("early"))
    np.testing.assert_array_equal(count_episode_steps(in_order(data)), np.arange(300) % 25)


def test_share_of_the_opening():
    """In long episodes, the opening has 0.08 of the weight; in short episodes, all weights are equal."""
    steps = jnp.tile(jnp.arange(1000.0), 3)
    fading, weights = jnp.exp(-steps / 20.0), opening(steps)
    assert float(jnp.sum(weights * fading) / jnp.sum(weights)) == pytest.approx(OPENING, rel=1e-4)
    np.testing.assert_allclose((weights[1] - 1.0) / (weights[0] - 1.0), np.exp(-1.0 / 20.0), rtol=1e-4)
    assert float(weights[999]) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_array_equal(opening(jnp.tile(jnp.arange(30.0), 3)), np.ones(90))
    assert bool(jnp.isfinite(opening(jnp.full(9, 1e6))).all())


def in_order(data):
    """The same rows, with the following rows' states as next states."""
    data.next_observations[:-1] = data.observations[1:]
    return data


def test_steps_are_counted_before_rows_are_taken(data, teacher):
    """Held-out rows do not shorten their episodes."""
    index = np.array([24, 25, 49])  # last, first and last row of an episode
    table = build_state_table(in_order(data), teacher, resolve_weighting("early"), index)
    np.testing.assert_allclose(table.weights / table.weights[1], [0.04, 1.0, 0.04], rtol=1e-4)
    np.testing.assert_array_equal(table.actions, build_state_table(data, teacher).actions[index])


def test_action_deviation_by_hand(data, teacher):
    """An exponentially weighted mean over the earlier steps of each episode."""
    found = measure_action_deviation(in_order(data), teacher)
    distances = np.sum((np.asarray(teacher.act(jnp.asarray(data.observations))) - data.actions) ** 2, axis=1)
    for row, (first, steps) in {0: (0, 0), 1: (0, 1), 24: (0, 24), 25: (25, 0), 28: (25, 3)}.items():
        past = distances[first : first + steps]
        fading = FORGETTING ** np.arange(steps)[::-1]
        assert found[row] == pytest.approx(np.sum(fading * past) / np.sum(fading) if steps else 0.0, rel=1e-5)


def test_occupancy_needs_order_and_a_teacher(data, teacher):
    with pytest.raises(PotstillError, match="a weighting by occupancy requires rows in the order"):
        build_state_table(data, teacher, resolve_weighting("occupancy"))
    with pytest.raises(PotstillError, match="weights by occupancy require a teacher"):
        build_state_table(in_order(data), None, resolve_weighting("occupancy"))


def test_occupancy_prefers_states_of_the_teacher():
    deviation = some().action_deviation
    weights = occupancy(deviation)
    assert float(effective_share(weights)) == pytest.approx(OCCUPIED, abs=1e-3)
    assert bool((jnp.diff(weights[jnp.argsort(deviation)]) <= 0).all())
    np.testing.assert_array_equal(occupancy(jnp.full(9, 0.4)), np.ones(9))
    np.testing.assert_array_equal(occupancy(jnp.zeros(9)), np.ones(9))


def test_default_weighting_and_noise(data, teacher):
    usual, hasty = RECIPES["default"], RECIPES["paper"]
    assert choose_default_states(QGap(), data, teacher, usual) == ("uniform", STATE_NOISE)  # not in order
    assert choose_default_states(QGap(), in_order(copy.deepcopy(data)), teacher, usual) == ("opening", STATE_NOISE)
    assert choose_default_states(QGap(), in_order(copy.deepcopy(data)), teacher, hasty) == ("uniform", 2 * STATE_NOISE)
    assert choose_default_states(QGap(), data, teacher, hasty) == ("uniform", 2 * STATE_NOISE)
    assert choose_default_states(PolicyCloning(), data, teacher, hasty) == ("uniform", 0.0)
    assert choose_default_states(PolicyCloning(), data, teacher, usual) == ("uniform", 0.0)
    assert choose_default_states(ActionValueCloning(), data, teacher, usual) == ("ranged", 0.0)
    assert choose_default_states(QGap(), data, None, usual) == ("uniform", 0.0)
    endless = dataclasses.replace(data, terminations=np.zeros(300, bool), truncations=data.terminations)
    assert choose_default_states(QGapEach(), endless, teacher, usual) == ("uniform", 0.0)  # not in order
    assert choose_default_states(QGapEach(), in_order(endless), teacher, usual) == ("occupancy", STATE_NOISE / 2)
    assert choose_default_states(QGapEach(), in_order(endless), teacher, hasty) == ("occupancy", STATE_NOISE)


def test_default_states_of_a_function(data, teacher):
    """A plain function has the default attributes of an objective, unless it defines them."""
    function: Any = lambda student_actions, batch, teacher: (student_actions**2).sum(-1)  # noqa: E731
    assert choose_default_states(function, data, teacher, RECIPES["default"]) == ("uniform", 0.0)
    assert choose_default_states(None, data, teacher, RECIPES["default"]) == ("uniform", 0.0)
    function.default_weighting, function.uses_critics = "ranged", True
    assert choose_default_states(function, data, teacher, RECIPES["default"]) == ("ranged", STATE_NOISE)


def test_action_limits_follow_the_recipe():
    assert [choose_default_action_limit(RECIPES[name]) for name in ("default", "paper", "plain")] == [1.0, 2.0, 1.0]


def test_chosen_settings_are_kept(data, teacher):
    def resolved(recipe="default", weighting=None, noise=None, limit=None):
        solver = KernelDescent(RECIPES[recipe])
        problem = Problem(QGap(), solver, cluster_states, OuterSettings(), weighting, noise, limit, False, {})
        problem = problem.resolve_defaults(data, teacher)
        return problem.weighting, problem.settings.state_noise, problem.settings.action_limit

    assert resolved(weighting="ranged") == ("ranged", STATE_NOISE, 1.0)
    assert resolved(noise=0.0) == ("uniform", 0.0, 1.0)
    assert resolved(recipe="paper") == ("uniform", 2 * STATE_NOISE, 2.0)
    assert resolved(recipe="paper", limit=1.0) == ("uniform", 2 * STATE_NOISE, 1.0)
    with pytest.raises(PotstillError, match=r"state_noise=0\.1 requires an objective with a teacher"):
        potstill.distill("hopper-medium-replay", objective="dbc", state_noise=0.1)


def test_state_noise(data, teacher):
    table = build_state_table(data, teacher)
    found = add_state_noise(table, 0.5, teacher, jax.random.key(0))
    moved = np.asarray(found.states != table.states).any(axis=1)
    assert moved.mean() == pytest.approx(0.5, abs=0.1)
    assert np.std(np.asarray(found.states - table.states)[moved]) == pytest.approx(0.5, rel=0.1)
    np.testing.assert_allclose(found.teacher_actions, teacher.act(found.states), rtol=1e-6)
    values = teacher.action_values(found.states, found.teacher_actions)
    np.testing.assert_allclose(found.critic_values, values.T, rtol=1e-6)
    np.testing.assert_array_equal(found.weights, table.weights)


def test_unknown_and_repeated_names():
    with pytest.raises(PotstillError, match="did you mean 'clipped'"):
        resolve_weighting("ranged,cliped")
    with pytest.raises(PotstillError, match="a name occurs twice"):
        resolve_weighting("ranged,ranged")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "of type NoneType: expected an array of 3 weights"),
        (jnp.ones(2), r"an array of shape \(2,\): expected an array of 3"),
        (jnp.array([1.0, jnp.nan, 1.0]), "weights that are not finite"),
    ],
)
def test_wrong_weights_of_a_function_get_one_line(unchecked, found, words):
    def mine(features):
        return found

    features = StateFeatures(jnp.zeros((3, 2)), jnp.arange(3.0), lambda: np.zeros(3), lambda: np.zeros(3))
    with pytest.raises(PotstillError, match=f"the weighting mine returned {words}"):
        combine_weightings(mine)(features)


def test_negative_weights_are_refused():
    features = StateFeatures(jnp.zeros((3, 2)), jnp.arange(3.0), lambda: np.zeros(3), lambda: np.zeros(3))
    with pytest.raises(PotstillError, match="the product of the weightings is negative in some states"):
        combine_weightings(lambda features: 1.0 - features.values)(features)
