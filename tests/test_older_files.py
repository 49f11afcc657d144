"""Files of version 0.1 (tests/golden/0.1, written by its own code) are read, resumed and reproduced."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import potstill
from potstill.bundled import find_artefact_path
from potstill.cli import main
from potstill.commands.reproduce import fix_steps
from potstill.errors import PotstillError
from potstill.runtime import storage
from potstill.teachers import load_teacher
from potstill.teachers.algorithms import bc
from potstill.teachers.checkpoints import read_checkpoint

GOLDEN = Path(__file__).parent / "golden" / "0.1"
TAUGHT: dict[str, Any] = {
    "algorithm": "bc",
    "updates": 8,
    "evaluate_every": 4,
    "batch": 8,
    "fitted_updates": 0,
    "episodes": 0,
}


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    """Use a copy of the files as the working folder."""
    shutil.copytree(GOLDEN, tmp_path / "files")
    monkeypatch.chdir(tmp_path / "files")


def test_a_converted_dataset():
    rows, converted = potstill.load_dataset("rows.npz"), potstill.load_dataset("converted")
    assert len(converted) == 20
    assert converted.mapped
    assert converted.content_hash == rows.content_hash
    np.testing.assert_array_equal(converted.observations, rows.observations)
    np.testing.assert_array_equal(converted.terminations, np.arange(20) % 5 == 4)


def test_a_distillate():
    distillate = potstill.load("distilled")
    assert (len(distillate), distillate.states.shape, distillate.actions.shape) == (4, (4, 3), (4, 2))
    assert distillate.recipe == potstill.RECIPES["plain"]
    assert distillate.metadata["potstill"] == "0.1.0"
    assert distillate.metadata["teacher"]["sha256"]
    assert np.isfinite(distillate.train_student(seed=0)(np.zeros((2, 3), np.float32))).all()


def test_a_run_of_distill_is_evaluated():
    old = json.loads(Path("distilled/result.json").read_text())["offline"]["imitation_error"]["mean"]
    compare: dict[str, Any] = {"dataset": "rows.npz", "teacher": "taught/teacher.safetensors"}
    run = potstill.evaluate("distilled", students=2, **compare, out="evaluated")
    assert run.result.offline.imitation_error.mean == pytest.approx(old, rel=1e-3)
    report = potstill.report("distilled", out="reported")  # the run had no episodes
    assert set(report.result.runs["distilled"]) == {"imitation_error", "q_gap"}


def test_a_run_of_distill_is_reproduced():
    try:
        potstill.reproduce("distilled", out="again", force=True)
    except PotstillError as error:  # the bytes depend on the machine
        assert "again differs from distilled" in str(error)
    again, before = potstill.load("again"), potstill.load("distilled")
    np.testing.assert_allclose(again.states, before.states, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(again.actions, before.actions, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["taught", "interrupted", "distilled", "converted"])
def test_inspect_reads_every_file(name):
    path = Path(name, "teacher.safetensors") if name in ("taught", "interrupted") else name
    assert main(["inspect", str(path), "--out", "inspected"]) == 0


def test_finished_teacher_is_not_resumed():
    teacher = load_teacher("taught/teacher.safetensors")
    assert (teacher.metadata["algorithm"], teacher.metadata["updates"]) == ("bc", 8)
    with pytest.raises(PotstillError, match="finished: there is nothing to resume"):
        potstill.teach("rows.npz", out="taught", resume=True, **TAUGHT)


def test_an_interrupted_teacher_is_resumed_to_the_end(monkeypatch):
    """A checkpoint of 0.1 is resumed to the teacher that 0.1 wrote without an interruption."""
    monkeypatch.setattr(bc, "HIDDEN", (8, 8))
    monkeypatch.setattr(bc, "CRITIC_HIDDEN", (8, 8))
    with pytest.raises(PotstillError, match="has batch 8, not 16"):
        potstill.teach("rows.npz", out="interrupted", resume=True, **{**TAUGHT, "batch": 16})
    run = potstill.teach("rows.npz", out="interrupted", resume=True, **TAUGHT)
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines if "critic_loss" in line] == [4, 8]
    states = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    wanted = load_teacher("taught/teacher.safetensors").policy(states)
    np.testing.assert_allclose(load_teacher(run / "teacher.safetensors").policy(states), wanted, rtol=1e-4, atol=1e-5)


def test_names_of_0_1_in_checkpoints_and_results():
    bias, history = np.zeros(1, np.float32), [{"update": 4, "worth": 2.0}]
    storage.save("old.safetensors", "checkpoint", {"['fitted']['worth'].target[0]['bias']": bias}, {"history": history})
    arrays, metadata = read_checkpoint(Path("old.safetensors"))
    assert list(arrays) == ["['fitted']['pessimistic_value'].target[0]['bias']"]
    assert metadata["history"] == [{"update": 4, "pessimistic_value": 2.0}]
    found = fix_steps({"budget": "60s"}, {"pace": {"steps": 5, "how": "most"}})
    assert found == {"budget": None, "steps": None, "max_steps": 5}


def test_the_former_names_of_the_students_methods():
    students = potstill.load("distilled").train_students([0, 1], potstill.Recipe(steps=2, width=8))
    states = np.zeros((2, students.normaliser.mean.size), np.float32)
    np.testing.assert_array_equal(students.each(states), students.act_separately(states))
    np.testing.assert_array_equal(students.ensemble(states), students.act_as_ensemble(states))
    np.testing.assert_array_equal(students.policy(1)(states), students.make_policy(1)(states))


def test_settings_of_a_distillate_have_their_current_names(tmp_path):
    path = find_artefact_path("hopper-medium-replay", "distillate")
    result = potstill.inspect(str(path), out=tmp_path / "run").result
    assert result.settings["initialisations"] == 1
    assert result.student["initialisation"] == "orthogonal"
    assert not {"start", "starts", "kernel"} & {*result.settings, *result.student}
