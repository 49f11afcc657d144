"""The outer loop: what an outer step averages over, and whose students it trains when."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from potstill.commands.distill import distill
from potstill.config import DistillConfig, UnrollConfig
from potstill.config.settings import command_line, from_saved
from potstill.distillation import outer_loop as distillation
from potstill.distillation.objectives import Batch
from potstill.distillation.outer_loop import outer_loss, stages
from potstill.distillation.schedule import Pace
from potstill.distillation.state_table import tabulate
from potstill.errors import PotstillError
from potstill.runtime.devices import own
from potstill.students.recipe import RECIPES, Recipe
from potstill.students.training import Pairs

SMALL = Recipe(steps=5, width=8)


def test_the_outer_loss_is_the_mean_over_its_starts():
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.uniform(-0.9, 0.9, size=shape), jnp.float32)  # noqa: E731
    pairs = Pairs(draw(6, 3), draw(6, 2))
    batch = Batch(draw(7, 3), draw(7, 2), draw(7, 2), draw(7, 1), draw(7), jnp.ones(()))
    config = DistillConfig("x", solver="unroll", objective="pbc")

    def loss(starts, key):
        settings = dataclasses.replace(config, starts=starts)
        return outer_loss(pairs, batch, key, config=settings, recipe=SMALL, teacher=None, mesh=own())

    key = jax.random.key(0)
    singly = [loss(1, part) for part in jax.random.split(key, 3)]
    np.testing.assert_allclose(loss(3, key), np.mean(singly), rtol=1e-5)
    assert len({float(x) for x in singly}) == 3


def test_small_students_first_the_recipe_last():
    found = list(stages(DistillConfig("x", recipe="paper", widths=(64, 128)), Pace(7)))
    assert [(stage.last, stage.recipe.width) for stage in found] == [(2, 64), (4, 128), (None, 256)]
    assert [stage.recipe for stage in stages(DistillConfig("x"), Pace(7))] == [RECIPES["default"]]


def test_the_widths_reach_the_students(monkeypatch, data):
    seen = []

    def update(config, recipe, teacher):
        return lambda state, *_: seen.append(recipe.width) or (state, {})

    monkeypatch.setattr(distillation, "make_update", update)
    config = DistillConfig("x", size=4, steps=3, solver="unroll", objective="dbc", widths=(8, 16))
    table = tabulate(data, None)
    assert len(list(distillation.outer_steps(config, table, None))) == 4
    assert seen == [8, 16, RECIPES["default"].width]  # an equal share of the steps each


@pytest.mark.parametrize(("asked", "recipe", "furthest"), [(None, "paper", 2), (None, "plain", 1), (1.5, "plain", 1.5)])
def test_pairs_aim_no_further_than_their_students_need(data, asked, recipe, furthest):
    table = tabulate(data, None)  # teacher and data agree that one action is at its bound everywhere
    actions = table.teacher_actions.at[:, 0].set(1.0)
    table = table._replace(teacher_actions=actions, actions=actions)
    config = DistillConfig(
        "x", size=8, steps=60, objective="dbc", recipe=recipe, action_limit=asked, initial="random", learning_rate=0.3
    )
    *_, (_, pairs, _) = distillation.outer_steps(config, table, None)
    assert float(jnp.abs(pairs.actions).max()) == pytest.approx(furthest)


def test_settings_of_the_unroll_survive_a_command_and_a_file():
    config = DistillConfig("x", widths=(64, 128), unroll=UnrollConfig(window=5, random_window=True))
    assert command_line("distill", config) == (
        "potstill distill x --unroll.window 5 --unroll.random-window --widths 64 128"
    )
    saved = {"dataset": "x", "widths": [64, 128], "unroll": {"window": 5, "random_window": True}}
    assert from_saved(DistillConfig, saved) == config


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unroll": UnrollConfig(window=301), "solver": "unroll"}, "--unroll.window 301: students of this recipe"),
        ({"starts": 2}, "--starts and --widths are of networks"),
        ({"widths": (8,)}, "--starts and --widths are of networks"),
        ({"recipe": "adam"}, "--solver kernel follows SGD on mean actions"),
        ({"devices": 64}, "--devices 64: JAX has"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path, settings, message):
    assert jax.device_count() < 64  # starts JAX
    with pytest.raises(PotstillError, match=message):
        distill("hopper-medium-replay", out=tmp_path / "run", **settings)
    assert not (tmp_path / "run").exists()


def test_a_random_window_needs_a_window():
    with pytest.raises(PotstillError, match="needs --unroll"):
        UnrollConfig(random_window=True)
    with pytest.raises(PotstillError, match="--widths 7: even numbers"):
        DistillConfig("x", widths=(7,))
