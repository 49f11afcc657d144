"""The contract of every objective, and problems with a known answer."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_teacher

from potstill.commands.resolve import resolve_weighting
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser, Transitions
from potstill.distillation import (
    OBJECTIVES,
    ActionValueCloning,
    DataCloning,
    KernelDescent,
    Objective,
    OuterSettings,
    PolicyCloning,
    QGap,
    Schedule,
    StateTable,
    build_state_table,
    make_initial_pairs,
    optimise_pairs,
)
from potstill.distillation.objectives import q_gap, weighted_loss
from potstill.distillation.objectives.gap import QGapEach, QGapMean
from potstill.errors import PotstillError
from potstill.students import Recipe
from potstill.students.training import train_network


def batch_of(teacher, rows=6, seed=0):
    rng = np.random.default_rng(seed)
    states = jnp.asarray(rng.normal(size=(rows, 3)))
    actions = jnp.asarray(rng.uniform(-0.9, 0.9, size=(rows, 2)))
    chosen = teacher.act(states)
    values = teacher.action_values(states, chosen).T
    weights = jnp.linspace(0.5, 1.5, rows).astype(states.dtype)
    return StateTable(states, actions, chosen, values, weights, jnp.maximum(values.min(-1).std(), 1e-8))


def make_objective(name):
    """A registered objective: an instance of a class, or the function itself."""
    found = OBJECTIVES[name]
    return found() if isinstance(found, type) else found


@pytest.mark.parametrize("objective", [make_objective(name) for name in OBJECTIVES], ids=list(OBJECTIVES))
class TestEveryObjective:
    def test_gradient(self, x64, objective):
        teacher = jax_teacher()
        batch = batch_of(teacher)
        actions = jnp.asarray(np.random.default_rng(1).uniform(-0.9, 0.9, size=(6, 2)))
        loss = lambda a: weighted_loss(objective, a, batch, teacher)  # noqa: E731
        found = jax.grad(loss)(actions)
        step = 1e-6
        for row, column in np.ndindex(6, 2):
            shift = jnp.zeros((6, 2)).at[row, column].set(step)
            wanted = (loss(actions + shift) - loss(actions - shift)) / (2 * step)
            np.testing.assert_allclose(found[row, column], wanted, rtol=1e-5, atol=1e-9)

    def test_zero_at_the_imitated_action(self, x64, objective):
        teacher = jax_teacher()
        batch = batch_of(teacher)
        best = batch.teacher_actions if getattr(objective, "needs_teacher", True) else batch.actions
        at_best = objective(best, batch, teacher)
        assert at_best.shape == (6,)
        np.testing.assert_allclose(at_best, 0.0, atol=1e-12)
        assert float(weighted_loss(objective, best * 0.5 + 0.1, batch, teacher)) > 0.0

    def test_loss_of_a_state_is_independent_of_others(self, x64, objective):
        """The loss of a state does not depend on other states."""
        teacher = jax_teacher()
        batch = batch_of(teacher)
        actions = batch.actions * 0.7
        moved = objective(actions.at[2].add(0.2), batch, teacher) - objective(actions, batch, teacher)
        np.testing.assert_array_equal(np.delete(moved, 2), 0.0)

    def test_weights_multiply_the_loss(self, x64, objective):
        teacher = jax_teacher()
        batch = batch_of(teacher)
        alone = batch._replace(weights=jnp.zeros(6).at[1].set(6.0))
        actions = batch.actions * 0.7
        wanted = objective(actions, batch, teacher)[1]
        assert float(weighted_loss(objective, actions, alone, teacher)) == pytest.approx(float(wanted))

    def test_works_without_a_teacher_if_declared(self, x64, objective):
        teacher = jax_teacher()
        batch = batch_of(teacher)
        if not getattr(objective, "needs_teacher", True):
            found = objective(batch.actions * 0.7, batch, None)
            np.testing.assert_array_equal(found, objective(batch.actions * 0.7, batch, teacher))

    def test_its_default_weighting_is_known(self, objective):
        assert callable(resolve_weighting(getattr(objective, "default_weighting", "uniform")))


def jax_teacher():
    teacher = random_teacher()
    double = lambda tree: jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), tree)  # noqa: E731
    policy = dataclasses.replace(teacher.policy, layers=double(teacher.policy.layers))
    return dataclasses.replace(teacher, policy=policy, critics=double(teacher.critics))


def test_cloning_losses_by_hand(teacher):
    batch = StateTable(
        states=jnp.zeros((2, 3)),
        actions=jnp.array([[0.0, 0.5], [1.0, 0.0]]),
        teacher_actions=jnp.array([[0.0, 0.0], [0.5, 0.5]]),
        critic_values=jnp.array([[1.0, 3.0], [4.0, 2.0]]),
        weights=jnp.array([0.5, 1.5]),
        value_scale=jnp.array(1.0),
    )
    student = jnp.zeros((2, 2))
    np.testing.assert_array_equal(batch.values, [1.0, 2.0])
    np.testing.assert_allclose(DataCloning()(student, batch, teacher), [0.25, 1.0])
    np.testing.assert_allclose(PolicyCloning()(student, batch, teacher), [0.0, 0.5])
    assert float(weighted_loss(ActionValueCloning(), student, batch, teacher)) == pytest.approx(1.5 * 0.5 / 2)


def test_av_pbc_is_pbc_with_weights_of_value(teacher):
    batch = batch_of(teacher)
    student = batch.actions * 0.7
    np.testing.assert_array_equal(
        ActionValueCloning()(student, batch, teacher), PolicyCloning()(student, batch, teacher)
    )
    assert ActionValueCloning().default_weighting == "ranged"
    assert PolicyCloning().default_weighting == QGap().default_weighting == "uniform"


class TwoCritics:
    """Critics with the values 10 − |a| and 12 − 4 |a|."""

    def action_values(self, states, actions):
        size = jnp.abs(actions).sum(-1)
        return jnp.stack([10.0 - size, 12.0 - 4.0 * size])

    def act(self, states):
        return jnp.zeros((len(states), 1))

    def sample(self, states, key):
        return self.act(states)

    normaliser = Normaliser.identity(1)


def test_combinations_of_critics():
    """The values are 9 and 8 at |a| = 1, and 10 and 12 at a = 0, so the gaps are 1 and 4."""
    values, zero = jnp.array([[10.0, 12.0]]), jnp.zeros((1, 1))
    batch = StateTable(zero, zero, zero, values, jnp.ones(1), jnp.array(2.0))
    student, teacher = jnp.ones((1, 1)), TwoCritics()
    gaps: dict[Literal["min", "mean", "each"], float] = {
        "min": (10.0 - 8.0) / 2,
        "mean": (1.0 + 4.0) / 2 / 2,
        "each": 4.0 / 2,
    }
    for critics, gap in gaps.items():
        assert float(q_gap(student, batch, teacher, critics)[0]) == pytest.approx(gap)
        # |a| = 1 where the teacher's is 0: a squared distance of 1
        objective = QGap(critics=critics, weight=3.0)
        assert float(objective(student, batch, teacher)[0]) == pytest.approx(1.0 + 3.0 * gap)
    assert float(q_gap(student, batch, teacher)[0]) == pytest.approx(gaps["min"])
    named = [float(kind(weight=3.0)(student, batch, teacher)[0]) for kind in (QGap, QGapMean, QGapEach)]
    assert named == pytest.approx([1.0 + 3.0 * gap for gap in gaps.values()])


@pytest.mark.parametrize("critics", ["min", "mean", "each"])
class TestEveryGap:
    def test_invariant_to_a_shift_of_the_critics(self, teacher, critics):
        batch = batch_of(teacher)
        student = jnp.zeros((6, 2)) + 0.3
        shifted = [dict(layer) for layer in teacher.critics]
        shifted[-1]["bias"] = shifted[-1]["bias"] + 50.0
        moved = dataclasses.replace(teacher, critics=shifted)
        moved_batch = batch._replace(critic_values=batch.critic_values + 50.0)
        before, after = q_gap(student, batch, teacher, critics), q_gap(student, moved_batch, moved, critics)
        np.testing.assert_allclose(before, after, rtol=1e-3, atol=1e-4)

    def test_higher_values_than_the_teachers_are_not_rewarded(self, critics):
        values, one = jnp.array([[9.0, 8.0]]), jnp.ones((1, 1))
        batch = StateTable(jnp.zeros((1, 1)), one, one, values, jnp.ones(1), jnp.array(2.0))
        assert float(q_gap(jnp.zeros((1, 1)), batch, TwoCritics(), critics)[0]) == 0.0

    def test_needs_critics(self, teacher, critics):
        for gap in (q_gap, QGap(critics=critics)):
            with pytest.raises(PotstillError, match="the Q-gap requires a teacher with action values"):
                gap(jnp.zeros((6, 2)), batch_of(teacher), None)


def test_unknown_objective():
    with pytest.raises(PotstillError, match="did you mean 'av-pbc'"):
        OBJECTIVES["avpbc"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"weight": -1.0}, r"QGap\.weight -1\.0: expected at least 0"),
        ({"weight": "much"}, r"QGap\.weight is 'much' \(str\): expected float"),
        ({"critics": "least"}, r"unknown QGap\.critics 'least'"),
    ],
)
def test_settings_are_checked(unchecked, fields, message):
    with pytest.raises(PotstillError, match=message):
        QGap(**fields)


def test_custom_objectives(teacher):
    """A frozen dataclass with a ``__call__`` is enough, and so is a function."""

    @dataclasses.dataclass(frozen=True)
    class Huber(Objective):
        width: float = 0.1

        def __call__(self, student_actions, batch, teacher):
            errors = jnp.abs(student_actions - batch.teacher_actions)
            return jnp.where(errors < self.width, 0.5 * errors**2, self.width * (errors - 0.5 * self.width)).sum(-1)

    batch = batch_of(teacher)
    found = weighted_loss(Huber(width=100.0), batch.actions, batch, teacher)
    assert float(found) == pytest.approx(0.5 * float(weighted_loss(PolicyCloning(), batch.actions, batch, teacher)))
    absolute = lambda actions, batch, teacher: jnp.abs(actions - batch.teacher_actions).sum(-1)  # noqa: E731
    wanted = (batch.weights * jnp.abs(batch.actions - batch.teacher_actions).sum(-1)).mean()
    assert float(weighted_loss(absolute, batch.actions, batch, teacher)) == pytest.approx(float(wanted))


class LinearTeacher:
    """π*(s) = tanh(W s), which a one-layer student can represent exactly."""

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
    return Transitions(states, actions, flags.astype(np.float32), states, flags, flags, ActionBounds.unit(len(one)))


LINEAR = Recipe(steps=200, learning_rate=0.3, momentum=0.5, layers=1)


def last_of(table, teacher, objective, steps, batch, actions="teacher"):
    pairs = make_initial_pairs(table, 8, actions=actions, rng=np.random.default_rng(0))
    parts = {"objective": objective, "solver": KernelDescent(LINEAR), "schedule": Schedule(steps)}
    settings = OuterSettings(batch=batch)
    *_, last = optimise_pairs(pairs, table, teacher, **parts, settings=settings, key=jax.random.key(0))
    return last


@pytest.mark.parametrize(
    "objective", [PolicyCloning(), ActionValueCloning(), QGap(), QGapMean(), QGapEach()], ids=lambda x: type(x).__name__
)
def test_linear_gaussian_teacher_is_recovered(objective):
    """A one-layer student's kernel is exact, and its best distillate has loss 0: π = π*."""
    data = linear_gaussian()
    teacher = LinearTeacher(data.normaliser)
    table = build_state_table(data, teacher, resolve_weighting(objective.default_weighting))
    last = last_of(table, teacher, objective, steps=150, batch=256)
    assert float(last.metrics["loss"]) < 2e-4
    # the trained student itself is the teacher, weight by weight
    trained = train_network(jax.random.key(0), last.pairs, dataclasses.replace(LINEAR, steps=2000))
    np.testing.assert_allclose(trained[0]["weight"], teacher.weight, atol=0.03)


def test_linear_gaussian_dbc_stops_at_the_noise():
    """Cloning noisy actions can do no better than their variance: E‖ε‖² = 2 × 0.1²."""
    table = build_state_table(linear_gaussian(), None)
    last = last_of(table, None, DataCloning(), steps=200, batch=4000, actions="data")
    # 0.7 tanh(W s) is not exactly the tanh of a linear map: allow 20 % above the minimum
    assert 0.95 * 2 * NOISE**2 < float(last.metrics["loss"]) < 1.2 * 2 * NOISE**2
