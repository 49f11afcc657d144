from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest

from potstill import environments
from potstill.environments.making import check_spaces, find_action_bounds
from potstill.environments.rollouts.mujoco import TASKS
from potstill.environments.rollouts.playing import make_stepper
from potstill.errors import PotstillError


def wobble(size):
    return lambda observations: np.tanh(np.stack([np.sin(3.0 * observations[:, j] + j) for j in range(size)], 1))


@pytest.mark.parametrize("env_id", sorted(TASKS))
def test_batched_stepper_matches_gymnasium(env_id):
    """Observations, rewards and ends agree step by step, up to and beyond the first terminations."""
    low, _ = find_action_bounds(env_id)
    seeds = np.arange(6)
    fast, slow = (make_stepper(env_id, 6, batched=b) for b in (True, False))
    left, right = fast.reset(seeds), slow.reset(seeds)
    np.testing.assert_array_equal(left, right)
    active, fell = np.arange(6), 0
    for _ in range(60):
        actions = wobble(len(low))(right)[active]
        a, b = fast.step(active, actions), slow.step(active, actions)
        np.testing.assert_allclose(a[0], b[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(a[1], b[1], rtol=1e-4, atol=1e-4)
        np.testing.assert_array_equal(a[2:], b[2:])
        right[active] = b[0]
        fell += int(b[2].sum())
        active = active[~b[2]]
        if not len(active):
            break
    assert fell or "Cheetah" in env_id


def test_other_environments_are_rolled_out():
    returns = environments.play(lambda o: np.zeros((len(o), 1)), "Pendulum-v1", np.arange(3))
    assert returns.shape == (3,)
    assert len(set(returns.tolist())) == 3  # each lane has its own start
    assert (returns < 0).all()


def test_same_seeds_same_returns():
    first, second = (environments.play(wobble(3), "Hopper-v5", np.arange(4)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_refused_environments():
    with pytest.raises(PotstillError, match="did you mean 'Hopper-v"):
        environments.make("Hoppr-v5")
    moved = SimpleNamespace(
        spec=None,
        observation_space=gymnasium.spaces.Box(-1, 1, (2,)),
        action_space=gymnasium.spaces.Discrete(3, start=1),
    )
    with pytest.raises(PotstillError, match="actions 1 to 3: expected at least two, numbered from 0"):
        check_spaces(moved)
    space = lambda bound: gymnasium.spaces.Box(-bound, bound, (2,))  # noqa: E731
    unbounded = SimpleNamespace(spec=None, observation_space=space(1.0), action_space=space(np.inf))
    with pytest.raises(PotstillError, match="unbounded actions: expected finite bounds"):
        check_spaces(unbounded)


def test_environments_are_made_silently(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    for env_id in sorted(TASKS):  # HalfCheetah's model writes a warning to a file
        environments.make(env_id).close()
    assert capfd.readouterr().err == ""
    assert list(tmp_path.iterdir()) == []


def test_reference_scores():
    assert environments.normalised_return(-20.272305, "Hopper-v5") == pytest.approx(0.0)
    assert environments.normalised_return(12135.0, "HalfCheetah-v4") == pytest.approx(100.0)
    assert environments.normalised_return(7.0, "Pendulum-v1") == pytest.approx(7.0)
