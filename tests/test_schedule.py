"""The number of outer steps and their learning rates."""

from __future__ import annotations

import json
import shlex
import time

import jax.numpy as jnp
import numpy as np
import pytest

import potstill
from potstill.cli import main
from potstill.config import DistillConfig
from potstill.distillation import (
    Schedule,
)
from potstill.distillation.schedule import LEAST_RATE, MAX_STEPS, OBSERVE_EVERY, RATE_FACTOR
from potstill.errors import PotstillError
from potstill.students import Pairs

PAIRS = Pairs(jnp.zeros((2, 1)), jnp.zeros((2, 1)))
FALLS = int(np.ceil(np.log(LEAST_RATE) / np.log(RATE_FACTOR)))  # observations without a gain until the loop ends


def rates_of(schedule: Schedule) -> list[float]:
    """The learning rates of all steps."""
    schedule.observe(0, PAIRS)
    rates: list[float] = []
    while schedule.continues(len(rates) + 1):
        rates.append(schedule.compute_rate(len(rates) + 1))
        schedule.observe(len(rates), PAIRS)
    return rates


def test_given_steps_have_a_cosine_schedule():
    np.testing.assert_allclose(
        rates_of(Schedule(4)), [1.0, 0.5 + 0.25 * np.sqrt(2), 0.5, 0.5 - 0.25 * np.sqrt(2)], rtol=1e-6
    )
    assert rates_of(Schedule(3, decays=False)) == [1.0, 1.0, 1.0]
    assert rates_of(Schedule(0)) == []


def test_rate_is_halved_on_a_plateau():
    losses = iter([1.0, 0.9, 0.8, *[0.8] * 50])
    schedule = Schedule(None, lambda _: next(losses))
    rates = rates_of(schedule)
    assert len(rates) == (2 + FALLS) * OBSERVE_EVERY
    assert rates[: 3 * OBSERVE_EVERY] == [1.0] * (3 * OBSERVE_EVERY)
    np.testing.assert_allclose(rates[3 * OBSERVE_EVERY], RATE_FACTOR)
    assert min(rates) >= LEAST_RATE
    assert list(schedule.losses) == list(range(0, len(rates) + 1, OBSERVE_EVERY))
    assert schedule.summarise(len(rates))["how"] == "converged"


def test_a_budget_does_not_raise_the_largest_number_of_steps():
    schedule = Schedule(None, lambda _: 1.0, budget=1e6, max_steps=9)
    schedule.fit_budget(lambda: None)
    assert (schedule.steps, schedule.max_steps) == (None, 9)


def test_falling_loss_ends_at_max_steps():
    losses = iter(0.98 ** np.arange(1000))
    schedule = Schedule(None, lambda _: next(losses))
    assert rates_of(schedule) == [1.0] * MAX_STEPS
    assert schedule.summarise(MAX_STEPS)["how"] == "limit"


def test_recovery_after_a_rise_is_no_gain():
    """A gain is relative to the lowest loss so far."""
    losses = iter([1.0, 2.0, 1.5, 1.2, 1.0, *[1.0] * 50])
    assert len(rates_of(Schedule(None, lambda _: next(losses)))) == FALLS * OBSERVE_EVERY


def test_unknown_steps_require_a_loss():
    with pytest.raises(PotstillError, match=r"Schedule\.steps is None: expected Schedule\.held_out_loss"):
        Schedule(None)


@pytest.mark.parametrize(("seconds", "least", "most"), [(0.0, 5, 5), (0.5, 5, 45), (2.5, 100, 150)])
def test_budget_sets_the_number_of_steps(seconds, least, most):
    schedule = Schedule(None, lambda _: 1.0, budget=seconds)
    schedule.fit_budget(lambda: time.sleep(0.01))
    assert schedule.steps is not None
    assert least <= schedule.steps <= most
    assert schedule.summarise(schedule.steps)["how"] == "budget"


def test_a_budget_that_is_used_up_gives_a_few_steps():
    schedule = Schedule(None, lambda _: 1.0, budget=1e-9)
    schedule.fit_budget(lambda: None)
    assert schedule.steps == 5
    assert "at least 5: the setup used it up" in str(schedule.summarise(5)["summary"])


def test_long_budget_runs_until_convergence():
    schedule = Schedule(None, lambda _: 1.0, budget=60.0)
    schedule.fit_budget(lambda: time.sleep(0.001))
    assert len(rates_of(schedule)) == FALLS * OBSERVE_EVERY
    assert "of 60 s" in str(schedule.summarise(1)["summary"])


def test_budget_does_not_add_steps():
    schedule = Schedule(150, budget=3600.0)
    schedule.fit_budget(lambda: None)
    assert schedule.steps == 150


def test_without_a_budget_no_step_is_timed():
    schedule = Schedule(3)
    schedule.fit_budget(lambda: pytest.fail("a step was taken"))
    assert schedule.steps == 3


@pytest.mark.parametrize("options", [{}, {"budget": "90s"}], ids=["found", "budget"])
def test_schedule_is_reported_and_reproduced(logs, tmp_path, capsys, options):
    data, teacher = logs
    common = {"teacher": teacher, "size": 6, "batch": 32, "students": 2, "curve_points": 2, "episodes": 0}
    common["recipe"] = potstill.Recipe(steps=20, width=16, momentum=0.9)
    run = potstill.distill(data, out=tmp_path / "run", **common, **options)
    result = json.loads((run / "result.json").read_text())
    summary = result["schedule"]
    assert summary["how"] in ("converged", "limit")
    assert f"{summary['steps']:,} outer steps in" in capsys.readouterr().out
    assert potstill.load(run).metadata["steps"] == summary["steps"] == result["curve"][-1]["step"]
    assert "budget" not in potstill.load(run).metadata["command"]
    assert run.result.student is run.result.ensemble is run.result.teacher is run.result.random is None
    assert json.loads((potstill.reproduce(run, out=tmp_path / "again") / "reproduced.json").read_text())["same"]


def test_short_budget_is_reproduced_by_its_steps(logs, tmp_path, monkeypatch):
    monkeypatch.setattr("potstill.distillation.schedule.ROOM", 10**6)  # short on any machine
    data, teacher = logs
    common = {"teacher": teacher, "size": 6, "batch": 32, "students": 1, "episodes": 0, "solver": "unroll"}
    common["recipe"] = potstill.Recipe(steps=3, width=8, layers=3)
    common["curve_points"] = 1
    run = potstill.distill(data, out=tmp_path / "run", budget="4s", **common)
    summary = json.loads((run / "result.json").read_text())["schedule"]
    assert summary["how"] == "budget"
    assert f"--steps {summary['steps']}" in potstill.load(run).metadata["command"]
    assert json.loads((potstill.reproduce(run, out=tmp_path / "again") / "reproduced.json").read_text())["same"]


def test_command_of_a_budgeted_run_is_reproducible(logs, tmp_path, monkeypatch):
    monkeypatch.setattr("potstill.distillation.schedule.ROOM", 0)  # until convergence,
    monkeypatch.setattr("potstill.distillation.schedule.LEAST_RATE", 0.0)  # which never comes,
    monkeypatch.setattr("potstill.distillation.schedule.PLANNED_SHARE", 0.005)  # or for half a second
    data, teacher = logs
    common = {"teacher": teacher, "size": 6, "batch": 32, "students": 1, "episodes": 0, "solver": "unroll"}
    common["recipe"] = potstill.Recipe(steps=3, width=8, layers=3)
    common["curve_points"] = 1
    run = potstill.distill(data, out=tmp_path / "run", budget="100s", **common)
    summary, command = run.result.schedule, potstill.load(run).metadata["command"]
    assert summary.how == "limit"
    assert f"--max-steps {summary.steps}" in command
    assert main([*shlex.split(command)[1:], "--out", str(tmp_path / "repeated")]) == 0
    bytes_of = [(folder / "distillate.safetensors").read_bytes() for folder in (run, tmp_path / "repeated")]
    assert bytes_of[0] == bytes_of[1]
    assert json.loads((potstill.reproduce(run, out=tmp_path / "again") / "reproduced.json").read_text())["same"]


@pytest.mark.parametrize("more", [{"steps": 10}, {"budget": "60s"}, {"average": 0.5}, {"widths": (64,)}])
def test_max_steps_requires_convergence_runs(more):
    with pytest.raises(PotstillError, match="max_steps=9 applies only to runs until convergence"):
        DistillConfig("hopper-medium-replay", max_steps=9, **more)


@pytest.mark.parametrize("settings", [{"steps": -1}, {"steps": None, "budget": -1.0}])
def test_negative_numbers_are_refused(settings):
    with pytest.raises(PotstillError, match=r"Schedule\.\w+ -1.*at least 0"):
        Schedule(**settings)
