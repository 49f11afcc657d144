"""The contract every objective inherits, the weights, and problems whose answer is known on paper."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_teacher

from potstill.config import DistillConfig
from potstill.distillation import outer_steps, tabulate
from potstill.errors import PotstillError
from potstill.objectives import OBJECTIVES, WEIGHTINGS, Batch, objective_named, q_gap, value_weights
from potstill.recipes import RECIPES, Recipe
from potstill.types import Transitions


def batch_of(teacher, rows=6, seed=0):
    rng = np.random.default_rng(seed)
    states = jnp.asarray(rng.normal(size=(rows, 3)))
    actions = jnp.asarray(rng.uniform(-0.9, 0.9, size=(rows, 2)))
    chosen = teacher.act(states)
    values = teacher.action_values(states, chosen).min(0)
    return Batch(states, actions, chosen, values, value_weights(values, "ranged"), jnp.maximum(values.std(), 1e-8))


@pytest.mark.parametrize("name", OBJECTIVES)
class TestEveryObjective:
    def test_gradient(self, x64, name):
        teacher = jax_teacher()
        batch = batch_of(teacher)
        actions = jnp.asarray(np.random.default_rng(1).uniform(-0.9, 0.9, size=(6, 2)))
        objective = lambda a: objective_named(name)(a, batch, teacher)  # noqa: E731
        found = jax.grad(objective)(actions)
        step = 1e-6
        for row, column in np.ndindex(6, 2):
            shift = jnp.zeros((6, 2)).at[row, column].set(step)
            wanted = (objective(actions + shift) - objective(actions - shift)) / (2 * step)
            np.testing.assert_allclose(found[row, column], wanted, rtol=1e-5, atol=1e-9)

    def test_least_at_what_it_imitates(self, x64, name):
        teacher = jax_teacher()
        batch = batch_of(teacher)
        best = batch.actions if name == "dbc" else batch.teacher_actions
        at_best = float(objective_named(name)(best, batch, teacher))
        assert at_best == pytest.approx(0.0, abs=1e-12)
        assert float(objective_named(name)(best * 0.5 + 0.1, batch, teacher)) > 0.0


def jax_teacher():
    teacher = random_teacher()
    double = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), tree)  # noqa: E731
    policy = dataclasses.replace(teacher.policy, layers=double(teacher.policy.layers))
    return dataclasses.replace(teacher, policy=policy, critics=double(teacher.critics))


def test_by_hand(teacher):
    batch = Batch(
        states=jnp.zeros((2, 3)),
        actions=jnp.array([[0.0, 0.5], [1.0, 0.0]]),
        teacher_actions=jnp.array([[0.0, 0.0], [0.5, 0.5]]),
        values=jnp.array([1.0, 2.0]),
        weights=jnp.array([0.5, 1.5]),
        value_scale=jnp.array(1.0),
    )
    student = jnp.zeros((2, 2))
    assert float(objective_named("dbc")(student, batch, teacher)) == pytest.approx((0.25 + 1.0) / 2)
    assert float(objective_named("pbc")(student, batch, teacher)) == pytest.approx((0.0 + 0.5) / 2)
    assert float(objective_named("av-pbc")(student, batch, teacher)) == pytest.approx((0.0 + 1.5 * 0.5) / 2)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_weights_are_never_negative_and_average_one(weighting):
    values = jnp.asarray(np.random.default_rng(0).normal(50.0, 100.0, size=500), jnp.float32)
    weights = value_weights(values, weighting)
    assert float(weights.min()) >= 0.0
    assert float(weights.mean()) == pytest.approx(1.0, rel=1e-4)
    order = jnp.argsort(values)
    assert bool((jnp.diff(weights[order]) >= 0).all())


def test_what_a_shift_of_the_reward_does():
    values = jnp.asarray(np.random.default_rng(0).normal(0.0, 10.0, size=200), jnp.float32)
    same = lambda name: np.allclose(value_weights(values, name), value_weights(values + 100.0, name), atol=1e-3)  # noqa: E731
    assert same("ranged")
    assert not same("clipped")


def test_reference_weights_let_negative_values_through():
    values = jnp.array([-10.0, 20.0])
    np.testing.assert_allclose(value_weights(values, "reference"), [-0.2, 0.4], rtol=1e-6)


def test_all_negative_values_fall_back_to_uniform():
    np.testing.assert_array_equal(value_weights(jnp.array([-3.0, -1.0]), "clipped"), [1.0, 1.0])


def test_the_gap_is_unmoved_by_a_shift_of_the_critics(teacher):
    batch = batch_of(teacher)
    student = jnp.zeros((6, 2)) + 0.3
    shifted = [dict(layer) for layer in teacher.critics]
    shifted[-1]["bias"] = shifted[-1]["bias"] + 50.0
    moved = dataclasses.replace(teacher, critics=shifted)
    moved_batch = batch._replace(values=batch.values + 50.0)
    assert float(q_gap(student, batch, teacher)) == pytest.approx(float(q_gap(student, moved_batch, moved)), rel=1e-3)


def test_unknown_names():
    with pytest.raises(PotstillError, match="did you mean 'av-pbc'"):
        objective_named("avpbc")
    with pytest.raises(PotstillError, match="did you mean 'clipped'"):
        value_weights(jnp.ones(2), "cliped")


class LinearTeacher:
    """π*(s) = tanh(W s): what a one-layer student can represent exactly."""

    weight = jnp.array([[0.6, -0.3], [0.2, 0.5], [-0.4, 0.1]], jnp.float32)

    def __init__(self, normaliser):
        self.normaliser = normaliser

    def act(self, states):
        return jnp.tanh(states @ self.weight)

    def sample(self, states, key):
        return self.act(states)

    def action_values(self, states, actions):
        return (states[..., 0] - jnp.sum((actions - self.act(states)) ** 2, -1))[None]


NOISE = 0.1


def linear_gaussian(rows=4000):
    """Gaussian states; actions are the linear teacher's with noise of standard deviation 0.1."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(rows, 3)).astype(np.float32)
    mean = np.tanh(states @ np.asarray(LinearTeacher.weight)) * 0.7
    actions = (mean + NOISE * rng.normal(size=mean.shape)).clip(-1, 1).astype(np.float32)
    one = np.ones(2, np.float32)
    flags = np.zeros(rows, bool)
    return Transitions(states, actions, flags.astype(np.float32), states, flags, flags, -one, one)


@pytest.mark.parametrize("objective", ["pbc", "av-pbc", "q-gap"])
def test_linear_gaussian_teacher_is_recovered(monkeypatch, objective):
    """A one-layer student's kernel is exact, and its best distillate has loss 0: π = π*."""
    monkeypatch.setitem(RECIPES, "linear", Recipe(steps=200, learning_rate=0.3, momentum=0.5, layers=1))
    data = linear_gaussian()
    teacher = LinearTeacher(data.normaliser)
    config = DistillConfig("x", objective=objective, recipe="linear", size=8, steps=150, batch=256, weighting="ranged")
    *_, (_, pairs, figures) = outer_steps(config, tabulate(data, teacher, "ranged"), teacher)
    assert float(figures["loss"]) < 2e-4
    # the trained student itself is the teacher, weight by weight
    from potstill.clone import train

    trained = train(jax.random.key(0), pairs, dataclasses.replace(RECIPES["linear"], steps=2000))
    np.testing.assert_allclose(trained[0]["weight"], teacher.weight, atol=0.03)


def test_linear_gaussian_dbc_stops_at_the_noise(monkeypatch):
    """Cloning noisy actions can do no better than their variance: E‖ε‖² = 2 × 0.1²."""
    monkeypatch.setitem(RECIPES, "linear", Recipe(steps=200, learning_rate=0.3, momentum=0.5, layers=1))
    data = linear_gaussian()
    config = DistillConfig("x", objective="dbc", recipe="linear", size=8, steps=200, batch=4000, initial_actions="data")
    *_, (_, _, figures) = outer_steps(config, tabulate(data, None, "clipped"), None)
    # 0.7 tanh(W s) is almost, not wholly, tanh of a linear map: allow a fifth above the floor
    assert 0.95 * 2 * NOISE**2 < float(figures["loss"]) < 1.2 * 2 * NOISE**2
