"""Terminations of world models: limits on components, and rows whose next state was not recorded."""

import dataclasses

import numpy as np
import pytest
from linear import TINY, terminating_rows

from potstill.data.registry import load_dataset
from potstill.data.successors import find_recorded_successors
from potstill.worlds import train_world
from potstill.worlds.limits import NO_LIMIT, find_limits
from potstill.worlds.training import prepare

RNG = np.random.default_rng(0)


def walk(rows=4_000, limit=1.0, next_observations=False):
    """A walk of position and speed, which ends beyond ±1, as a log without next observations."""
    states = np.zeros((rows, 2), np.float32)
    after, ended, actions = states.copy(), np.zeros(rows, bool), RNG.uniform(-1, 1, (rows, 1)).astype(np.float32)
    state = np.array([0.0, 0.0])
    for i in range(rows):
        states[i] = state
        state = np.array([state[0] + 0.1 * state[1], 0.9 * state[1] + 0.5 * actions[i, 0]])
        after[i], ended[i] = state, abs(state[0]) > limit
        state = RNG.uniform(-0.1, 0.1, 2) if ended[i] else state
    columns = {"observations": states, "actions": actions, "rewards": after[:, 0], "terminals": ended}
    if next_observations:
        columns["next_observations"] = after
    return load_dataset(columns)


class TestFinding:
    def test_two_components_and_both_sides(self):
        after = RNG.uniform(-1, 1, (5_000, 3))
        limits = find_limits(after, (after[:, 0] > 0.5) | (after[:, 2] < -0.8))
        assert limits is not None
        np.testing.assert_allclose(limits.upper, [0.5, NO_LIMIT, NO_LIMIT], rtol=2e-3)
        np.testing.assert_allclose(limits.lower, [-NO_LIMIT, -NO_LIMIT, -0.8], rtol=2e-3)

    @pytest.mark.parametrize("rule", ["product", "never", "always", "random"])
    def test_other_rules_have_no_limits(self, rule):
        after = RNG.uniform(-1, 1, (2_000, 3))
        ended = {
            "product": after[:, 0] * after[:, 1] > 0.2,
            "never": np.zeros(2_000, bool),
            "always": np.ones(2_000, bool),
            "random": RNG.random(2_000) < 0.1,
        }[rule]
        assert find_limits(after, ended) is None

    def test_two_terminations_are_too_few(self):
        after = np.concatenate([RNG.uniform(-1, 1, (100, 2)), [[2.0, 0.0], [2.1, 0.0], [2.2, 0.0]]])
        assert find_limits(after[:-1], np.arange(102) >= 100) is None
        assert find_limits(after, np.arange(103) >= 100) is not None

    def test_one_row_in_a_hundred_thousand_may_lie_beyond(self):
        after = RNG.uniform(-1, 1, (200_000, 1))
        ended = after[:, 0] > 0.9
        after[0], ended[0] = 0.99, False
        limits = find_limits(after, ended)
        assert limits is not None
        np.testing.assert_allclose(limits.upper, 0.9, rtol=1e-3)


class TestRecordedSuccessors:
    def test_logs_with_and_without_next_observations(self):
        data = walk()
        np.testing.assert_array_equal(find_recorded_successors(data), ~data.terminations)
        assert find_recorded_successors(walk(next_observations=True)).all()

    def test_the_last_row(self):
        data = walk()
        last = int(np.flatnonzero(data.terminations)[-1]) + 1
        columns = {"observations": data.observations, "actions": data.actions, "rewards": data.rewards}
        cut = load_dataset({k: v[:last] for k, v in {**columns, "terminals": data.terminations}.items()})
        assert not find_recorded_successors(cut)[-1]

    def test_what_is_missing_is_not_learned(self):
        """The dynamics are linear: without the rows that seem to jump to a first state, the fit is exact."""
        data = walk()
        _, linear, _ = prepare(data, np.ones(len(data), bool), 0)
        _, jumping, _ = prepare(
            dataclasses.replace(data, observations=data.observations + 1e-6), np.ones(len(data), bool), 0
        )
        scale = data.normaliser.scale
        expected = [[0.0, 0.0], [0.1 * scale[1] / scale[0], -0.1], [0.0, 0.5 / scale[1]]]
        np.testing.assert_allclose(linear[:3, :2], expected, atol=2e-3)
        assert np.abs(jumping[:3, :2] - expected).max() > 0.01


def test_worlds_terminate_at_the_limits():
    world = train_world(walk(), TINY)
    found = {(limit["component"], limit["side"]): limit["value"] for limit in world.metadata["limits"]}
    assert found.keys() == {(0, "lower"), (0, "upper")}
    np.testing.assert_allclose([found[0, "lower"], found[0, "upper"]], [-1.0, 1.0], atol=0.02)
    assert world.metadata["errors"]["terminations"] == {"found": 1.0, "kept": 1.0}
    states = world.normaliser(np.array([[0.96, 0.9], [0.96, -0.9], [-0.96, -0.9]], np.float32))
    assert np.asarray(world.step(states, np.zeros((3, 1), np.float32)).terminated).tolist() == [True, False, True]


def test_networks_decide_where_no_limit_explains_the_ends():
    data = terminating_rows()
    ended = (data.next_observations**2).sum(axis=1) > 1.0
    data = dataclasses.replace(data, terminations=ended, truncations=data.truncations & ~ended)
    world = train_world(data, dataclasses.replace(TINY, steps=600, learning_rate=1e-2))
    assert world.metadata["limits"] == []
    errors = world.metadata["errors"]["terminations"]
    assert errors["found"] > 0.8
    assert errors["kept"] > 0.8
