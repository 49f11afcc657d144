"""`potstill distill LOGS`: a teacher is trained and found again, all commands work without an environment, and what
is wrong is said by every command."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from conftest import random_teacher
from lqr import lqr_logs
from rich.console import Console
from test_teachers import write_npz

import potstill
from potstill.commands import automatic_teacher
from potstill.commands.automatic_teacher import make_automatic_settings
from potstill.commands.sources import find_sources
from potstill.config import DistillConfig
from potstill.errors import PotstillError, PotstillWarning
from potstill.evaluation.diagnosis import diagnose_students
from potstill.evaluation.statistics import describe_data, summarise
from potstill.reports.tables import make_score_table
from potstill.teachers.diagnosis import diagnose_teacher, find_saturated_components

SMALL = potstill.Recipe(steps=50, width=16, momentum=0.9)
QUICK: dict[str, Any] = {"size": 8, "steps": 2, "batch": 16, "students": 2, "curve_points": 1, "recipe": SMALL}


@pytest.fixture
def demonstrations(tmp_path):
    """Logs without rewards and without an environment."""
    data = lqr_logs(episodes=24)
    return write_npz(tmp_path / "logs.npz", dataclasses.replace(data, rewards=np.zeros(len(data), np.float32)))


@pytest.fixture
def quick_teachers(monkeypatch):
    """Automatic teachers take four updates."""
    short: dict[str, Any] = {"updates": 4, "evaluate_every": 4, "batch": 8}
    monkeypatch.setattr(
        automatic_teacher,
        "make_automatic_settings",
        lambda *args: dataclasses.replace(make_automatic_settings(*args), **short),
    )


def result_of(run):
    return json.loads((run / "result.json").read_text())


@pytest.mark.usefixtures("narrow_networks", "quick_teachers")
def test_logs_alone_become_students(demonstrations, tmp_path, capsys):
    run = potstill.distill(demonstrations, out=tmp_path / "first", **QUICK)
    said = capsys.readouterr().out
    assert "no teacher is given: training one with bc (behavioural cloning, because the rewards" in said
    assert "critics are uninformative: using objective pbc" in said
    assert "trained 2 students" in said
    assert "return of the data's episodes: mean 0, best 0" in said
    assert potstill.load(run).metadata["objective"] == "pbc"
    assert (run / "teacher" / "result.json").exists()

    again = potstill.distill(demonstrations, out=tmp_path / "second", **QUICK)
    assert f"teacher: {tmp_path / 'first' / 'teacher'}, trained on these data before" in capsys.readouterr().out
    assert (again / "distillate.safetensors").read_bytes() == (run / "distillate.safetensors").read_bytes()
    assert not (again / "teacher").exists()
    found = find_sources(again, potstill.load(again)).teacher
    assert found is not None
    assert found.content_hash == potstill.load_teacher(run / "teacher").content_hash
    random_teacher(states=1, actions=1).save(again / "teacher" / "teacher.safetensors")
    with pytest.raises(PotstillError, match="the teacher has changed since the distillation"):
        find_sources(again, potstill.load(again))

    evaluated = potstill.evaluate(run, students=2, out=tmp_path / "evaluated")
    assert evaluated.result.offline.imitation_error.mean == result_of(run)["offline"]["imitation_error"]["mean"]
    report = potstill.report(run, evaluated, out=tmp_path / "report")
    assert set(report.result.runs[str(run)]) == {"data", "imitation_error", "q_gap"}
    assert capsys.readouterr().out.count("held-out imitation error") == 3
    options = {"dataset": demonstrations, "teacher": run / "teacher", "columns": "rewards=none"}
    with pytest.warns(PotstillWarning, match="no rewards: they are set to 0"):
        none = potstill.evaluate(run, students=2, out=tmp_path / "none", **options).result
    assert none.data is None  # without rewards, there are no returns, and critics mean nothing
    assert "imitation_error" in none.offline
    assert "q_gap" not in none.offline
    capsys.readouterr()
    alone = potstill.distill(demonstrations, objective="dbc", out=tmp_path / "alone", **QUICK)
    potstill.report(alone, out=tmp_path / "report", force=True)
    assert "no scores of students: there is neither an environment nor a teacher" in capsys.readouterr().out
    potstill.reproduce(run, out=tmp_path / "third")
    assert "reproduced" in capsys.readouterr().out
    assert potstill.export(run, tmp_path / "pairs.npz").exists()


def test_the_algorithm_follows_from_the_data(tmp_path):
    def choose(data, **options):
        return make_automatic_settings(DistillConfig(data, **options), data, tmp_path)

    data = lqr_logs(episodes=12)
    assert choose(data).algorithm == "rebrac"
    assert choose(data, episodes=0).episodes == 0
    assert choose(data, seed=3).seed == 0  # distillations with other seeds share the teacher
    assert choose(data.take(np.random.default_rng(0).permutation(len(data)))).algorithm == "iql"
    assert choose(dataclasses.replace(data, rewards=np.ones(len(data), np.float32))).algorithm == "bc"


def test_a_teacher_of_other_data_or_settings_is_not_used(demonstrations, tmp_path):
    """A run is found by its data and by all settings that matter."""
    data = potstill.load_dataset(demonstrations)
    settings = make_automatic_settings(DistillConfig(demonstrations), data, tmp_path / "x")
    random_teacher(states=1, actions=1).save(tmp_path / "run" / "teacher.safetensors")
    saved = {"command": "teach", **automatic_teacher.record_settings(settings)}

    def find(config=saved, **result):
        (tmp_path / "run" / "config.json").write_text(json.dumps(automatic_teacher.to_json(config)))
        (tmp_path / "run" / "result.json").write_text(json.dumps({"dataset_hash": data.content_hash, **result}))
        return automatic_teacher.find_trained(settings, data, [tmp_path])

    assert find() == tmp_path / "run"
    assert find(config={**saved, "seed": 1}) is None
    assert find(config={**saved, "command": "distill"}) is None
    assert find(dataset_hash="0") is None
    (tmp_path / "run" / "result.json").unlink()
    assert automatic_teacher.find_trained(settings, data, [tmp_path]) is None


def constant_teacher(value=20.0, states=1):
    """A teacher whose actions are tanh(value) in every state."""
    teacher = random_teacher(states=states, actions=1)
    layers = [dict(layer) for layer in teacher.policy.layers]
    layers[-1] = {"weight": 0.0 * layers[-1]["weight"], "bias": 0.0 * layers[-1]["bias"] + np.float32(value)}
    return dataclasses.replace(teacher, policy=dataclasses.replace(teacher.policy, layers=layers))


def test_what_is_wrong_with_a_teacher():
    data = lqr_logs(episodes=24)
    assert find_saturated_components(constant_teacher(), data) == [0]
    assert find_saturated_components(constant_teacher(0.3), data) == []
    still = next(text for text in diagnose_teacher(constant_teacher(), data) if "takes the same action" in text)
    assert "in every state: 1.00 (bounds ±1)" in still
    assert "try the algorithm iql or bc" in still
    for algorithm, advice in (("bc", "train longer, or try another seed"), ("iql", "try the algorithm bc, and")):
        teacher = dataclasses.replace(constant_teacher(), metadata={"algorithm": algorithm})
        assert any(advice in text for text in diagnose_teacher(teacher, data))
    other = dataclasses.replace(constant_teacher(), metadata={"dataset": data.name, "dataset_hash": "0"})
    assert any("trained on other rows of" in text for text in diagnose_teacher(other, data))
    critics = next(text for text in diagnose_teacher(random_teacher(1, 1, seed=1), data) if "critics" in text)
    assert "disagreement of the teacher's critics" in critics
    low = {"fitted_value": -9.0, "data_value": -1.0, "data_deviation": 1.0}
    assert (
        "-9 for the teacher by fitted Q-evaluation, -1 for the behaviour policy"
        in diagnose_teacher(constant_teacher(), data, low)[-1]
    )
    low["fitted_value"] = -1.5
    assert not any("discounted return" in text for text in diagnose_teacher(constant_teacher(), data, low))
    two = data.take([0, 1])
    assert diagnose_teacher(constant_teacher(), two)[0].startswith("the teacher's data have only 2 rows")


def test_a_useful_teacher_has_no_warnings():
    data = potstill.load_dataset("hopper-medium-replay")
    assert diagnose_teacher(potstill.load_teacher("hopper-medium-replay"), data) == []


def test_what_is_wrong_with_students():
    data = lqr_logs(episodes=24)
    students = potstill.Distillate(
        data.observations[:8], np.zeros((8, 1), np.float32), potstill.Scaling(data.normaliser, data.action_bounds), {}
    ).train_students([0], potstill.RECIPES["plain"])
    found = {"student": {"mean": 4.0}, "random": {"mean": 5.0}}
    still, below = diagnose_students(students, data, found)
    assert "the students take the same action in every state" in still
    assert "score lower than students trained on random pairs of the data (4.0 and 5.0)" in below
    moving = dataclasses.replace(students, params=[{k: 9.0 * v for k, v in layer.items()} for layer in students.params])
    poor = {"offline": {"imitation_error": {"mean": 0.5}, "teacher_variance": 0.4}}
    assert "no better than one constant action" in diagnose_students(moving, data, poor)[0]


@pytest.mark.filterwarnings("always::potstill.PotstillWarning")
def test_every_command_says_what_is_wrong(tmp_path):
    """A teacher that collapsed gives students that all do one thing, with an imitation error of 0."""
    logs = write_npz(tmp_path / "logs.npz", lqr_logs(episodes=24))
    teacher = constant_teacher().save(tmp_path / "t.safetensors")
    options = {**QUICK, "teacher": teacher, "recipe": potstill.Recipe(steps=200, width=8, towers=1)}
    with pytest.warns(potstill.PotstillWarning, match="the teacher takes the same action in every state"):
        run = potstill.distill(logs, out=tmp_path / "run", **options)
    assert [text for text in result_of(run)["warnings"] if "takes the same action" in text]
    assert potstill.load(run).metadata["warnings"] == result_of(run)["warnings"]
    uses = {
        "evaluate": lambda: potstill.evaluate(run, students=1, out=tmp_path / "evaluated"),
        "report": lambda: potstill.report(run, out=tmp_path / "report"),
        "inspect": lambda: potstill.inspect(run, out=tmp_path / "inspected"),
        "export": lambda: potstill.export(run, tmp_path / "pairs.npz"),
        "load": lambda: potstill.load(run),
    }
    for use in uses.values():
        with pytest.warns(potstill.PotstillWarning, match="the teacher takes the same action in every state"):
            use()


def test_evaluate_without_environment_and_data_says_what_to_give(tmp_path):
    data = lqr_logs(episodes=2)
    scaling = potstill.Scaling(data.normaliser, data.action_bounds)
    metadata = dict.fromkeys(("env_id", "dataset", "objective", "solver", "potstill")) | {"recipe": "plain"}
    path = potstill.Distillate(data.observations, data.actions, scaling, metadata).save(tmp_path / "d.safetensors")
    with pytest.raises(PotstillError, match=r"does not name an environment: give dataset=.*config\.json"):
        potstill.evaluate(path, out=tmp_path / "evaluated")


def test_tables_show_the_returns_of_the_data():
    scores, own = summarise(np.array([[100.0, 300.0]]), "Hopper-v5"), potstill.load_dataset("hopper-medium-replay")
    given = describe_data(own, potstill.load("hopper-medium-replay").reference)
    result = {"env_id": "Hopper-v5", "pairs": 8, "student": scores, "data": given}
    console = Console(width=110)
    with console.capture() as captured:
        console.print(make_score_table(result, "scores"))
    row = next(line for line in captured.get().splitlines() if "the data's episodes" in line)
    assert given is not None
    assert f"{given['episodes']:,}" in row
    assert f"{given['mean']:.1f}" in row
