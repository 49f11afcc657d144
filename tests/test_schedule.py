"""How many outer steps there are, and how fast the pairs move at each."""

from __future__ import annotations

import json
import time

import jax.numpy as jnp
import numpy as np
import pytest

import potstill
from potstill.config import DistillConfig
from potstill.distillation.outer_loop import make_pace, outer_steps
from potstill.distillation.schedule import EVERY, FALL, LEAST_RATE, MOST, Pace
from potstill.distillation.state_table import tabulate
from potstill.errors import PotstillError
from potstill.students.training import Pairs

PAIRS = Pairs(jnp.zeros((2, 1)), jnp.zeros((2, 1)))
FALLS = int(np.ceil(np.log(LEAST_RATE) / np.log(FALL)))  # looks without a gain until the loop ends


def walk(pace: Pace) -> list[float]:
    """The shares of the learning rate of all steps."""
    pace.look(0, PAIRS)
    shares = []
    while pace.goes_on(len(shares) + 1):
        shares.append(pace.share(len(shares) + 1))
        pace.look(len(shares), PAIRS)
    return shares


def test_a_given_number_falls_along_a_cosine():
    np.testing.assert_allclose(walk(Pace(4)), [1.0, 0.5 + 0.25 * np.sqrt(2), 0.5, 0.5 - 0.25 * np.sqrt(2)], rtol=1e-6)
    assert walk(Pace(3, falls=False)) == [1.0, 1.0, 1.0]
    assert walk(Pace(0)) == []


def test_the_rate_stays_while_the_loss_falls_and_the_loop_ends_when_it_stands():
    losses = iter([1.0, 0.9, 0.8, *[0.8] * 50])
    pace = Pace(None, lambda _: next(losses))
    shares = walk(pace)
    assert len(shares) == (2 + FALLS) * EVERY
    assert shares[: 3 * EVERY] == [1.0] * (3 * EVERY)
    np.testing.assert_allclose(shares[3 * EVERY], FALL)
    assert min(shares) >= LEAST_RATE
    assert list(pace.looks) == list(range(0, len(shares) + 1, EVERY))
    assert pace.account(len(shares))["how"] == "settled"


def test_a_loss_that_never_stands_still_ends_at_the_most():
    losses = iter(0.98 ** np.arange(1000))
    pace = Pace(None, lambda _: next(losses))
    assert walk(pace) == [1.0] * MOST
    assert pace.account(MOST)["how"] == "most"


def test_a_rise_is_no_gain_later():
    """What counts is the least loss so far: climbing back to it gains nothing."""
    losses = iter([1.0, 2.0, 1.5, 1.2, 1.0, *[1.0] * 50])
    assert len(walk(Pace(None, lambda _: next(losses)))) == FALLS * EVERY


def test_to_find_the_number_a_loss_is_needed(data, teacher):
    with pytest.raises(ValueError, match="a loss to watch"):
        next(outer_steps(DistillConfig("x", size=4), tabulate(data, teacher), teacher))


@pytest.mark.parametrize(("seconds", "least", "most"), [(0.0, 0, 0), (0.5, 5, 45), (2.5, 100, 150)])
def test_a_budget_gives_the_number_that_fits(seconds, least, most):
    pace = Pace(None, lambda _: 1.0, budget=seconds)
    pace.afford(lambda: time.sleep(0.01))
    assert least <= pace.steps <= most
    assert pace.account(pace.steps)["how"] == "budget"


def test_with_time_enough_the_number_is_found():
    pace = Pace(None, lambda _: 1.0, budget=60.0)
    pace.afford(lambda: time.sleep(0.001))
    assert len(walk(pace)) == FALLS * EVERY
    assert "of the 60" in pace.account(1)["in words"]


def test_a_budget_never_adds_to_steps_shared_out():
    config = DistillConfig("x", average=0.5, budget="1h")
    assert make_pace(config).steps == 150
    pace = make_pace(config)
    pace.afford(lambda: None)
    assert pace.steps == 150


@pytest.mark.parametrize("budget", ["soon", "-3s", "0s", "nan", "60 s m", "1e400", ""])
def test_no_time_to_speak_of(budget):
    with pytest.raises(PotstillError, match="a time above 0 is needed, such as 60s"):
        DistillConfig("x", budget=budget)


@pytest.mark.parametrize("more", [{"steps": 10}, {"polish": 3}])
def test_a_budget_sets_the_steps_alone(more):
    with pytest.raises(PotstillError, match="leave --steps and --polish out"):
        DistillConfig("x", budget="60s", **more)


@pytest.mark.parametrize("options", [{}, {"budget": "90s"}], ids=["found", "budget"])
def test_distil_says_what_it_did_and_can_be_reproduced(logs, tmp_path, capsys, options):
    data, teacher = logs
    common = {"teacher": teacher, "size": 6, "batch": 32, "students": 2, "curve_points": 2, "episodes": 0}
    run = potstill.distill(data, out=tmp_path / "run", recipe="plain", **common, **options)
    result = json.loads((run / "result.json").read_text())
    pace = result["pace"]
    assert pace["how"] in ("settled", "most")
    assert f"{pace['steps']:,} outer steps in" in capsys.readouterr().out
    assert potstill.load(run).metadata["steps"] == pace["steps"] == result["curve"][-1]["step"]
    assert "budget" not in potstill.load(run).metadata["command"]
    assert json.loads((potstill.reproduce(run, out=tmp_path / "again") / "reproduced.json").read_text())["same"]


def test_a_short_budget_is_kept_and_reproduced_by_its_steps(logs, tmp_path, monkeypatch):
    monkeypatch.setattr("potstill.distillation.schedule.ROOM", 1000)  # short on any machine
    data, teacher = logs
    common = {"teacher": teacher, "size": 6, "batch": 32, "students": 2, "episodes": 0, "solver": "unroll"}
    run = potstill.distill(data, out=tmp_path / "run", budget="4s", recipe="default", **common)
    pace = json.loads((run / "result.json").read_text())["pace"]
    assert pace["how"] == "budget"
    assert f"--steps {pace['steps']}" in potstill.load(run).metadata["command"]
    assert json.loads((potstill.reproduce(run, out=tmp_path / "again") / "reproduced.json").read_text())["same"]
