"""The loss of students in rollouts in a world model, and students as functions that solvers give."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_table, random_teacher
from test_solvers import SMALL, finite_differences, problem

from potstill.data.transitions import Normaliser
from potstill.distillation import (
    SOLVERS,
    KernelDescent,
    OuterSettings,
    PolicyCloning,
    Portfolio,
    RolloutGap,
    Schedule,
    optimise_pairs,
)
from potstill.errors import PotstillError
from potstill.students import Pairs

KEY = jax.random.key(3)
TEACHER = random_teacher(states=2, actions=1)


def make_batch(states):
    return random_table(len(states), 2, 1)._replace(states=jnp.asarray(states, jnp.float32), value_scale=jnp.array(2.0))


def move_right(states):
    return jnp.full((len(states), 1), 0.3)


def to_double(found, *names):
    """A copy of a frozen object whose arrays under these names are float64."""
    for name in names:
        first, _, rest = name.partition(".")
        part = getattr(found, first)
        if rest:
            changed = to_double(part, rest)
        elif first == "scaling":
            normaliser = Normaliser(*(np.asarray(x, np.float64) for x in (part.normaliser.mean, part.normaliser.scale)))
            changed = dataclasses.replace(part, normaliser=normaliser)
        else:
            changed = jax.tree.map(lambda x: np.asarray(x, np.float64), part)
        found = dataclasses.replace(found, **{first: changed})
    return found


def play_by_hand(world, act, states, teacher, steps, discount):
    """J of each state, by single steps and Python's own sums."""
    outer = teacher.normaliser
    inner = world.normaliser(outer.invert(np.asarray(states)))
    total, alive = np.zeros(len(states)), np.ones(len(states), bool)
    for step in range(steps):
        after = world.step_by_member(inner, act(jnp.asarray(outer(world.normaliser.invert(inner)))))
        total += alive * discount**step * np.asarray(after.rewards)
        inner, alive = np.asarray(after.states), alive & ~np.asarray(after.terminated)
    ends = jnp.asarray(outer(world.normaliser.invert(inner)))
    values = np.asarray(teacher.action_values(ends, teacher.act(ends))).min(axis=0)
    return total + discount**steps * alive * values, alive


class TestRolloutGap:
    def test_values_by_hand_with_terminations_and_another_standardisation(self, cliff_world):
        """The teacher's standardisation differs from the model's, and some of the rollouts terminate."""
        scaling = dataclasses.replace(
            TEACHER.policy.scaling,
            normaliser=Normaliser(np.array([0.2, -0.1], np.float32), np.array([1.5, 0.8], np.float32)),
        )
        teacher = dataclasses.replace(TEACHER, policy=dataclasses.replace(TEACHER.policy, scaling=scaling))
        states = np.linspace([-0.6, 0.2], [0.7, -0.3], 7, dtype=np.float32)
        found = RolloutGap(cliff_world, steps=4, discount=0.9).compute_values(
            move_right, jnp.asarray(states), teacher, None
        )
        wanted, alive = play_by_hand(cliff_world, move_right, states, teacher, 4, 0.9)
        np.testing.assert_allclose(found, wanted, atol=2e-5)
        assert alive.any()
        assert not alive.all()

    def test_loss_is_the_mean_of_what_states_lose(self, cliff_world):
        states = np.linspace([-0.6, 0.2], [0.7, -0.3], 7, dtype=np.float32)
        hesitate = lambda states: 0.4 * states[:, 1:]  # noqa: E731
        best, own = (play_by_hand(cliff_world, act, states[:5], TEACHER, 4, 0.99)[0] for act in (TEACHER.act, hesitate))
        found = RolloutGap(cliff_world, steps=4, states=5, weight=3.0)(hesitate, make_batch(states), TEACHER, KEY)
        assert (best > own).any()
        assert (best < own).any()  # a gain does not compensate a loss
        assert float(found) == pytest.approx(3.0 * np.maximum(best - own, 0.0).mean() / 2.0, rel=1e-4)

    def test_the_teacher_loses_nothing(self, cliff_world):
        batch = make_batch(np.linspace([-0.6, 0.2], [0.7, -0.3], 7))
        assert float(RolloutGap(cliff_world, steps=6)(TEACHER.act, batch, TEACHER, KEY)) == 0.0

    def test_noise_is_drawn_for_each_rollout_and_shared_with_the_teacher(self, cliff_world):
        states, loss = jnp.zeros((500, 2)), RolloutGap(cliff_world, steps=3, states=500, noise=0.4)
        noise = loss.draw_noise(KEY, 500, 1)
        assert noise.shape == (3, 500, 1)
        assert float(noise.std()) == pytest.approx(0.4 / 3**0.5, rel=0.1)  # a uniform spread has the mean square 1/3
        assert float(loss(TEACHER.act, make_batch(states), TEACHER, KEY)) == 0.0
        found = loss.compute_values(move_right, states, TEACHER, noise)
        moved = [np.clip(0.3 + np.asarray(part), -1.0, 1.0) for part in noise]
        act = iter(moved)
        wanted, _ = play_by_hand(cliff_world, lambda _: next(act), states, TEACHER, 3, 0.99)
        np.testing.assert_allclose(found, wanted, atol=2e-5)

    def test_gradient_in_the_pairs(self, x64, linear_world):
        pairs = Pairs(jnp.array([[0.3, -0.2], [-0.8, 0.5], [0.9, 1.1]]), jnp.array([[0.5], [-0.3], [0.8]]))
        states = jnp.asarray(np.linspace([-0.6, 0.2], [0.7, -0.3], 4))
        solver, teacher = KernelDescent(SMALL), to_double(TEACHER, "policy.layers", "policy.scaling", "critics")
        loss = RolloutGap(to_double(linear_world, "dynamics", "scaling"), steps=3)

        def measure(pairs):
            return solver.measure_student(
                lambda act: jnp.sum(loss.compute_values(act, states, teacher, None)), pairs, KEY
            )

        found, wanted = jax.jit(jax.grad(measure))(pairs), finite_differences(measure, pairs)
        np.testing.assert_allclose(found.states, wanted.states, rtol=2e-5, atol=1e-7)
        np.testing.assert_allclose(found.actions, wanted.actions, rtol=2e-5, atol=1e-7)

    def test_the_outer_loop_lowers_it(self, linear_world):
        """Pairs of a teacher that is cloned with the weight 0: only the rollouts can move them."""
        batch = make_batch(np.random.default_rng(0).normal(size=(64, 2)))
        rollout = RolloutGap(linear_world, steps=3, weight=10.0)
        solver, pairs = KernelDescent(SMALL), Pairs(batch.states[:8], -jnp.sign(TEACHER.act(batch.states[:8])))

        def measure(pairs):
            return float(solver.measure_student(lambda act: rollout(act, batch, TEACHER, KEY), pairs, KEY))

        *_, last = optimise_pairs(
            pairs,
            batch._replace(weights=jnp.zeros(64)),
            TEACHER,
            objective=PolicyCloning(),
            solver=solver,
            schedule=Schedule(steps=30),
            settings=OuterSettings(batch=32),
            rollout=rollout,
            key=KEY,
        )
        assert measure(last.pairs) < 0.5 * measure(pairs)

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"steps": 0}, r"RolloutGap.steps 0"),
            ({"states": 0}, r"RolloutGap.states 0"),
            ({"weight": -1.0}, r"RolloutGap.weight -1"),
            ({"weight": float("inf")}, r"RolloutGap.weight inf"),
            ({"noise": -0.1}, r"RolloutGap.noise -0.1"),
            ({"discount": 1.5}, r"RolloutGap.discount 1.5: expected at most 1"),
            ({"world": "runs/w"}, r"RolloutGap.*world"),
        ],
    )
    def test_refused_fields(self, linear_world, fields, message):
        options: dict[str, Any] = {"world": linear_world, **fields}
        with pytest.raises(PotstillError, match=message):
            RolloutGap(**options)

    def test_without_a_teacher(self, linear_world):
        with pytest.raises(PotstillError, match="RolloutGap requires a teacher with action values"):
            RolloutGap(linear_world)(move_right, make_batch(np.zeros((2, 2))), None, KEY)


@pytest.mark.parametrize("name", SOLVERS)
def test_students_as_functions_have_the_actions_of_the_solver(x64, name):
    """Every solver: the student that is measured acts as the solver says, with the same gradient."""
    pairs, queries = problem()
    solver = SOLVERS[name]() if name == "portfolio" else SOLVERS[name](SMALL)
    solver = (
        Portfolio(dataclasses.replace(solver.recipe, steps=5, width=8, towers=1)) if name == "portfolio" else solver
    )
    measured = jax.value_and_grad(
        lambda p: solver.measure_student(lambda act: jnp.sum(jnp.sin(3.0 * act(queries))), p, KEY)
    )
    direct = jax.value_and_grad(lambda p: jnp.sum(jnp.sin(3.0 * solver(p, queries, KEY))))
    (found, slope), (wanted, wanted_slope) = jax.jit(measured)(pairs), jax.jit(direct)(pairs)
    np.testing.assert_allclose(found, wanted, rtol=1e-9)
    np.testing.assert_allclose(slope.states, wanted_slope.states, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(slope.actions, wanted_slope.actions, rtol=1e-6, atol=1e-9)
