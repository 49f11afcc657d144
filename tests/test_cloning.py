"""Behavioural cloning step by step, the step of convergence, and the posture of robots."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from potstill.environments import make
from potstill.environments.posture import has_posture, measure_posture
from potstill.errors import PotstillError
from potstill.students.cloning import CloningSettings, clone_dataset, find_convergence, trace_student
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs, bc_loss, train_networks

SMALL = Recipe(width=16, layers=3, steps=12, momentum=0.9)


def draw_pairs(count, seed=0):
    """States, and a smooth function of them as actions."""
    states = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    return Pairs(jnp.asarray(states), jnp.asarray(0.5 * np.tanh(states[:, :2] + states[:, 1:])))


def test_cloning_lowers_the_held_out_loss_and_measures_it_where_it_should():
    held = draw_pairs(64, seed=1)
    recipe = Recipe(width=16, layers=3, optimiser="adam", learning_rate=3e-3)
    trace = clone_dataset(draw_pairs(500), held, recipe, CloningSettings(updates=130, batch=32, every=50), seed=2)
    assert [step for step, _ in trace.losses] == [0, 50, 100, 130]
    assert trace.losses[-1][1] < 0.3 * trace.losses[0][1]
    params = jax.tree.map(lambda leaf: leaf[0], trace.params)
    assert trace.losses[-1][1] == pytest.approx(float(bc_loss(params, held)), rel=1e-5)
    assert trace.seconds > 0.0


def test_a_traced_student_is_the_student_that_training_gives():
    pairs, held = draw_pairs(20), draw_pairs(30, seed=1)
    trace = trace_student(pairs, held, SMALL, seed=5)
    wanted = train_networks(jax.vmap(jax.random.key)(jnp.array([5])), pairs, SMALL)
    for found, right in zip(jax.tree.leaves(trace.params), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-6)
    assert [step for step, _ in trace.losses] == list(range(13))
    params = jax.tree.map(lambda leaf: leaf[0], trace.params)
    assert trace.losses[-1][1] == pytest.approx(float(bc_loss(params, held)), rel=1e-5)


def test_diverging_training_is_an_error():
    broken = Pairs(jnp.full((4, 3), jnp.nan), jnp.zeros((4, 2)))
    with pytest.raises(PotstillError, match=r"cloning diverged before step 1: lower the learning rate 0\.1"):
        trace_student(broken, draw_pairs(5), SMALL)
    with pytest.raises(PotstillError, match="updates 0"):
        CloningSettings(updates=0)


def test_convergence_is_the_first_step_within_five_percent_of_the_lowest_loss():
    assert find_convergence([(0, 2.0), (10, 1.06), (20, 1.05), (30, 1.0), (40, 1.5)]) == 20
    assert find_convergence([(0, 1.0), (10, 1.0)]) == 0
    assert find_convergence([(0, 2.0), (10, 1.0)], tolerance=1.0) == 0
    with pytest.raises(PotstillError, match="at least one"):
        find_convergence([])


@pytest.mark.parametrize(
    ("env_id", "height", "length", "actions"),
    [("Hopper-v5", 1.25, 11, 3), ("Walker2d-v5", 1.25, 17, 6), ("HalfCheetah-v5", 0.0, 17, 6)],
)
def test_errors_of_posture_are_distances_from_the_upright_one(env_id, height, length, actions):
    states = np.zeros((3, length), np.float32)
    states[:, 0], states[:, 1] = height, (0.0, 0.3, -2.0 * np.pi + 0.1)
    states[1, 0] -= 0.2
    errors = measure_posture(env_id, states, np.zeros((3, actions), np.float32))
    np.testing.assert_allclose(errors.height[:, 0], [0.0, 0.2, 0.0], atol=1e-6)
    np.testing.assert_allclose(errors.angle[:, 0], [0.0, 0.3, 0.1], atol=1e-6)
    assert (errors.height[:, 1] != errors.height[:, 0]).any()


def test_the_step_is_that_of_the_environment():
    env = make("Hopper-v5")
    state = env.reset(seed=3)[0].astype(np.float32)
    action = np.array([0.5, -0.2, 9.0], np.float32)  # beyond the bounds: clipped
    errors = measure_posture("Hopper-v5", state[None], action[None])
    env.unwrapped.set_state(np.concatenate([[0.0], state[:5]]), state[5:].astype(np.float64))
    after = env.unwrapped.step(np.clip(action, -1.0, 1.0))[0]
    env.close()
    assert errors.height[0, 1] == pytest.approx(abs(after[0] - 1.25))
    assert errors.angle[0, 1] == pytest.approx(abs(after[1]))


def test_other_environments_have_no_posture():
    assert not has_posture("Pendulum-v1")
    with pytest.raises(PotstillError, match="Pendulum-v1: the posture is known only for Hopper"):
        measure_posture("Pendulum-v1", np.zeros((1, 3), np.float32), np.zeros((1, 1), np.float32))
