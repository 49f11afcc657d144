"""Interrupted runs are resumed to the same bytes; a process that is killed loses seconds of work."""

import functools
import json
import signal
import sys

import numpy as np
import pytest
from conftest import random_teacher
from linear import linear_rows
from test_teachers import write_npz

import potstill
from potstill.commands import distillation_job
from potstill.commands import distillation_loop as command
from potstill.errors import PotstillError
from potstill.runtime import checkpoints
from potstill.runtime.interruption import Interrupted
from potstill.worlds import training as world_training

NARROW = potstill.Recipe(steps=20, width=16, layers=3, momentum=0.9)
QUICK = {"recipe": NARROW, "size": 6, "batch": 32, "students": 2, "episodes": 2, "curve_points": 3}
WORLD = {"members": 2, "width": 16, "layers": 3, "steps": 30, "batch": 64}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("linear")
    write_npz(path / "linear.npz", linear_rows())
    random_teacher(states=2, actions=1).save(path / "teacher.safetensors")
    return path


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Short episodes; checkpoints after each step."""
    monkeypatch.setattr("potstill.worlds.returns.DEFAULT_STEPS", 20)
    monkeypatch.setattr(checkpoints.CheckpointFile, "is_due", True)


def interrupted(function, at):
    """A generator function that sends Ctrl-C before its n-th result."""

    @functools.wraps(function)
    def generate(*args, **parts):
        for iterate in function(*args, **parts):
            if iterate.step == at:
                signal.raise_signal(signal.SIGINT)
            yield iterate

    return generate


def result_of(run, without=("seconds", "schedule", "curve")):
    """What a run has measured, without times."""
    result = {name: value for name, value in run.result.to_dict().items() if name not in without}
    curve = [{k: v for k, v in point.items() if k != "seconds"} for point in run.result.get("curve") or []]
    return result, curve


def steps_of(run):
    return [(line.get("step"), line.get("loss"), line.get("model_step")) for line in run.metrics]


EVERYTHING = {"steps": 4, "polish": 3, "solver": "unroll", "optimiser": "sgd", "learn": "both"}
EVERYTHING |= {"average": 0.7, "choose": "held-out"}


def test_a_distillation_is_resumed_to_the_same_bytes(folder, tmp_path, monkeypatch):
    """In its last stage, with all kinds of state. The proof ``kills`` does the same at random moments."""
    given = {"dataset": folder / "linear.npz", "teacher": folder / "teacher.safetensors", **QUICK, **EVERYTHING}
    whole = potstill.distill(**given, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(command, "optimise_pairs", interrupted(command.optimise_pairs, 5))
        with pytest.raises(Interrupted, match=r"stopped after step 5; resume with: potstill distill .* --resume"):
            potstill.distill(**given, out=tmp_path / "run")
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert "checkpoint.safetensors" in names
    assert "result.json" not in names
    run = potstill.distill(**given, out=tmp_path / "run", resume=True)
    assert (run / "distillate.safetensors").read_bytes() == (whole / "distillate.safetensors").read_bytes()
    assert result_of(run) == result_of(whole)
    assert steps_of(run) == steps_of(whole)
    assert not (run / "checkpoint.safetensors").exists()


def failing_after(parts, monkeypatch):
    """Let the process "die" before the n-th part of an evaluation."""
    once, left = potstill.runtime.run_folder.RunFolder.compute_once, iter(range(99))

    def call(folder, name, compute):
        if name not in folder.parts and not name.startswith("input") and next(left) == parts:
            raise SystemExit
        return once(folder, name, compute)

    monkeypatch.setattr(potstill.runtime.run_folder.RunFolder, "compute_once", call)


def test_an_evaluation_is_not_repeated(folder, tmp_path, monkeypatch):
    """After the outer loop: the loop is not run again, nor a part that was measured."""
    given = {"dataset": folder / "linear.npz", "teacher": folder / "teacher.safetensors", **QUICK, "steps": 2}
    with monkeypatch.context() as patch:
        failing_after(4, patch)
        with pytest.raises(SystemExit):
            potstill.distill(**given, out=tmp_path / "run")
    monkeypatch.setattr(command, "make_initial_pairs", None)
    monkeypatch.setattr(distillation_job, "make_held_out_loss", lambda *args: lambda pairs: 1 / 0)
    run = potstill.distill(**given, out=tmp_path / "run", resume=True)
    assert [point.step for point in run.result.curve] == [0, 1, 2]
    assert sum("curve" in line for line in run.metrics) == 3


def test_a_model_and_an_evaluation_are_resumed(folder, tmp_path, monkeypatch):
    given = {"dataset": folder / "linear.npz", "teacher": folder / "teacher.safetensors", "episodes": 2, **WORLD}
    monkeypatch.setattr(world_training, "CHUNK", 10)
    whole = potstill.model(**given, out=tmp_path / "whole")
    take, calls = world_training.take_steps, []

    def stopping(*args):
        calls.append(args[3])
        if len(calls) == 2:
            signal.raise_signal(signal.SIGTERM)
        return take(*args)

    monkeypatch.setattr(world_training, "take_steps", stopping)
    with pytest.raises(Interrupted, match="stopped after step 20; resume with: potstill model") as caught:
        potstill.model(**given, out=tmp_path / "run")
    assert caught.value.exit_code == 143
    run = potstill.model(**given, out=tmp_path / "run", resume=True)
    assert calls == [0, 10, 20]
    assert (run / "world.safetensors").read_bytes() == (whole / "world.safetensors").read_bytes()
    assert result_of(run) == result_of(whole)
    assert steps_of(run) == steps_of(whole)


@pytest.fixture
def distilled(folder):
    path = folder / "distilled"
    given = {"dataset": folder / "linear.npz", "teacher": folder / "teacher.safetensors", **QUICK, "steps": 2}
    return potstill.Run(path) if path.exists() else potstill.distill(**given, out=path)


def test_an_evaluation_is_resumed(distilled, folder, tmp_path, monkeypatch):
    given = {"dataset": folder / "linear.npz", "teacher": folder / "teacher.safetensors", "students": 2}
    whole = potstill.evaluate(distilled, **given, out=tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr("potstill.runtime.run_folder.RunFolder.finish", lambda *args: sys.exit())
        with pytest.raises(SystemExit):
            potstill.evaluate(distilled, **given, out=tmp_path / "run")
    monkeypatch.setattr("potstill.commands.comparison.score_offline", lambda *args: 1 / 0)
    run = potstill.evaluate(distilled, **given, out=tmp_path / "run", resume=True)
    assert result_of(run) == result_of(whole)


def test_a_reproduction_is_resumed(distilled, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as patch:
        patch.setattr(command, "optimise_pairs", interrupted(command.optimise_pairs, 1))
        with pytest.raises(Interrupted):
            potstill.reproduce(distilled, out=tmp_path / "again")
    assert potstill.reproduce(distilled, out=tmp_path / "again", resume=True).result
    (tmp_path / "again" / "reproduced.json").unlink()
    monkeypatch.setattr(command, "optimise_pairs", None)  # finished: only compared
    potstill.reproduce(distilled, out=tmp_path / "again", resume=True)
    assert capsys.readouterr().out.count("are byte-identical") == 2
    assert json.loads((tmp_path / "again" / "reproduced.json").read_text())["same"]


def test_inputs_that_have_changed_are_refused(distilled, folder, tmp_path, monkeypatch):
    data = tmp_path / "changing.npz"
    data.write_bytes((folder / "linear.npz").read_bytes())
    given = {"dataset": data, "teacher": folder / "teacher.safetensors", **QUICK, "steps": 2, "out": tmp_path / "run"}
    with monkeypatch.context() as patch:
        patch.setattr(command, "optimise_pairs", interrupted(command.optimise_pairs, 1))
        with pytest.raises(Interrupted):
            potstill.distill(**given)
    rows = linear_rows()
    write_npz(data, rows.take(np.arange(len(rows) - 1)))
    with pytest.raises(PotstillError, match="the dataset has changed since the run began"):
        potstill.distill(**given, resume=True)
