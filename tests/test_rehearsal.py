"""Networks that learn tasks in turn: what they remember, and how forgetting is measured."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from potstill.data.scaling import Scaling
from potstill.errors import PotstillError
from potstill.students import Pairs, Recipe
from potstill.tasks import append_task, compute_forgetting, learn_in_turn

RECIPE = Recipe(steps=150, width=16, layers=3, optimiser="adam", learning_rate=1e-2)
SCALING = Scaling.identity(4, 1)


def make_rows(task, rows=64):
    """Rows of two tasks that need opposite actions in the same states."""
    states = np.random.default_rng(0).normal(size=(rows, 2)).astype(np.float32)
    actions = 0.7 * np.tanh(states[:, :1]) * (-1.0) ** task
    return Pairs(jnp.asarray(append_task(states, task, 2)), jnp.asarray(actions, jnp.float32))


def measure_errors(students, pairs):
    """The mean squared error of each student."""
    states = np.tile(np.asarray(pairs.states), (len(students), 1))
    actions = students.act_separately(states).reshape(len(students), -1)
    return np.square(actions - np.asarray(pairs.actions)[:, 0]).mean(axis=1)


def test_memory_prevents_forgetting():
    rows, seeds = [make_rows(0), make_rows(1)], [0, 1]
    each = [Pairs(rows[0].states[k : k + 8], rows[0].actions[k : k + 8]) for k in (0, 8)]
    errors = {}
    for name, memory in {"none": [], "one": each[:1], "each": each, "all": rows[:1]}.items():
        first, second = learn_in_turn(rows, [memory, []], seeds, RECIPE, SCALING, batch=16)
        assert (measure_errors(first, rows[0]) < 0.02).all()
        assert (measure_errors(second, rows[1]) < 0.02).all()
        errors[name] = measure_errors(second, rows[0])
    assert (errors["all"] < 0.02).all()
    for name in ("one", "each"):
        assert (errors[name] < 0.5 * errors["none"]).all(), name


def test_networks_depend_on_their_seed_and_memory_only():
    rows, memory = [make_rows(0), make_rows(1)], [make_rows(0, 4)]
    both = learn_in_turn(rows, [memory * 2, []], [3, 4], RECIPE, SCALING, batch=8)
    alone = learn_in_turn(rows, [memory, []], [4], RECIPE, SCALING, batch=8)
    for together, own in zip(both, alone, strict=True):
        states = make_rows(0).states
        found, wanted = together.make_policy(1)(states), own.make_policy(0)(states)
        np.testing.assert_allclose(found, wanted, atol=1e-3)
    assert not np.allclose(both[1].make_policy(0)(states), both[1].make_policy(1)(states), atol=1e-2)


def test_forgetting_by_hand():
    returns = np.array([[80.0, 1e9, 1e9], [90.0, 50.0, 1e9], [30.0, 60.0, 70.0]])
    assert compute_forgetting(returns) == ((90.0 - 30.0) + (50.0 - 60.0)) / 2
    with pytest.raises(PotstillError, match="1 tasks: expected at least two"):
        compute_forgetting(np.ones((1, 1)))


def test_forgetting_of_a_record(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1])
    from benchmarks.pages.rehearsal import compute_average, compute_losses

    record = {"scores": [[[90.0, 80.0]], [[30.0, 70.0], [60.0, 50.0]]]}  # after each task × in each task × networks
    assert compute_losses(record).tolist() == [60.0, 10.0]
    assert compute_average(record).tolist() == [45.0, 60.0]


def test_wrong_memories_get_one_line():
    rows = [make_rows(0), make_rows(1)]
    weighted = Pairs(rows[0].states, rows[0].actions, jnp.ones(64))
    for tasks, memories, message in (
        ([], [], "0 tasks, 3 seeds"),
        (rows, [[]], "1 memories for 2 tasks"),
        (rows, [rows, []], "2 memories of a task: expected 0, 1 or 3"),
        (rows, [[rows[0], rows[0], make_rows(0, 3)], []], "different sizes"),
        (rows, [[weighted], []], "pairs with weights are not supported"),
    ):
        with pytest.raises(PotstillError, match=message):
            learn_in_turn(tasks, memories, [0, 1, 2], RECIPE, SCALING)
    with pytest.raises(PotstillError, match="task 2: expected a number from 0 to 1"):
        append_task(np.ones((1, 2)), 2, 2)
