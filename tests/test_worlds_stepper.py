"""World models as environments: steps, initial states, and returns of policies."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from linear import REWARD, A, B

from potstill.errors import PotstillError
from potstill.worlds import WorldStepper, measure_imagined_returns
from potstill.worlds.dynamics import predict
from potstill.worlds.returns import compute_imagined_returns


class TestStepper:
    def test_steps_are_predictions(self, cliff_world):
        stepper = WorldStepper(cliff_world)
        first = stepper.reset(np.arange(6))
        scaling = cliff_world.scaling
        states, actions = scaling.normaliser(first), np.linspace(-1, 1, 6, dtype=np.float32)[:, None]
        lanes = np.array([0, 2, 5])
        steps = stepper.step(lanes, actions[lanes])
        wanted = predict(cliff_world.dynamics, jnp.asarray(states), jnp.asarray(actions))
        np.testing.assert_allclose(scaling.normaliser(steps.observations), np.asarray(wanted.states)[lanes], atol=1e-5)
        np.testing.assert_allclose(steps.rewards, np.asarray(wanted.rewards)[lanes], atol=1e-5)
        np.testing.assert_array_equal(steps.terminated, np.asarray(wanted.terminated)[lanes])
        assert not steps.truncated.any()
        np.testing.assert_allclose(stepper.states[[1, 3, 4]], states[[1, 3, 4]], atol=1e-5)  # lanes that rest

    def test_seeds_choose_first_states(self, linear_world):
        stepper = WorldStepper(linear_world)
        first = stepper.reset(np.array([3, 3, 4]))
        np.testing.assert_array_equal(first[0], first[1])
        assert (first[0] != first[2]).any()
        stepper.step(np.arange(3), np.zeros((3, 1), np.float32))
        np.testing.assert_array_equal(stepper.restart(1, 4), first[2])
        own = WorldStepper(linear_world, np.zeros((1, 2), np.float32)).reset(np.arange(2))
        np.testing.assert_allclose(own, np.stack([linear_world.normaliser.mean] * 2))

    def test_no_initial_states(self, linear_world):
        with pytest.raises(PotstillError, match="expected at least one state"):
            WorldStepper(linear_world, np.zeros((0, 2), np.float32))

    def test_actions_beyond_their_bounds_are_clipped(self, linear_world):
        stepper = WorldStepper(linear_world)
        stepper.reset(np.zeros(3, int))
        steps = stepper.step(np.arange(3), np.array([[1.0], [0.0], [7.0]], np.float32))
        np.testing.assert_array_equal(steps.observations[0], steps.observations[2])  # of the same member


class TestImaginedReturns:
    def test_return_by_hand(self, linear_world):
        """With s′ = A s + B a and a = −0.5 s[0], the return is a sum of products."""
        found = measure_imagined_returns(linear_world, lambda s: -0.5 * s[:, :1], 3, steps=5, seed=2)
        wanted = []
        for seed in (6, 7, 8):
            start = linear_world.starts[np.random.default_rng(seed).integers(len(linear_world.starts))]
            state, total = linear_world.normaliser.invert(start.astype(np.float64)), 0.0
            for _ in range(5):
                action = np.clip(-0.5 * state[:1], -1.0, 1.0)
                total += np.concatenate([state, action]) @ REWARD + 1.0
                state = A @ state + B @ action
            wanted.append(total)
        np.testing.assert_allclose(found, wanted, atol=5e-3)

    def test_episodes_end_by_termination(self, cliff_world):
        steps = []

        def forward(states):
            steps.append(len(states))
            return np.ones((len(states), 1), np.float32)

        assert measure_imagined_returns(cliff_world, forward, 4).shape == (4,)
        assert len(steps) < 20  # not 1,000, the default of an unknown environment

    def test_the_default_time_limit_is_the_environments(self, linear_world):
        steps = []

        def still(states):
            steps.append(1)
            return np.zeros((len(states), 1), np.float32)

        limited = dataclasses.replace(linear_world, metadata={**linear_world.metadata, "env_id": "Pendulum-v1"})
        measure_imagined_returns(limited, still, 2)
        assert len(steps) == 200
        unknown = dataclasses.replace(linear_world, metadata={**linear_world.metadata, "env_id": "NotInstalled-v7"})
        measure_imagined_returns(unknown, still, 2)
        assert len(steps) == 1_200

    @pytest.mark.parametrize("given", [{"episodes": 0}, {"steps": 0}])
    def test_zero_episodes_or_steps_are_refused(self, linear_world, given):
        with pytest.raises(PotstillError, match=rf"{next(iter(given))} 0: expected at least 1"):
            measure_imagined_returns(linear_world, lambda s: s[:, :1], **given)


def test_compiled_returns_are_those_of_the_stepper(cliff_world):
    """Episode i has member i, in a compiled loop and step by step."""
    starts = np.linspace([-0.5, 0.1], [0.9, -0.2], 6, dtype=np.float32)
    act = lambda states: 0.5 * states[:, :1]  # noqa: E731
    found = compute_imagined_returns(cliff_world.dynamics, act, jnp.asarray(starts), 7)
    states, alive, expected = jnp.asarray(starts), np.ones(6, bool), np.zeros(6)
    for _ in range(7):
        after = cliff_world.step_by_member(states, act(states))
        expected += alive * np.asarray(after.rewards)
        states, alive = after.states, alive & ~np.asarray(after.terminated)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not alive.all()


def test_members_take_turns(linear_world):
    states, actions = np.zeros((4, 2), np.float32), np.zeros((4, 1), np.float32)
    members = len(linear_world.dynamics.layers[0]["weight"])
    found = np.asarray(linear_world.step_by_member(states, actions).states)
    np.testing.assert_array_equal(found[0], found[members])
    mean = np.asarray(linear_world.step(states, actions).states)
    np.testing.assert_allclose(found[:members].mean(axis=0), mean[0], atol=1e-6)
    assert (found[0] != found[1]).any()
