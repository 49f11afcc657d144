"""The model of the dynamics, and where the teacher goes in it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_algorithms import PULL, PUSH, Linear, lqr_answer, lqr_logs

import potstill
from potstill import distillation, imagination
from potstill.errors import PotstillError
from potstill.imagination import Dynamics, advance, fit, imagined_states, roll_out
from potstill.types import Normaliser


@pytest.fixture(scope="module")
def logs():
    return lqr_logs()


def test_it_learns_dynamics_that_are_known(logs):
    states, actions, after = (jnp.asarray(x) for x in (logs.observations, logs.actions, logs.next_observations))
    model = fit(states, actions, after, jax.random.key(0), 1500)
    inside = np.abs(np.asarray(PULL * states + PUSH * actions)) < 1.5
    error = np.abs(np.asarray(advance(model, states, actions) - (PULL * states + PUSH * actions)))[inside]
    assert error.mean() < 0.01 * float(jnp.std(after - states))


def exact(size=1):
    """f(s, a) = −0.1 s + 0.5 a, as one linear layer: the step of the logs."""
    weight = jnp.concatenate([(PULL - 1.0) * jnp.eye(size), PUSH * jnp.eye(size)])
    return Dynamics([{"weight": weight, "bias": jnp.zeros(size)}], jnp.ones(size))


def test_paths_follow_the_teacher_and_end_at_the_edge():
    k, _ = lqr_answer()
    starts = jnp.array([[0.5], [-1.0], [3.0]])
    low, high = -2.0 * jnp.ones(1), 2.0 * jnp.ones(1)
    teacher = Linear(Normaliser.identity(1), k)
    states, inside = roll_out(exact(), teacher, starts, low, high, 4)
    s = np.array([0.5, -1.0])
    for step in range(4):
        s = PULL * s + PUSH * np.clip(-k * s, -1.0, 1.0)
        np.testing.assert_allclose(states[step, :2, 0], s, rtol=1e-5)
    np.testing.assert_array_equal(inside[:, :2], True)
    # 3 → 0.9 · 3 − 0.5 = 2.2, outside: what comes after does not count, wherever it goes
    np.testing.assert_array_equal(inside[:, 2], False)
    assert np.isfinite(states).all()


def test_imagined_states_lie_within_the_data_and_come_from_the_seed(logs):
    teacher = Linear(logs.normaliser, lqr_answer()[0])
    first, again, other = (imagined_states(logs, teacher, 300, 5, seed) for seed in (0, 0, 1))
    assert first.shape == (300, 1)
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    seen = logs.normaliser(logs.observations)
    assert seen.min() <= first.min() <= first.max() <= seen.max()


def test_a_teacher_that_leaves_at_once_is_said(logs, monkeypatch):
    far = lambda model, states, actions: states + 1e3  # noqa: E731
    monkeypatch.setattr(imagination, "advance", far)
    with pytest.raises(PotstillError, match="--imagined 0"):
        imagined_states(logs, Linear(logs.normaliser, 0.1), 10, 2, 0)


def test_the_table_has_the_teachers_word_on_imagined_states(logs):
    teacher = Linear(logs.normaliser, lqr_answer()[0])
    imagined = np.array([[0.25], [-0.5]], np.float32)
    table = distillation.tabulate(logs, teacher, "ranged", imagined)
    assert len(table.states) == len(table.actions) == len(table.values) == len(logs) + 2
    np.testing.assert_allclose(table.teacher_actions[-2:], teacher.act(jnp.asarray(imagined)), rtol=1e-6)
    np.testing.assert_array_equal(table.actions[-2:], table.teacher_actions[-2:])
    np.testing.assert_array_equal(table.actions[:-2], distillation.tabulate(logs, teacher, "ranged").actions)


@pytest.mark.parametrize(("share", "horizon"), [(1.0, 5), (-0.1, 5), (0.5, 0)])
def test_what_cannot_be_asked(share, horizon):
    with pytest.raises(PotstillError, match="is needed"):
        potstill.distill("hopper-medium-replay", imagined=share, horizon=horizon)
