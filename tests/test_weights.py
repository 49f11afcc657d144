"""Weights of states: of value, density and time; alone, multiplied, and from a dataset."""

import copy
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import potstill
from potstill.config import DistillConfig
from potstill.distillation.objectives import WEIGHTINGS, States, state_weights
from potstill.distillation.objectives.density import log_density
from potstill.distillation.objectives.weights import (
    LEAST_EFFECTIVE,
    OCCUPIED,
    OPENING,
    effective_share,
    occupancy,
    opening,
    rarity,
    sdw,
)
from potstill.distillation.outer_loop import settled
from potstill.distillation.state_table import (
    MEMORY,
    USUAL_NOISE,
    episode_steps,
    perturbed,
    strayed,
    tabulate,
    usual_states,
)
from potstill.errors import PotstillError
from potstill.students.recipe import recipe_named

OF_VALUE = ("clipped", "shifted", "softplus", "ranged")
MEAN_ONE = [name for name in WEIGHTINGS if name != "reference"]


def some(rows=500, values=None, seed=0):
    rng = np.random.default_rng(seed)
    drawn = rng.normal(50.0, 100.0, size=rows) if values is None else values
    states = jnp.asarray(rng.normal(size=(len(drawn), 4)), jnp.float32)
    far = rng.gamma(2.0, size=len(drawn))
    return States(states, jnp.asarray(drawn, jnp.float32), lambda: np.arange(len(drawn)) % 100, lambda: far)


@pytest.mark.parametrize("name", MEAN_ONE)
def test_never_negative_and_of_mean_one(name):
    weights = state_weights(name, some())
    assert float(weights.min()) >= 0.0
    assert float(weights.mean()) == pytest.approx(1.0, rel=1e-4)


@pytest.mark.parametrize("name", OF_VALUE)
def test_weights_of_value_rise_with_it(name):
    of = some()
    weights = state_weights(name, of)
    assert bool((jnp.diff(weights[jnp.argsort(of.values)]) >= 0).all())


def test_what_a_shift_of_the_reward_does():
    values = np.random.default_rng(0).normal(0.0, 10.0, size=200)
    before, after = some(values=values), some(values=values + 100.0)
    same = {n: np.allclose(state_weights(n, before), state_weights(n, after), atol=1e-3) for n in OF_VALUE}
    assert same == {"clipped": False, "shifted": True, "softplus": False, "ranged": True}


def test_reference_weights_let_negative_values_through():
    np.testing.assert_allclose(state_weights("reference", some(values=[-10.0, 20.0])), [-0.2, 0.4], rtol=1e-6)


def test_all_negative_values_fall_back_to_uniform():
    np.testing.assert_array_equal(state_weights("clipped", some(values=[-3.0, -1.0])), [1.0, 1.0])


def test_weightings_multiply():
    of = some()
    product = state_weights("ranged", of) * state_weights("early", of)
    np.testing.assert_allclose(state_weights("ranged,early", of), product / product.mean(), rtol=1e-4)
    np.testing.assert_allclose(state_weights("early, ranged", of), state_weights("ranged,early", of), rtol=1e-4)


def test_of_time_by_hand():
    steps = some(rows=200)
    found = state_weights("discounted", steps)
    assert float(found[7] / found[0]) == pytest.approx(0.99**7, rel=1e-4)
    assert float(state_weights("early", steps)[50] / state_weights("early", steps)[0]) == pytest.approx(0.5, rel=1e-4)


@pytest.mark.parametrize(("size", "least"), [(1, 0.6), (4, 0.9), (17, 0.9)])
def test_densities_of_a_gaussian(size, least):
    """The truth is known: −‖s‖² / 2. The estimate orders states as it does; in one dimension it is noisy."""
    states = np.random.default_rng(0).normal(size=(6000, size)).astype(np.float32)
    found = np.asarray(log_density(jnp.asarray(states)))
    wanted = -0.5 * (states**2).sum(1)
    rank = lambda x: np.argsort(np.argsort(x))  # noqa: E731
    assert np.corrcoef(rank(found), rank(wanted))[0, 1] > least


def test_densities_of_a_plane_and_of_copies():
    """Twice as dense is log 2 more; states that occur twice have a finite density."""
    rng = np.random.default_rng(0)
    sides = np.where(rng.random(8000) < 2 / 3, 0.0, 5.0)
    states = np.stack([sides + rng.random(8000), rng.random(8000)], 1).astype(np.float32)
    found = np.asarray(log_density(jnp.asarray(states)))
    difference = found[sides == 0].mean() - found[sides > 0].mean()
    assert difference == pytest.approx(np.log(2.0), abs=0.1)
    copies = jnp.asarray(np.repeat(states[:50], 4, axis=0))
    assert bool(jnp.isfinite(log_density(copies)).all())


def test_rarity_leaves_half_of_the_states():
    """1/p of log-densities that span tens of nats would be a few states."""
    wide = jnp.asarray(np.random.default_rng(0).normal(0.0, 15.0, size=4000), jnp.float32)
    assert float(effective_share(jnp.exp(-(wide - wide.min())))) < 0.01
    weights = rarity(wide)
    assert float(effective_share(weights)) == pytest.approx(LEAST_EFFECTIVE, abs=1e-3)
    assert bool((jnp.diff(weights[jnp.argsort(wide)]) <= 0).all())


def test_rarity_is_the_reciprocal_where_that_is_mild():
    mild = jnp.linspace(0.0, 0.5, 101)
    found = rarity(mild)
    assert float(found[10] / found[90]) == pytest.approx(np.exp(0.4), rel=1e-4)


def test_sdw_by_hand():
    np.testing.assert_allclose(sdw(jnp.array([0.0, -50.0])), [1.0, np.e], rtol=1e-6)


def test_steps_of_episodes(data):
    with pytest.raises(PotstillError, match="a weighting of time needs rows in the order"):
        tabulate(data, None, "early")
    np.testing.assert_array_equal(episode_steps(in_order(data)), np.arange(300) % 25)


def test_the_opening_has_its_share():
    """Of long episodes it gets 0.08 of the weight; of short ones, where it has more, all rows count the same."""
    steps = jnp.tile(jnp.arange(1000.0), 3)
    fading, weights = jnp.exp(-steps / 20.0), opening(steps)
    assert float(jnp.sum(weights * fading) / jnp.sum(weights)) == pytest.approx(OPENING, rel=1e-4)
    np.testing.assert_allclose((weights[1] - 1.0) / (weights[0] - 1.0), np.exp(-1.0 / 20.0), rtol=1e-4)
    assert float(weights[999]) == pytest.approx(1.0, abs=1e-6)
    np.testing.assert_array_equal(opening(jnp.tile(jnp.arange(30.0), 3)), np.ones(90))
    assert bool(jnp.isfinite(opening(jnp.full(9, 1e6))).all())


def in_order(data):
    """The same rows with next states that are those of the rows after."""
    data.next_observations[:-1] = data.observations[1:]
    return data


def test_time_is_counted_before_rows_are_taken(data, teacher):
    """A row that is held out does not shorten its episode."""
    index = np.array([24, 25, 49])  # last, first and last row of an episode
    table = tabulate(in_order(data), teacher, "early", index)
    np.testing.assert_allclose(table.weights / table.weights[1], [0.04, 1.0, 0.04], rtol=1e-4)
    np.testing.assert_array_equal(table.actions, tabulate(data, teacher).actions[index])


def test_straying_by_hand(data, teacher):
    """A fading mean over the steps before, from the beginning of each episode."""
    found = strayed(in_order(data), teacher)
    distances = np.sum((np.asarray(teacher.act(jnp.asarray(data.observations))) - data.actions) ** 2, axis=1)
    for row, (begun, steps) in {0: (0, 0), 1: (0, 1), 24: (0, 24), 25: (25, 0), 28: (25, 3)}.items():
        past = distances[begun : begun + steps]
        fading = MEMORY ** np.arange(steps)[::-1]
        assert found[row] == pytest.approx(np.sum(fading * past) / np.sum(fading) if steps else 0.0, rel=1e-5)


def test_straying_needs_order_and_a_teacher(data, teacher):
    with pytest.raises(PotstillError, match="a weighting of occupancy needs rows in the order"):
        tabulate(data, teacher, "occupancy")
    with pytest.raises(PotstillError, match="weights of occupancy need a teacher"):
        tabulate(in_order(data), None, "occupancy")


def test_occupancy_prefers_where_the_teacher_would_have_come():
    strayed = some().strayed
    weights = occupancy(strayed)
    assert float(effective_share(weights)) == pytest.approx(OCCUPIED, abs=1e-3)
    assert bool((jnp.diff(weights[jnp.argsort(strayed)]) <= 0).all())
    np.testing.assert_array_equal(occupancy(jnp.full(9, 0.4)), np.ones(9))
    np.testing.assert_array_equal(occupancy(jnp.zeros(9)), np.ones(9))


def test_which_states_count_where_nothing_is_asked_for(data, teacher):
    usual, hasty = recipe_named("default"), recipe_named("paper")
    assert usual_states("q-gap", data, teacher, usual) == ("uniform", USUAL_NOISE)  # not in order
    assert usual_states("q-gap", in_order(copy.deepcopy(data)), teacher, usual) == ("opening", USUAL_NOISE)
    assert usual_states("q-gap", in_order(copy.deepcopy(data)), teacher, hasty) == ("uniform", 2 * USUAL_NOISE)
    assert usual_states("q-gap", data, teacher, hasty) == ("uniform", 2 * USUAL_NOISE)
    assert usual_states("pbc", data, teacher, hasty) == ("uniform", 0.0)
    assert usual_states("pbc", data, teacher, usual) == ("uniform", 0.0)
    assert usual_states("av-pbc", data, teacher, usual) == ("ranged", 0.0)
    assert usual_states("q-gap", data, None, usual) == ("uniform", 0.0)
    endless = dataclasses.replace(data, terminations=np.zeros(300, bool), truncations=data.terminations)
    assert usual_states("q-gap-each", endless, teacher, usual) == ("uniform", 0.0)  # not in order
    assert usual_states("q-gap-each", in_order(endless), teacher, usual) == ("occupancy", USUAL_NOISE / 2)
    assert usual_states("q-gap-each", in_order(endless), teacher, hasty) == ("occupancy", USUAL_NOISE)


def test_what_is_asked_for_is_kept(data, teacher):
    asked = settled(DistillConfig("x", weighting="ranged"), data, teacher)
    assert (asked.weighting, asked.state_noise) == ("ranged", USUAL_NOISE)
    asked = settled(DistillConfig("x", state_noise=0.0), data, teacher)
    assert (asked.weighting, asked.state_noise, asked.action_limit) == ("uniform", 0.0, 1.0)
    asked = settled(DistillConfig("x", recipe="paper"), data, teacher)
    assert (asked.state_noise, asked.action_limit) == (2 * USUAL_NOISE, 2.0)
    assert settled(DistillConfig("x", recipe="paper", action_limit=1.0), data, teacher).action_limit == 1.0
    with pytest.raises(PotstillError, match=r"--state-noise 0\.1: dbc has no teacher"):
        potstill.distill("hopper-medium-replay", objective="dbc", state_noise=0.1)


def test_noise_moves_half_of_the_states_and_asks_the_teacher_again(data, teacher):
    table = tabulate(data, teacher)
    found = perturbed(table, 0.5, teacher, jax.random.key(0))
    moved = np.asarray(found.states != table.states).any(axis=1)
    assert moved.mean() == pytest.approx(0.5, abs=0.1)
    assert np.std(np.asarray(found.states - table.states)[moved]) == pytest.approx(0.5, rel=0.1)
    np.testing.assert_allclose(found.teacher_actions, teacher.act(found.states), rtol=1e-6)
    values = teacher.action_values(found.states, found.teacher_actions)
    np.testing.assert_allclose(found.critic_values, values.T, rtol=1e-6)
    np.testing.assert_array_equal(found.weights, table.weights)


def test_unknown_and_repeated_names():
    with pytest.raises(PotstillError, match="did you mean 'clipped'"):
        state_weights("ranged,cliped", some())
    with pytest.raises(PotstillError, match="names one twice"):
        state_weights("ranged,ranged", some())
