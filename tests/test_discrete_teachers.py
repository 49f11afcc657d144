# mypy: disable-error-code="arg-type"
"""Teachers of discrete actions, their evaluation, and kinds of actions that do not match."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_teacher
from finite import ACTIONS, finite_columns, finite_teacher, signs
from test_discrete import finite_problem
from test_solvers import KEY

import potstill
from potstill.data.bounds import DiscreteActions
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser
from potstill.distillation.objectives.cloning import compute_all_values
from potstill.distillation.visits import Visits
from potstill.environments import play
from potstill.environments.rollouts.gymnasium import GymnasiumStepper
from potstill.errors import PotstillError
from potstill.networks.policy import Policy
from potstill.students import Recipe
from potstill.students.training import train_network
from potstill.teachers import Bc, CalQl, Iql, Rebrac, Training, find_teacher, load_teacher, train_teacher
from potstill.teachers.evaluation.fqe import make_pessimistic_evaluator
from potstill.teachers.rows import load_with_returns
from potstill.worlds import WorldSettings, train_world

SMALL = Recipe(steps=7, momentum=0.9, width=16, layers=3, learning_rate=0.05, loss="cross-entropy")


@pytest.mark.parametrize(
    "algorithm",
    [Bc(learning_rate=1e-3, best_episodes=0.3), Iql(learning_rate=1e-3), CalQl(alpha=0.1, policy_learning_rate=1e-3)],
    ids=["bc", "iql", "cal-ql"],
)
def test_teachers_learn_a_problem_with_a_known_answer(algorithm):
    """The policy takes the best action; the critics give it a value of 1, and 0 to the others."""
    data = signs()
    teacher = train_teacher(data, algorithm, Training(updates=600, batch=128, discount=0.5))
    states = np.array([[-1.2], [0.0], [1.2]], np.float32)
    np.testing.assert_array_equal(teacher.policy(states), [0, 1, 2])
    assert teacher.metadata["algorithm"] == algorithm.name
    values = compute_all_values(jnp.asarray(teacher.normaliser(states)), teacher, ACTIONS)
    np.testing.assert_array_equal(np.argmax(values, -1), [0, 1, 2])
    np.testing.assert_allclose(values[::2], np.eye(ACTIONS)[::2], atol=0.35)
    both = teacher.action_values(jnp.asarray(teacher.normaliser(states)), jnp.full((3, ACTIONS), 1 / ACTIONS))
    np.testing.assert_allclose(both.min(0), np.asarray(values).mean(-1), atol=0.1)


def test_fitted_evaluation_of_a_discrete_policy():
    """In the bandit, the teacher that knows the best action has a value near 1, its opposite one near 0."""
    data = signs(600)
    rows, training = load_with_returns(data, 0.5), Training(batch=64, discount=0.5)
    know = lambda best: dataclasses.replace(finite_teacher(states=1), policy=known_policy(data, best))  # noqa: E731
    values = [make_pessimistic_evaluator(rows, data, training)(know(best), 60) for best in (True, False)]
    assert values[0] == pytest.approx(1.0, abs=0.25)
    assert values[1] < 0.35


def known_policy(data, best):
    """Logits −(s + 1)², −s², −(s − 1)² up to a common term: the best action or, with the other sign, the worst one."""
    sign = 20.0 if best else -20.0
    scale = data.normaliser
    layer = {
        "weight": sign * np.array([[-1.0, 0.0, 1.0]], np.float32),
        "bias": sign * np.array([-0.5, 0, -0.5], np.float32),
    }
    return Policy([layer], Scaling(Normaliser(0 * scale.mean, np.ones(1)), DiscreteActions(ACTIONS)), "softmax")


def test_kinds_of_actions_must_match(data, tmp_path):
    """A discrete dataset with a continuous teacher, and the reverse: one line each."""
    finite = potstill.load_dataset(finite_columns(states=3), actions="discrete")
    with pytest.raises(PotstillError, match="the teacher takes continuous actions, but the actions of arrays are disc"):
        find_teacher(random_teacher(states=3, actions=3), "x", finite)
    with pytest.raises(PotstillError, match="takes discrete actions, but the actions of small are continuous"):
        find_teacher(finite_teacher(states=3), "x", data)
    path = finite_teacher().save(tmp_path / "t.safetensors")
    assert load_teacher(path).policy.action_bounds == DiscreteActions(ACTIONS)
    with pytest.raises(
        PotstillError, match="rebrac learns continuous actions: for discrete actions, choose algorithm="
    ):
        train_teacher(finite, Rebrac(), Training(updates=2))
    with pytest.raises(PotstillError, match="world models of discrete actions are not supported"):
        train_world(finite, WorldSettings())
    with pytest.raises(PotstillError, match="but those of the teacher are discrete"):
        Visits(GymnasiumStepper("CartPole-v1", 1), finite_teacher())


def test_rollouts_take_numbers():
    left = lambda observations: np.zeros(len(observations), np.int64)  # noqa: E731
    assert play(left, "CartPole-v1", np.arange(3)).max() < 15
    with pytest.raises(PotstillError, match="cross-entropy, without samples"):
        Recipe(sampled=True).fit_to_actions(discrete=True)
    assert train_network(KEY, finite_problem()[0], SMALL)[-1]["bias"].shape == (ACTIONS,)
