"""The students' learning rate is stable on the initial pairs, which may lie far from most states of the data."""

import dataclasses

import numpy as np
import pytest

from potstill.commands.resolve import resolve_problem
from potstill.config import DistillConfig
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Transitions
from potstill.students.recipe import RECIPES


def make_log(far: int) -> Transitions:
    """Rows near the origin, and ``far`` of 5,000 that are a hundred times as far away."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(5_000, 3)).astype(np.float32)
    states[rng.choice(5_000, far, replace=False)] *= 100.0
    count = len(states)
    ends = np.arange(count) % 50 == 49
    return Transitions(
        states, np.zeros((count, 1), np.float32), rng.normal(size=count).astype(np.float32), states,
        np.zeros(count, bool), ends, action_bounds=ActionBounds.unit(1),
    )  # fmt: skip


@pytest.mark.parametrize("initial", ["k-means", "diverse"])
def test_far_states_lower_the_learning_rate(initial, capsys):
    config = DistillConfig("x", states="data", objective="dbc", initial=initial, size=16)
    usual = RECIPES["default"].learning_rate
    found = resolve_problem(config).resolve_defaults(make_log(20), None).solver.recipe
    assert found == dataclasses.replace(RECIPES["default"], learning_rate=found.learning_rate)
    assert found.learning_rate < usual
    assert "would not be stable" in capsys.readouterr().out
    assert resolve_problem(config).resolve_defaults(make_log(0), None).solver.recipe.learning_rate == usual
