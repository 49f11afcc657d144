"""Reference returns: known ones, those of the dataset, or measured ones of a random policy and the teacher."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from conftest import random_teacher
from test_readers import hand_minari, timed_out

import potstill
from potstill.data.bounds import ActionBounds
from potstill.data.scaling import Scaling
from potstill.environments.references import RAW, find_reference_returns
from potstill.evaluation.scores import TEACHER_SEED, measure_policy_returns, measure_reference
from potstill.evaluation.statistics import summarise
from potstill.reports import print_scores

QUICK: dict[str, Any] = {
    "recipe": potstill.Recipe(steps=10, width=16),
    "size": 8,
    "steps": 2,
    "batch": 32,
    "students": 2,
    "episodes": 2,
    "curve_points": 1,
}


def pendulum_teacher(seed):
    """A teacher of random networks. With seed 11, its return is above that of random actions, with seed 0 below."""
    teacher = random_teacher(3, 1, seed=seed)
    scaling = Scaling(teacher.normaliser, ActionBounds(np.array([-2], np.float32), np.array([2], np.float32)))
    return dataclasses.replace(teacher, policy=dataclasses.replace(teacher.policy, scaling=scaling))


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    rng = np.random.default_rng(0)
    columns = {
        "observations": rng.normal(size=(400, 3)),
        "actions": rng.uniform(-2, 2, (400, 1)),
        "rewards": rng.normal(size=400),
        "terminations": np.zeros(400, bool),
        "truncations": np.arange(1, 401) % 100 == 0,
    }
    path = tmp_path_factory.mktemp("logs") / "pendulum.npz"
    np.savez(path, env_id="Pendulum-v1", **columns)
    return path


def result_of(run):
    return json.loads((run / "result.json").read_text())


def test_unknown_reference_returns_are_measured(logs, tmp_path, capsys):
    teacher = pendulum_teacher(11)
    file = teacher.save(tmp_path / "teacher.safetensors")
    run = potstill.distill(logs, teacher=file, out=tmp_path / "run", **QUICK)
    said, result = capsys.readouterr().out, result_of(run)
    measured = measure_reference(teacher, "Pendulum-v1", 10)
    earned = measure_policy_returns(teacher.policy, "Pendulum-v1", 10, TEACHER_SEED).mean()
    assert result["reference"] == measured._asdict()
    assert measured.expert == pytest.approx(earned)
    assert measured.random < earned
    assert result["teacher"]["mean"] == pytest.approx(100.0)
    student = result["student"]
    span = measured.expert - measured.random
    assert student["mean"] == pytest.approx(100 * (student["raw_mean"] - measured.random) / span)
    assert "normalised return" in said
    line = next(line for line in said.splitlines() if line.startswith("0 is a return of"))
    assert "measured here in 10 episodes each: a random policy and the teacher" in line
    again = result_of(potstill.evaluate(run, students=2, episodes=2, out=tmp_path / "again"))
    assert again["reference"] == result["reference"]
    assert again["student"]["returns"] == student["returns"]
    assert line in capsys.readouterr().out
    potstill.report((run,), out=tmp_path / "report")
    assert line in capsys.readouterr().out


def test_teacher_below_random_is_not_a_reference(capsys):
    assert measure_reference(pendulum_teacher(0), "Pendulum-v1", 2) == RAW
    scores = summarise(np.array([[-1300.0, -1100.0]]), RAW)
    assert scores["mean"] == scores["raw_mean"] == -1200.0
    print_scores({"env_id": "Pendulum-v1", "reference": RAW._asdict(), "student": scores})
    said = capsys.readouterr().out
    assert "no reference returns are known for Pendulum-v1" in said
    assert "normalised return" not in said


def test_reference_scores_of_minari_datasets(tmp_path):
    own = {"ref_min_score": -1.0, "ref_max_score": 5.0}
    data = potstill.load_dataset(hand_minari(tmp_path / "x", list(timed_out()), own))
    assert find_reference_returns(data.env_id, data.card)[:2] == (-1.0, 5.0)
    plain = potstill.load_dataset(hand_minari(tmp_path / "y", list(timed_out())))
    assert find_reference_returns(plain.env_id, plain.card) == RAW
