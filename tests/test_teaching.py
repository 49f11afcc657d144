"""`potstill teach` stops by itself, resumes after a signal, begins again after a collapse, and takes equal rewards."""

import dataclasses
import json
import os
import signal
from typing import Any

import numpy as np
import pytest
from lqr import lqr_logs
from test_teachers import write_npz

import potstill
from potstill.commands.teach import load_rewarded
from potstill.commands.teaching_job import Stopping
from potstill.config import TeachConfig
from potstill.errors import PotstillError
from potstill.runtime import storage
from potstill.runtime.interruption import Interrupted
from potstill.teachers import Bc, Iql, Rebrac, Training, load_teacher, train_teacher
from potstill.teachers.checkpoints import Progress
from potstill.teachers.evaluation import fqe
from potstill.teachers.evaluation.diagnostics import OfflineScores
from potstill.teachers.rows import has_returns
from potstill.teachers.training import Learner

pytestmark = pytest.mark.usefixtures("narrow_networks")
SHORT: dict[str, Any] = {"updates": 24, "evaluate_every": 8, "batch": 16, "fitted_updates": 4}


@pytest.fixture
def lqr(tmp_path):
    return write_npz(tmp_path / "lqr.npz", lqr_logs(episodes=24))


def result_of(run):
    return json.loads((run / "result.json").read_text())


def test_the_rule_of_stopping_depends_on_what_is_given():
    assert Stopping.of(Rebrac()) == (50_000, 1, 0.01)
    assert Stopping.of(Iql()) == (100_000, 3, 0.01)
    assert Stopping.of(Bc(), estimated=False) == (50_000, None, 0.01)
    assert Stopping.of(Rebrac(), updates=7) == (7, None, 0.0)
    assert Stopping.of(Rebrac(), updates=7, patience=2) == (7, 2, 0.0)
    assert Stopping.of(Rebrac(), patience=4) == (100_000, 4, 0.0)


@pytest.mark.parametrize(
    ("values", "patience", "gain", "stalled"),
    [
        ([9.0, 5.0], 1, 0.0, False),  # the first is never compared
        ([9.0, 5.0, 4.0], 1, 0.0, True),
        ([9.0, 5.0, 5.04], 1, 0.0, False),
        ([9.0, 5.0, 5.04], 1, 0.01, True),
        ([9.0, -5.0, -4.9], 1, 0.01, False),
        ([9.0, 5.0, 4.0, 4.9], 3, 0.01, False),
    ],
)
def test_a_small_gain_does_not_count(values, patience, gain, stalled):
    progress = Progress(
        history=[{"update": i, "pessimistic_value": w, "action_distance": 0.1} for i, w in enumerate(values)]
    )
    assert progress.is_stalled(patience, gain) == stalled
    assert (progress.count_left(patience, gain) <= 0) == stalled


def test_the_earliest_end_of_a_training():
    """The second evaluation is always a new best one; then the estimate may no longer rise."""
    progress = Progress()
    for value, left in ((None, 4), (5.0, 3), (1.0, 2), (0.5, 1), (2.0, 2), (1.0, 1), (1.0, 0)):
        if value is not None:
            progress.history.append({"update": 1, "action_distance": 0.0, "pessimistic_value": value})
        assert progress.count_left(2) == left


def test_teach_stops_by_itself_and_keeps_the_best(lqr, tmp_path, monkeypatch, capsys):
    estimates = iter([9.0, 9.0, 5.0, 5.0, 6.0, 6.0, 6.03, 6.03])  # fitted and pessimistic
    monkeypatch.setattr(fqe.Evaluator, "__call__", lambda *_: next(estimates))
    run = potstill.teach(lqr, algorithm=Bc(), evaluate_every=8, batch=16, out=tmp_path / "run")
    result = result_of(run)
    assert (result["updates"], result["stopped"]) == (32, 32)  # the highest is kept, though it hardly rose
    assert "stopped after 32 updates" in capsys.readouterr().out
    assert result["data"]["episodes"] == 24
    assert result["data"]["best"] > result["data"]["mean"]


def send_after(monkeypatch, owner, name, calls):
    """Send Ctrl-C at the end of a method's nth call."""
    method, count = getattr(owner, name), iter(range(1, 1000))

    def wrapped(*args, **options):
        found = method(*args, **options)
        if next(count) == calls:
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(owner, name, wrapped)


@pytest.mark.parametrize(
    ("owner", "name", "calls", "done"),
    [(Learner, "advance", 2, 16), (fqe.Evaluator, "_fit", 6, 16), (fqe.Evaluator, "_fit", 3, 8)],
    ids=["update", "fit", "second fit"],
)
def test_a_stopped_teacher_resumes_with_the_same_bytes(lqr, tmp_path, monkeypatch, owner, name, calls, done):
    monkeypatch.setattr(fqe, "PIECE", 20)
    options: dict[str, Any] = {**SHORT, "algorithm": Bc(), "patience": 3}
    whole = potstill.teach(lqr, out=tmp_path / "whole", **options)
    out = tmp_path / "my run"
    with monkeypatch.context() as patch:
        monkeypatch.setattr(fqe.Evaluator, "warm_up", lambda *_: 0.01)
        send_after(patch, owner, name, calls)
        with pytest.raises(Interrupted, match=f"stopped after {done} updates, which are kept") as stopped:
            potstill.teach(lqr, out=out, **options)
    assert stopped.value.resume == (
        f"potstill teach {lqr} --algorithm bc --updates 24 --batch 16 --evaluate-every 8 --fitted-updates 4 "
        f"--patience 3 --out '{out}' --resume"
    )
    run = potstill.teach(lqr, out=out, resume=True, **options)
    assert (run / "teacher.safetensors").read_bytes() == (whole / "teacher.safetensors").read_bytes()
    written = [json.dumps(json.loads((found / "result.json").read_text())["history"]) for found in (run, whole)]
    assert written[0] == written[1]  # in the same order, too
    same = [{key: value for key, value in line.items() if key != "seconds"} for line in whole.metrics]
    assert [{key: value for key, value in line.items() if key != "seconds"} for line in run.metrics] == same


def test_a_compilation_is_interrupted_at_once(lqr, tmp_path, monkeypatch):
    """It may take minutes, and nothing is lost."""
    with monkeypatch.context() as patch:
        send_after(patch, Learner, "warm_up", 1)
        patch.setattr(OfflineScores, "warm_up", lambda *_: pytest.fail("compiled after Ctrl-C"))
        with pytest.raises(Interrupted, match=r"^interrupted; .*--resume$"):
            potstill.teach(lqr, out=tmp_path / "run", algorithm="bc", **SHORT)
    assert potstill.teach(lqr, out=tmp_path / "run", algorithm="bc", resume=True, **SHORT).result.updates == 24


def test_a_fit_in_pieces_is_the_same_fit(monkeypatch):
    data, training = lqr_logs(episodes=24), Training(batch=16, discount=0.8)
    teacher = train_teacher(data, Bc(), Training(updates=2, batch=16))
    whole = OfflineScores(data, training)(teacher, 5)
    monkeypatch.setattr(fqe, "PIECE", 7)
    counts: list[int] = []
    pieces = OfflineScores(data, training)(teacher, 5, counts.append)
    assert pieces == whole
    assert sum(counts) == 2 * 5 * fqe.FIRST_FIT


def test_a_collapsed_actor_begins_again_with_cloning(lqr, tmp_path, monkeypatch, capsys):
    """The checkpoint remembers it: here the training stops after two more periods, and resumes."""
    with monkeypatch.context() as patch:
        collapsed = iter([True, False, False])
        patch.setattr(Learner, "collapsed", property(lambda self: next(collapsed)))
        send_after(patch, Learner, "advance", 3)
        with pytest.raises(Interrupted):
            potstill.teach(lqr, out=tmp_path / "run", **SHORT)
    assert "training restarts with cloning-updates 1000" in capsys.readouterr().out
    run = potstill.teach(lqr, out=tmp_path / "run", resume=True, **SHORT)
    assert result_of(run)["restarted"]
    assert load_teacher(run).metadata["settings"]["rebrac"]["cloning_updates"] == 1000
    assert [line["update"] for line in run.metrics if "seconds" in line] == [8, 16, 24]
    other = potstill.teach(lqr, algorithm=Rebrac(cloning_updates=1000), out=tmp_path / "other", **SHORT)
    assert (run / "teacher.safetensors").read_bytes() == (other / "teacher.safetensors").read_bytes()


def test_files_of_teachers_without_cloning_are_those_of_0_1(lqr):
    settings = train_teacher(lqr_logs(episodes=24), Rebrac(), Training(updates=2, batch=16)).metadata["settings"]
    assert "cloning_updates" not in settings["rebrac"]


def test_equal_rewards(tmp_path):
    """They are refused only where no episode terminates, and never for cloning."""
    data = lqr_logs(episodes=24)
    equal = dataclasses.replace(data, rewards=np.ones(len(data), np.float32))
    path = write_npz(tmp_path / "endless.npz", equal)
    with pytest.raises(PotstillError, match=r"all rewards are 1 and no episode terminates.*algorithm='bc'"):
        potstill.teach(path, algorithm="iql", out=tmp_path / "refused")
    zero = write_npz(tmp_path / "zero.npz", dataclasses.replace(data, rewards=np.zeros(len(data), np.float32)))
    run = potstill.teach(zero, algorithm="bc", out=tmp_path / "cloned", patience=2, **SHORT)
    entry = result_of(run)["history"][0]
    assert "action_distance" in entry
    assert "pessimistic_value" not in entry
    ending = dataclasses.replace(equal, terminations=equal.truncations, truncations=equal.terminations)
    assert len(load_rewarded(TeachConfig(write_npz(tmp_path / "ending.npz", ending)))) == len(data)
    assert has_returns(ending)
    assert not has_returns(equal)
    assert not has_returns(dataclasses.replace(ending, rewards=np.zeros(len(data), np.float32)))


def test_warnings_of_a_teacher_are_repeated_by_whoever_reads_it(tmp_path, teacher):
    spoiled = dataclasses.replace(teacher, metadata=teacher.metadata | {"warnings": ["the teacher does nothing"]})
    path = spoiled.save(tmp_path / "t.safetensors")
    with pytest.warns(potstill.PotstillWarning, match=r"t\.safetensors: the teacher does nothing"):
        load_teacher(path)
    storage.save(path, "teacher", *_with_odd_warnings(path))
    assert load_teacher(path).metadata["warnings"] == 3


def _with_odd_warnings(path):
    arrays, metadata = storage.load(path, "teacher")
    return arrays, metadata | {"warnings": 3}


def test_a_warning_names_the_teacher_where_it_stays(tmp_path):
    data = write_npz(tmp_path / "few.npz", lqr_logs(episodes=2))
    for force in (False, True):
        with pytest.warns(potstill.PotstillWarning, match="the teacher.s data have only") as caught:
            potstill.teach(data, algorithm="bc", out=tmp_path / "t", force=force, **SHORT)
        assert all(str(line.message).startswith(f"{tmp_path / 't'}{os.sep}") for line in caught)
