"""The outer loop: averages over initialisations, stages of widths, and settings."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_table

import potstill
from potstill.distillation import (
    DataCloning,
    KernelDescent,
    OuterSettings,
    PolicyCloning,
    Schedule,
    Unroll,
    build_state_table,
    make_initial_pairs,
    optimise_pairs,
)
from potstill.distillation import outer_loop as module
from potstill.distillation.defaults import choose_default_action_limit
from potstill.distillation.initial_states import draw_random_states
from potstill.distillation.outer_loop import make_stages
from potstill.distillation.outer_loss import outer_loss
from potstill.errors import PotstillError
from potstill.runtime.devices import find_local_devices
from potstill.students import RECIPES, Pairs, Recipe

SMALL = Recipe(steps=5, width=8)
KEY = jax.random.key(0)


def test_the_outer_loss_is_the_mean_over_its_initialisations():
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.uniform(-0.9, 0.9, size=shape), jnp.float32)  # noqa: E731
    pairs = Pairs(draw(6, 3), draw(6, 2))
    problem = functools.partial(outer_loss, pairs, random_table(7), objective=PolicyCloning(), solver=Unroll(SMALL))
    loss = functools.partial(problem, teacher=None, mesh=find_local_devices())
    singly = [loss(part) for part in jax.random.split(KEY, 3)]
    np.testing.assert_allclose(loss(KEY, initialisations=3), np.mean(singly), rtol=1e-5)
    assert len({float(x) for x in singly}) == 3


def test_stages_of_widths():
    found = list(make_stages(Unroll(RECIPES["paper"]), Schedule(7), OuterSettings(widths=(64, 128))))
    assert [(stage.last, stage.solver.recipe.width) for stage in found] == [(2, 64), (4, 128), (None, 256)]
    assert [stage.solver for stage in make_stages(KernelDescent(), Schedule(7), OuterSettings())] == [KernelDescent()]
    assert KernelDescent().recipe == RECIPES["default"]


def test_widths_reach_the_students(monkeypatch, data):
    seen = []

    def update(objective, solver, teacher, settings, rollout, private):
        def note_width(state, *_):
            seen.append(solver.recipe.width)
            return state, {}

        return note_width

    monkeypatch.setattr(module, "make_update", update)
    table, settings = build_state_table(data, None), OuterSettings(widths=(8, 16))
    parts: dict[str, Any] = {
        "objective": DataCloning(),
        "solver": Unroll(),
        "schedule": Schedule(3),
        "settings": settings,
    }
    pairs = make_initial_pairs(table, 4, rng=np.random.default_rng(0))
    assert len(list(optimise_pairs(pairs, table, None, **parts, key=KEY))) == 4
    assert seen == [8, 16, RECIPES["default"].width]  # an equal share of the steps each


def test_initial_pairs_are_kept_without_an_objective(data):
    table = build_state_table(data, None)
    pairs = make_initial_pairs(table, 4, rng=np.random.default_rng(0))
    parts: dict[str, Any] = {"objective": None, "solver": KernelDescent(), "schedule": Schedule(0)}
    (only,) = optimise_pairs(pairs, table, None, **parts, key=KEY)
    assert (only.step, only.pairs, only.metrics) == (0, pairs, {})


def test_inputs_are_not_donated(data):
    """Updates donate their input, but not the caller's pairs and table, so that the same call can run again."""
    table = build_state_table(data, None)
    pairs = make_initial_pairs(table, 4, rng=np.random.default_rng(0))

    def run():
        parts: dict[str, Any] = {"objective": DataCloning(), "solver": Unroll(SMALL), "schedule": Schedule(2)}
        *_, last = optimise_pairs(pairs, table, None, **parts, settings=OuterSettings(batch=16), key=KEY)
        return np.concatenate([np.ravel(x) for x in last.pairs[:2]])

    np.testing.assert_array_equal(run(), run())


@pytest.mark.parametrize(("limit", "recipe", "furthest"), [(None, "paper", 2), (None, "plain", 1), (1.5, "plain", 1.5)])
def test_action_limits_of_pairs(data, limit, recipe, furthest):
    table = build_state_table(data, None)  # teacher and data agree that one action is at its bound everywhere
    actions = table.teacher_actions.at[:, 0].set(1.0)
    table = table._replace(teacher_actions=actions, actions=actions)
    pairs = make_initial_pairs(table, 8, draw_random_states, rng=np.random.default_rng(0))
    limit = choose_default_action_limit(RECIPES[recipe]) if limit is None else limit
    settings = OuterSettings(action_limit=limit, learning_rate=0.3)
    parts: dict[str, Any] = {
        "objective": DataCloning(),
        "solver": KernelDescent(RECIPES[recipe]),
        "schedule": Schedule(60),
    }
    *_, last = optimise_pairs(pairs, table, None, **parts, settings=settings, key=KEY)
    assert float(jnp.abs(last.pairs.actions).max()) == pytest.approx(furthest)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"batch": 0}, r"OuterSettings\.batch 0: expected at least 1"),
        ({"batch": "many"}, r"OuterSettings\.batch is 'many' \(str\): expected int"),
        ({"optimiser": "adma"}, r"unknown OuterSettings\.optimiser 'adma': did you mean 'adam'"),
        ({"learn": "weigths"}, "did you mean 'weights'"),
        ({"average": 1.5}, r"OuterSettings\.average 1\.5: expected a fraction"),
        ({"average": -0.1}, r"OuterSettings\.average -0\.1: expected at least"),
        ({"widths": (7,)}, r"OuterSettings\.widths \(7,\): expected even numbers"),
        ({"action_limit": 0.5}, r"OuterSettings\.action_limit 0\.5: expected at least 1"),
        ({"learning_rate": 0.0}, r"OuterSettings\.learning_rate 0\.0: expected at least"),
        ({"initialisations": 0}, r"OuterSettings\.initialisations 0: expected at least 1"),
    ],
)
def test_outer_settings_are_checked(unchecked, fields, message):
    with pytest.raises(PotstillError, match=message):
        OuterSettings(**fields)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"initialisations": 2}, "initialisations= and widths= require a solver that trains networks"),
        ({"widths": (8,)}, "initialisations= and widths= require a solver that trains networks"),
        ({"recipe": "adam", "solver": "kernel"}, "KernelDescent describes SGD on mean actions"),
        ({"learn": "both", "recipe": "adam", "solver": "unroll"}, "learn='both': Adam is invariant to a factor"),
        ({"devices": 64}, "devices=64: JAX has"),
    ],
)
def test_incompatible_settings_are_refused(tmp_path, options, message):
    assert jax.device_count() < 64  # starts JAX
    with pytest.raises(PotstillError, match=message):
        potstill.distill("hopper-medium-replay", out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
