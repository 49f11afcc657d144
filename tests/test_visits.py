"""Visits: rollouts of the teacher and the students, the table of visited states, and their use in the outer loop."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_table

from potstill.distillation import (
    KernelDescent,
    OuterSettings,
    PolicyCloning,
    Schedule,
    Visits,
    VisitSettings,
    build_state_table,
    make_initial_pairs,
    optimise_pairs,
)
from potstill.environments.rollouts.stepper import Steps
from potstill.errors import PotstillError
from potstill.students import Pairs, Recipe

SMALL = Recipe(steps=7, momentum=0.9, width=16, learning_rate=0.05)
FEW = VisitSettings(lanes=5, horizon=8, every=3, rows=600)


class Counter:
    """A stepper with the states (seed of the lane, number of steps, last action). Some lanes end early."""

    def __init__(self, ends=None):
        self.ends = ends or {}  # lane -> step after which it terminates
        self.taken = []

    def reset(self, seeds):
        self.states = np.zeros((len(seeds), 3), np.float32)
        self.states[:, 0] = 1e-3 * np.arange(len(seeds))
        self.seeds = seeds
        return self.states.copy()

    def restart(self, lane, seed):
        raise AssertionError("lanes are not restarted")

    def step(self, lanes, actions):
        self.taken.append((lanes.copy(), actions.copy()))
        self.states[lanes, 1] += 0.01
        self.states[lanes, 2] = actions[:, 0]
        steps = np.rint(100 * self.states[lanes, 1])
        ended = np.array([self.ends.get(int(lane)) == step for lane, step in zip(lanes, steps, strict=True)])
        none = np.zeros(len(lanes), bool)
        return Steps(self.states[lanes].copy(), none.astype(np.float32), ended, none)


def roll_out_with(teacher, settings=FEW, seed=0, ends=None):
    stepper = Counter(ends)
    visits = Visits(stepper, teacher, settings, seed)
    return visits, stepper


@pytest.fixture
def pairs():
    table = random_table()
    return Pairs(table.states[:6], table.teacher_actions[:6])


class TestRollouts:
    def test_teacher_is_rolled_out_first(self, teacher):
        visits, stepper = roll_out_with(teacher, dataclasses.replace(FEW, teacher_noise=0.0))
        visits.start(random_table())
        assert [len(states) for states in visits.rollouts] == [5 * 8]
        assert visits.survived == [1.0]
        first = np.zeros((5, 3), np.float32)
        first[:, 0] = 1e-3 * np.arange(5)
        np.testing.assert_allclose(visits.rollouts[0][:5], first)
        np.testing.assert_allclose(stepper.taken[0][1], teacher.act(jnp.asarray(first)), atol=1e-6)

    def test_the_teacher_acts_first_in_some_lanes(self, teacher, pairs):
        settings = dataclasses.replace(FEW, lanes=4, teacher_noise=0.0, student_noise=0.0, led=0.5)
        visits, stepper = roll_out_with(teacher, settings)
        visits.start(random_table())
        del stepper.taken[:]
        visits.extend(random_table(), KernelDescent(SMALL), pairs)
        lead = np.zeros(4, int)
        lead[2:] = np.random.default_rng([0, 1, 2]).integers(8, size=2)
        assert lead.max() > 0
        assert len(visits.rollouts[0]) == 4 * 8  # those of the teacher are whole
        counted = visits.rollouts[1]
        lanes = np.rint(1e3 * counted[:, 0]).astype(int)
        assert np.bincount(lanes, minlength=4).tolist() == (8 - lead).tolist()
        before = np.zeros((4, 3), np.float32)
        before[:, 0] = 1e-3 * np.arange(4)
        acts = np.asarray(teacher.act(jnp.asarray(before)))
        first = stepper.taken[0][1]
        np.testing.assert_allclose(first[lead > 0], acts[lead > 0], atol=1e-6)
        assert np.abs(first[:2] - acts[:2]).max() > 0.01  # the student

    def test_the_first_rollout_is_computed_once(self, teacher):
        visits, _ = roll_out_with(teacher)
        first, again = (visits.start(random_table()) for _ in range(2))
        assert len(visits.rollouts) == 1
        np.testing.assert_array_equal(first.states, again.states)

    def test_each_lane_has_its_own_noise(self, teacher):
        long = dataclasses.replace(FEW, lanes=40, horizon=60, teacher_noise=0.2)
        visits, stepper = roll_out_with(teacher, long)
        visits.start(random_table())
        own = visits.rollouts[0].reshape(60, 40, 3)
        noise = np.stack([a for _, a in stepper.taken]) - np.stack([teacher.act(jnp.asarray(s)) for s in own])
        spread = noise.std(axis=(0, 2))
        assert spread.max() < 0.26
        assert spread.min() < 0.05
        assert 0.06 < spread.mean() < 0.14

    def test_rollouts_stop_at_terminations(self, teacher):
        visits, stepper = roll_out_with(teacher, ends={0: 2, 3: 5})
        visits.start(random_table())
        assert len(visits.rollouts[0]) == 2 + 5 + 3 * 8
        assert visits.survived == [3 / 5]
        assert [len(lanes) for lanes, _ in stepper.taken] == [5, 5, 4, 4, 4, 3, 3, 3]
        visits, stepper = roll_out_with(teacher, ends=dict.fromkeys(range(5), 2))
        visits.start(random_table())
        assert len(stepper.taken) == 2
        assert visits.survived == [0.0]

    def test_students_are_rolled_out_when_due(self, teacher):
        visits, _ = roll_out_with(teacher)
        assert [step for step in range(1, 10) if visits.is_due(step)] == [3, 6, 9]
        never, _ = roll_out_with(teacher, dataclasses.replace(FEW, every=0))
        assert not any(map(never.is_due, range(100)))

    def test_student_of_the_pairs_is_rolled_out(self, teacher, pairs):
        visits, stepper = roll_out_with(teacher, dataclasses.replace(FEW, student_noise=0.0, led=0.0))
        visits.start(random_table())
        visits.extend(random_table(), KernelDescent(SMALL), pairs)
        states = jnp.asarray(visits.rollouts[1][:5])
        wanted = KernelDescent(SMALL)(pairs, states, jax.random.key(0))
        np.testing.assert_allclose(stepper.taken[8][1], wanted, atol=1e-5)

    def test_each_rollout_has_its_own_seeds(self, teacher, pairs):
        visits, stepper = roll_out_with(teacher)
        visits.start(random_table())
        first = set(stepper.seeds.tolist())
        visits.extend(random_table(), KernelDescent(SMALL), pairs)
        assert len(first | set(stepper.seeds.tolist())) == 10


class TestTables:
    def test_rows_and_labels(self, teacher):
        visits, _ = roll_out_with(teacher)
        table = visits.start(random_table()._replace(value_scale=jnp.asarray(3.0)))
        assert all(len(column) == 600 for name, column in table._asdict().items() if name != "value_scale")
        assert float(table.value_scale) == 3.0
        np.testing.assert_allclose(table.teacher_actions, teacher.act(table.states), atol=1e-6)
        np.testing.assert_array_equal(table.actions, table.teacher_actions)
        values = teacher.action_values(table.states, table.teacher_actions).T
        np.testing.assert_allclose(table.critic_values, values, atol=1e-5)
        np.testing.assert_array_equal(table.weights, np.ones(600))
        visited = {row.tobytes() for row in visits.rollouts[0]}
        assert {row.tobytes() for row in np.asarray(table.states)} == visited  # all of these few

    def test_rollouts_have_equal_shares(self, teacher, pairs):
        visits, _ = roll_out_with(teacher, ends={0: 1, 1: 1, 2: 1, 3: 1})  # of different lengths
        visits.start(random_table())
        for _ in range(3):
            table = visits.extend(random_table(), KernelDescent(SMALL), pairs)
        assert table.states.shape == (600, 3)
        quarters = np.asarray(table.states).reshape(4, 150, 3)
        for states, quarter in zip(visits.rollouts, quarters, strict=True):
            assert {row.tobytes() for row in quarter} <= {row.tobytes() for row in states}

    @pytest.mark.parametrize("opening", [0.0, 0.5, 1.0])
    def test_share_of_the_first_steps(self, teacher, opening):
        few = dataclasses.replace(FEW, opening=opening, opening_steps=2)
        visits, _ = roll_out_with(teacher, few)
        steps = np.rint(100 * np.asarray(visits.start(random_table()).states)[:, 1])  # 0 to 7, equally many of each
        early = np.mean(steps < 2)
        assert early == 1.0 if opening == 1.0 else abs(early - (opening + (1 - opening) / 4)) < 0.06

    def test_more_rollouts_than_rows(self, teacher, pairs):
        visits, _ = roll_out_with(teacher, dataclasses.replace(FEW, rows=2))
        visits.start(random_table())
        for _ in range(3):
            table = visits.extend(random_table(), KernelDescent(SMALL), pairs)
        assert table.states.shape == (2, 3)

    def test_same_seed_same_table(self, teacher, pairs):
        def last(seed):
            visits, _ = roll_out_with(teacher, seed=seed)
            visits.start(random_table())
            return np.asarray(visits.extend(random_table(), KernelDescent(SMALL), pairs).states)

        assert last(0).tobytes() == last(0).tobytes() != last(1).tobytes()


def run(data, teacher, visits=None, steps=7, **settings):
    table = build_state_table(data, teacher)
    pairs = make_initial_pairs(table, 6, rng=np.random.default_rng(0))
    parts: dict[str, Any] = {"objective": PolicyCloning(), "solver": KernelDescent(SMALL), "schedule": Schedule(steps)}
    key = jax.random.key(0)
    outer = OuterSettings(**{"batch": 32, **settings})
    return list(optimise_pairs(pairs, table, teacher, **parts, settings=outer, visits=visits, key=key))


class TestOuterLoop:
    def test_the_loss_is_that_of_visited_states(self, data, teacher):
        """All visited states are equal, so that the first loss can be computed by hand."""
        one = dataclasses.replace(FEW, lanes=1, horizon=1, rows=9)
        visits, _ = roll_out_with(teacher, one)
        first, second, *_ = run(data, teacher, visits)
        state = jnp.zeros((1, 3))
        wanted = jnp.sum((KernelDescent(SMALL)(first.pairs, state, jax.random.key(0)) - teacher.act(state)) ** 2)
        assert float(second.metrics["loss"]) == pytest.approx(float(wanted), rel=1e-4)
        assert float(second.metrics["loss"]) != float(run(data, teacher)[1].metrics["loss"])

    def test_students_are_rolled_out_every_few_steps(self, data, teacher):
        visits, _ = roll_out_with(teacher)
        assert [iterate.step for iterate in run(data, teacher, visits)] == list(range(8))
        assert len(visits.rollouts) == 3  # of the teacher, and after steps 3 and 6

    def test_same_key_same_pairs(self, data, teacher):
        first, second = (run(data, teacher, roll_out_with(teacher)[0])[-1].pairs for _ in range(2))
        np.testing.assert_array_equal(first.states, second.states)
        np.testing.assert_array_equal(first.actions, second.actions)

    @pytest.mark.parametrize("average", [0.0, 0.5])
    def test_labels_of_the_teacher(self, data, teacher, average):
        found = run(data, teacher, steps=15, batch=256, labels="teacher", average=average)
        for iterate in found:
            np.testing.assert_allclose(iterate.pairs.actions, teacher.act(iterate.pairs.states), atol=1e-6)
        assert float(jnp.abs(found[-1].pairs.states - found[0].pairs.states).max()) > 0.1
        assert float(found[-1].metrics["loss"]) < float(found[1].metrics["loss"])

    def test_labels_of_the_teacher_from_the_first_pairs_on(self, data, teacher):
        table = build_state_table(data, teacher)
        pairs = make_initial_pairs(table, 6, actions="data", rng=np.random.default_rng(0))
        parts: dict[str, Any] = {"objective": PolicyCloning(), "solver": KernelDescent(SMALL), "schedule": Schedule(2)}
        settings = OuterSettings(batch=32, labels="teacher", learn="both", polish=1)
        for iterate in optimise_pairs(pairs, table, teacher, **parts, settings=settings, key=jax.random.key(0)):
            np.testing.assert_allclose(iterate.pairs.actions, teacher.act(iterate.pairs.states), atol=1e-6)

    def test_learned_actions_are_not_the_teachers(self, data, teacher):
        pairs = run(data, teacher)[-1].pairs
        assert float(jnp.abs(pairs.actions - teacher.act(pairs.states)).max()) > 1e-3

    def test_labels_need_a_teacher(self, data):
        with pytest.raises(PotstillError, match=r"OuterSettings\.labels 'teacher' requires a teacher"):
            run(data, None, labels="teacher")

    def test_unknown_labels(self, unchecked):
        with pytest.raises(PotstillError, match=r"OuterSettings\.labels.*'teacher'"):
            OuterSettings(labels="teachers")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lanes": 0}, r"VisitSettings\.lanes 0: expected at least 1"),
        ({"horizon": 0}, r"VisitSettings\.horizon 0"),
        ({"every": -1}, r"VisitSettings\.every -1"),
        ({"teacher_noise": -0.1}, r"VisitSettings\.teacher_noise -0\.1"),
        ({"student_noise": "none"}, r"VisitSettings\.student_noise is 'none' \(str\): expected float"),
        ({"rows": 0}, r"VisitSettings\.rows 0"),
        ({"opening": -0.1}, r"VisitSettings\.opening -0\.1"),
        ({"opening": 1.5}, r"VisitSettings\.opening 1\.5: expected a share, at most 1"),
        ({"led": 1.0}, r"VisitSettings\.led 1\.0: expected a share below 1"),
        ({"opening_steps": 0}, r"VisitSettings\.opening_steps 0"),
    ],
)
def test_settings_are_checked(unchecked, changes, message):
    with pytest.raises(PotstillError, match=message):
        VisitSettings(**changes)
