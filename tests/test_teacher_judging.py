"""`potstill teach --world`: returns of teachers in a world model, and the choices by them."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from lqr import lqr_logs
from test_teachers import write_npz
from test_teaching import SHORT, result_of

import potstill
from potstill.commands import teach as teaching
from potstill.environments.references import Reference
from potstill.errors import PotstillError
from potstill.evaluation.imagined import TEACHER_EPISODES, TeacherJudge
from potstill.teachers import Bc, Iql
from potstill.teachers.checkpoints import Progress, estimate
from potstill.teachers.evaluation.selection import choose_candidate
from potstill.worlds import WorldSettings, load_world, measure_imagined_returns, train_world

pytestmark = pytest.mark.usefixtures("narrow_networks")


@pytest.fixture
def lqr(tmp_path):
    return write_npz(tmp_path / "lqr.npz", lqr_logs(episodes=60))


def save_world(data, path, **errors):
    """A small world model of a dataset that claims these errors."""
    world = train_world(data, WorldSettings(members=1, width=8, layers=2, steps=2))
    claimed = {**world.metadata, "errors": {**world.metadata["errors"], "open_loop": errors}}
    return dataclasses.replace(world, metadata=claimed).save(path)


@pytest.fixture
def world(lqr, tmp_path):
    return save_world(potstill.load_dataset(lqr), tmp_path / "world.safetensors", **{"1": 0.1, "25": 0.2})


def test_evaluations_report_the_return_in_the_model(lqr, world, tmp_path, capsys):
    run = potstill.teach(lqr, algorithm=Bc(), world=world, out=tmp_path / "run", **SHORT)
    history = result_of(run)["history"]
    assert len(history) == 3
    for entry in history:
        low, high = entry["imagined"]["interval"]
        assert low <= entry["imagined"]["iqm"] <= high
        assert "fitted_value" in entry  # beside it
    assert "in the world model: return" in capsys.readouterr().out
    teacher = potstill.load_teacher(run)
    judge = TeacherJudge(load_world(world), Reference(0.0, 1.0, None))
    assert judge(teacher)["raw_mean"] == pytest.approx(history[-1]["imagined"]["raw_mean"])
    alike = measure_imagined_returns(load_world(world), teacher.policy, TEACHER_EPISODES)
    assert judge(teacher)["raw_mean"] == pytest.approx(alike.mean(), rel=1e-3)


def test_a_judged_training_resumes_with_the_same_bytes(lqr, world, tmp_path, monkeypatch):
    whole = potstill.teach(lqr, algorithm=Iql(), world=world, out=tmp_path / "whole", **SHORT)
    count = 0

    def fail(self, teacher):
        nonlocal count
        count += 1
        if count == 2:
            raise OSError("stopped")
        return judge(self, teacher)

    judge = TeacherJudge.__call__
    monkeypatch.setattr(TeacherJudge, "__call__", fail)
    again: dict[str, Any] = {"algorithm": Iql(), "world": world, "out": tmp_path / "again", **SHORT}
    with pytest.raises(OSError, match="stopped"):
        potstill.teach(lqr, **again)
    monkeypatch.undo()
    resumed = potstill.teach(lqr, resume=True, **again)
    assert result_of(resumed)["sha256"] == result_of(whole)["sha256"]
    assert result_of(resumed)["history"] == result_of(whole)["history"]


def test_training_stops_by_the_return_in_the_model(lqr, world, tmp_path, monkeypatch):
    means = iter([9.0, 5.0, 7.0, 6.0, 1.0])
    scores = {"iqm": 0.0, "interval": [0.0, 0.0], "raw_mean": 0.0}
    monkeypatch.setattr(TeacherJudge, "__call__", lambda self, teacher: {"mean": next(means), **scores})
    options = {**SHORT, "updates": 80, "fitted_updates": 0, "patience": 2}
    run = potstill.teach(lqr, algorithm=Bc(), world=world, out=tmp_path / "run", **options)
    result = result_of(run)
    assert (result["stopped"], result["updates"]) == (40, 24)  # the first is never compared


def test_the_return_in_the_model_comes_before_the_value_estimate():
    entry = {"pessimistic_value": 3.0, "action_distance": 1.0, "imagined": {"mean": 70.0}}
    assert estimate(entry) == 70.0
    assert Progress(history=[{"imagined": {"mean": 70.0}}] * 3).is_stalled(1)


def test_auto_selects_by_the_return_in_the_model(lqr, world, tmp_path, monkeypatch, capsys):
    values = {"rebrac-tight": 9.0, "rebrac-loose": 1.0, "rebrac-medium": 1.0, "iql": 0.0}  # the opposite order
    monkeypatch.setattr(teaching, "estimate_values", lambda *_: values)
    run = potstill.teach(lqr, algorithm="auto", world=world, out=tmp_path / "run", **{**SHORT, "updates": 8})
    result = result_of(run)
    means = {entry["candidate"]: entry["imagined"]["mean"] for entry in result["ranking"]}
    assert list(means.values()) == sorted(means.values(), reverse=True)
    assert result["chosen"] == next(iter(means)) != "rebrac-tight"
    assert {entry["candidate"]: entry["pessimistic_value"] for entry in result["ranking"]} == values
    own = result_of(run / result["chosen"])
    assert means[result["chosen"]] == own["history"][-1]["imagined"]["mean"]
    assert result["why"] == choose_candidate(values, {name: {"mean": mean} for name, mean in means.items()})[1]
    assert "mean return in the world model" in capsys.readouterr().out


def test_worlds_that_are_refused(lqr, world, tmp_path):
    data = potstill.load_dataset(lqr)
    poor = save_world(data, tmp_path / "poor.safetensors", **{"1": 0.1, "10": 0.2})
    other = save_world(data.take(np.arange(550)), tmp_path / "other.safetensors", **{"25": 0.1})
    free = dataclasses.replace(lqr_logs(episodes=60), rewards=np.zeros(len(data), np.float32))
    unpaid = write_npz(tmp_path / "unpaid.npz", free)
    of_unpaid = save_world(potstill.load_dataset(unpaid), tmp_path / "unpaid.safetensors", **{"25": 0.1})
    for dataset, path, message in (
        (lqr, poor, "accurate for 10 steps; comparing teachers requires 25"),
        (lqr, other, "learned from other data"),
        (lqr, tmp_path / "none.safetensors", "none.safetensors"),
        (unpaid, of_unpaid, "returns cannot compare teachers"),
    ):
        with pytest.raises(PotstillError, match=message):
            potstill.teach(dataset, algorithm=Bc(), world=path, out=tmp_path / "run", **SHORT)
        assert not (tmp_path / "run").exists()
    with pytest.raises(PotstillError, match="patience= requires fitted_updates= or world="):
        potstill.teach(lqr, fitted_updates=0, patience=2)
