"""World models on problems with known dynamics: predictions, held-out rows, and refused data."""

import dataclasses
import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from linear import TINY, linear_rows, terminating_rows

from potstill.errors import PotstillError
from potstill.worlds import WorldSettings, train_world
from potstill.worlds.dynamics import apply_members
from potstill.worlds.training import prepare
from potstill.worlds.validation import hold_out, measure_open_loop


def predict_rows(linear_world, data):
    return linear_world.step(data.normaliser(data.observations), data.action_bounds.to_unit(data.actions))


def test_least_squares_part_fits_a_linear_system(linear_world):
    other = linear_rows(seed=1)
    found = linear_world.step(linear_world.normaliser(other.observations), other.actions)
    after = linear_world.normaliser(other.next_observations)
    inside = ((after > linear_world.dynamics.low) & (after < linear_world.dynamics.high)).all(
        axis=1
    )  # others are clipped
    assert inside.mean() > 0.99
    states = np.asarray(linear_world.normaliser.invert(found.states))
    np.testing.assert_allclose(states[inside], other.next_observations[inside], atol=1e-3)
    np.testing.assert_allclose(found.rewards, other.rewards, atol=1e-3)
    errors = linear_world.metadata["errors"]
    assert errors["one_step"] < 1e-5
    assert errors["reward"] < 1e-5
    assert list(errors["open_loop"]) == ["1", "5", "10"]  # episodes have 20 steps
    assert linear_world.horizon == 10


def test_terminations_are_found_and_other_rows_are_kept(cliff_log, cliff_world):
    assert cliff_world.terminates
    shares = cliff_world.metadata["errors"]["terminations"]
    assert shares["found"] > 0.9
    assert shares["kept"] > 0.9
    others = terminating_rows(seed=1)
    said = np.asarray(predict_rows(cliff_world, dataclasses.replace(others, name="cliff")).terminated)
    assert said[others.terminations].mean() > 0.9
    assert (~said[~others.terminations]).mean() > 0.9


def test_networks_learn_what_is_not_linear():
    data = linear_rows()
    bent = data.rewards + np.sin(3.0 * data.observations[:, 0]).astype(np.float32)
    seen = []
    learned = train_world(
        dataclasses.replace(data, rewards=bent),
        dataclasses.replace(TINY, steps=600, learning_rate=1e-2),
        lambda step, loss: seen.append((step, loss)),
    )
    assert [step for step, _ in seen] == [500, 600]
    assert seen[1][1] < seen[0][1]
    at_first = train_world(dataclasses.replace(data, rewards=bent), TINY).metadata["errors"]
    assert learned.metadata["errors"]["reward"] < 0.1 * at_first["reward"]


def test_without_terminations_nothing_terminates(linear_world, linear_log):
    assert not linear_world.terminates
    assert linear_world.metadata["errors"]["terminations"] is None
    high = dataclasses.replace(  # as if the networks said yes
        linear_world,
        dynamics=linear_world.dynamics._replace(
            layers=[
                *linear_world.dynamics.layers[:-1],
                {k: v + 9.0 for k, v in linear_world.dynamics.layers[-1].items()},
            ]
        ),
    )
    assert not np.asarray(predict_rows(high, linear_log).terminated).any()


class TestHoldingOut:
    def test_whole_episodes(self, linear_log):
        held = hold_out(linear_log, 0)
        bounds = linear_log.episode_bounds
        shares = [held[a:b].mean() for a, b in itertools.pairwise(bounds)]
        assert set(shares) == {0.0, 1.0}
        assert sum(shares) == 5  # of 100

    def test_other_seeds_hold_out_others(self, linear_log):
        assert (hold_out(linear_log, 0) == hold_out(linear_log, 0)).all()
        assert (hold_out(linear_log, 0) != hold_out(linear_log, 1)).any()

    def test_held_out_rows_are_not_trained_on(self, linear_log):
        """Replacing held-out rows by random numbers does not change the networks and the linear part."""
        held = hold_out(linear_log, 0)
        moved = linear_log.rewards + np.where(held, 5.0, 0.0).astype(np.float32)
        first, second = (
            train_world(data, TINY) for data in (linear_log, dataclasses.replace(linear_log, rewards=moved))
        )
        np.testing.assert_array_equal(first.dynamics.linear, second.dynamics.linear)
        for one, other in zip(first.dynamics.layers, second.dynamics.layers, strict=True):
            np.testing.assert_array_equal(one["weight"], other["weight"])
        assert second.metadata["errors"]["reward"] > 1.0

    @pytest.mark.parametrize("ends", [[], [-1]], ids=["no end", "one episode"])
    def test_rows_if_there_are_no_two_episodes(self, ends):
        cut = np.zeros(1_200, bool)
        cut[ends] = True
        data = linear_rows(60, truncations=cut)
        assert hold_out(data, 0).sum() == 60
        found = train_world(data, TINY)
        assert found.metadata["errors"]["open_loop"] == {}
        assert found.horizon == 0
        assert found.starts.shape == (1, 2)

    def test_an_episode_of_most_rows_is_trained_on(self):
        cut = np.zeros(1_200, bool)
        cut[[9, 1_199]] = True
        data = linear_rows(60, truncations=cut)
        for seed in range(4):
            assert np.flatnonzero(hold_out(data, seed)).tolist() == list(range(10))


@pytest.mark.parametrize(
    ("errors", "horizon"),
    [
        ({"1": 0.1, "5": 0.2, "10": 0.5, "25": 0.6}, 10),
        ({"1": 0.1, "5": 0.7, "10": 0.4}, 1),  # a small error after a large one does not count
        ({"1": 0.6, "5": 0.1}, 0),
        ({"1": float("nan"), "5": 0.1}, 0),
        ({"10": 0.1, "1": 0.1, "5": 0.6}, 1),  # in any order: JSON sorts keys as text
        ({}, 0),
    ],
)
def test_the_horizon_ends_before_the_first_large_error(linear_world, errors, horizon):
    metadata = {**linear_world.metadata, "errors": {**linear_world.metadata["errors"], "open_loop": errors}}
    assert dataclasses.replace(linear_world, metadata=metadata).horizon == horizon


def test_open_loop_errors_by_single_steps(linear_world, linear_log):
    states = linear_log.normaliser(linear_log.observations[[0, 40]])
    for t in range(3):
        states = np.asarray(linear_world.step(states, linear_log.actions[[t, 40 + t]]).states)
    wanted = np.sqrt(np.mean((states - linear_log.normaliser(linear_log.observations[[3, 43]])) ** 2, axis=1))
    np.testing.assert_allclose(
        measure_open_loop(linear_world, linear_log, np.array([0, 40]), 3), wanted, rtol=1e-5, atol=1e-6
    )
    with pytest.raises(PotstillError, match="length 0: expected at least one step"):
        measure_open_loop(linear_world, linear_log, np.array([0]), 0)


def test_disagreement_is_the_spread_of_the_members(linear_world, linear_log):
    states, actions = linear_log.normaliser(linear_log.observations[:7]), linear_log.actions[:7]
    x = jnp.concatenate([states, actions], axis=-1)
    outputs = np.asarray(apply_members(linear_world.dynamics.layers, jnp.stack([x, x])))[..., :-1]
    wanted = np.sqrt(np.mean(outputs.std(axis=0) ** 2, axis=-1))
    np.testing.assert_allclose(linear_world.step(states, actions).disagreement, wanted, rtol=1e-5)
    alone = train_world(linear_log, dataclasses.replace(TINY, members=1))
    np.testing.assert_array_equal(alone.step(states, actions).disagreement, np.zeros(7))


def test_predictions_stay_near_the_data(linear_world):
    far = np.full((1, 2), 100.0, np.float32)
    after = np.asarray(linear_world.step(far, np.ones((1, 1), np.float32)).states)
    np.testing.assert_array_equal(after[0], linear_world.dynamics.high)


class TestUnusualData:
    def test_too_few_rows(self):
        with pytest.raises(PotstillError, match=r"linear: 480 rows are too few for a world model, expected 500"):
            train_world(linear_rows(24), TINY)

    def test_constant_columns(self, linear_log):
        ones = np.ones((len(linear_log), 1), np.float32)
        data = dataclasses.replace(
            linear_log,
            observations=np.concatenate([linear_log.observations, 3.0 * ones], axis=1),
            next_observations=np.concatenate([linear_log.next_observations, 3.0 * ones], axis=1),
            rewards=ones[:, 0],
        )
        found = train_world(data, TINY)
        after = predict_rows(found, data)
        np.testing.assert_allclose(found.normaliser.invert(after.states)[:, 2], 3.0, atol=1e-3)
        np.testing.assert_allclose(after.rewards, 1.0, atol=1e-3)
        assert found.metadata["errors"]["one_step"] < 1e-5

    def test_every_row_terminates(self, linear_log):
        every = np.ones(len(linear_log), bool)
        found = train_world(dataclasses.replace(linear_log, terminations=every, truncations=~every), TINY)
        assert found.metadata["errors"]["terminations"]["kept"] == 1.0  # of no rows
        assert len(found.starts) == 1_024
        assert found.horizon == 0

    def test_rewards_of_any_size(self, linear_log):
        for size in (1e-20, 1e12):
            found = train_world(dataclasses.replace(linear_log, rewards=linear_log.rewards * np.float32(size)), TINY)
            assert found.metadata["errors"]["reward"] < 1e-3
            assert found.horizon == 10

    def test_numbers_at_the_end_of_float32(self, linear_log):
        large = np.where(np.arange(len(linear_log)) % 2 == 0, 3e38, -3e38).astype(np.float32)
        for rewards in (large, linear_log.rewards * np.float32(1e30)):
            with pytest.raises(PotstillError, match="linear: rewards or states are too large for a world model"):
                train_world(dataclasses.replace(linear_log, rewards=rewards), TINY)

    def test_more_than_a_million_rows_are_sampled(self, linear_log, monkeypatch):
        monkeypatch.setattr("potstill.worlds.training.MOST_ROWS", 1_000)
        sampled, *_ = prepare(linear_log, ~hold_out(linear_log, 0), 0)
        assert len(sampled.inputs) == 1_000
        assert len(np.unique(np.asarray(sampled.inputs), axis=0)) == 1_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"members": 0}, r"WorldSettings\.members 0: expected at least 1"),
        ({"width": 0}, r"WorldSettings\.width 0"),
        ({"steps": 0}, r"WorldSettings\.steps 0"),
        ({"learning_rate": 0.0}, r"WorldSettings\.learning_rate"),
        ({"seed": -1}, r"WorldSettings\.seed -1"),
        ({"batch": 2.5}, r"WorldSettings\.batch is 2\.5 \(float\): expected int"),
    ],
)
def test_settings_are_checked(unchecked, changes, message):
    with pytest.raises(PotstillError, match=message):
        WorldSettings(**changes)
