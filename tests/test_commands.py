"""The commands from end to end, on the bundled data and on logs without an environment."""

import dataclasses
import json
import shutil
from typing import Any

import numpy as np
import pytest
from conftest import SMALL_STUDENT

import potstill
from potstill.bundled import BUNDLED
from potstill.errors import PotstillError
from potstill.reports.states import render_states

QUICK: dict[str, Any] = {
    "recipe": SMALL_STUDENT,
    "size": 64,
    "steps": 40,
    "batch": 256,
    "students": 3,
    "episodes": 3,
    "curve_points": 2,
}


pytestmark = pytest.mark.usefixtures("few_rows")


@pytest.fixture(scope="module")
def run(few_rows, tmp_path_factory):
    return potstill.distill("hopper-medium-replay", out=tmp_path_factory.mktemp("quick") / "run", **QUICK)


def narrow(name):
    """A named recipe with 64 units in each hidden layer."""
    return dataclasses.replace(potstill.RECIPES[name], width=64)


def result_of(run):
    return json.loads((run / "result.json").read_text())


def test_small_distillation_exceeds_a_minimum_return(run):
    result = result_of(run)
    for name in ("teacher", "random", "student", "ensemble"):
        scores = result[name]
        assert np.shape(scores["returns"]) == (scores["policies"], scores["episodes"])
        assert scores["mean"] == pytest.approx(np.mean(scores["returns"]), abs=1e-3)
    assert result["student"]["mean"] > 4.0 * result["random"]["mean"]
    assert result["ensemble"]["mean"] > 0.1 * result["teacher"]["mean"]  # of 64 pairs after 40 steps
    assert set(result["seconds"]) == {"distilling", "training", "evaluating"}
    curve = result["curve"]
    assert [point["step"] for point in curve] == [0, 40]
    assert curve[1]["held_out_loss"] < 0.8 * curve[0]["held_out_loss"]


def test_files_of_the_run_folder(run):
    names = {path.name for path in run.path.iterdir()}
    assert {"config.json", "metrics.jsonl", "result.json", "distillate.safetensors", "curve.png"} <= names
    assert not [name for name in names if name.endswith(".partial")]
    assert json.loads((run / "config.json").read_text())["size"] == 64
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 41))


def test_states_are_drawn_or_a_reason_is_given(tmp_path):
    path, reason = render_states(BUNDLED / "hopper-medium-replay.distillate.safetensors", tmp_path / "states.png")
    assert reason if path is None else path.stat().st_size > 5000


def test_only_states_that_can_be_drawn_start_a_process(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "potstill.environments.drawing.subprocess.run", lambda *_, **__: pytest.fail("a process was started")
    )
    pairs = potstill.load("hopper-medium-replay")
    path = dataclasses.replace(pairs, metadata=pairs.metadata | {"env_id": "Pendulum-v1"}).save(
        tmp_path / "a.safetensors"
    )
    found = render_states(path, tmp_path / "states.png")
    assert found == (None, "Pendulum-v1: observations do not contain the whole state of the simulator")


def test_metadata_of_the_distillate(run):
    distillate = potstill.load(run)
    metadata = distillate.metadata
    data = potstill.load_dataset("hopper-medium-replay")
    assert metadata["dataset"]["sha256"] == data.content_hash
    assert metadata["teacher"]["dataset_hash"] == data.content_hash
    assert metadata["command"].startswith("potstill distill hopper-medium-replay")
    assert len(distillate) == 64
    assert (np.abs(distillate.actions) <= 1.0).all()
    observation = data.observations[0]
    assert distillate.train_student(seed=0)(observation).shape == (3,)


def test_reproduce_gives_the_same_bytes(run, tmp_path, capsys):
    again = potstill.reproduce(run, out=tmp_path / "again")
    assert (again / "distillate.safetensors").read_bytes() == (run / "distillate.safetensors").read_bytes()
    assert "byte-identical" in capsys.readouterr().out
    assert result_of(again)["student"]["returns"] == result_of(run)["student"]["returns"]


def test_reproduce_reports_differences(run, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(run, copy)
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "steps": 2, "episodes": 0}))
    with pytest.raises(PotstillError, match=r"config\.json: damaged or changed"):
        potstill.reproduce(copy, out=tmp_path / "again")
    (copy / ".potstill").unlink()  # runs of version 0.1 have no hash of their settings
    with pytest.raises(PotstillError, match=r"differs.* instead of [0-9a-f]{12}$"):
        potstill.reproduce(copy, out=tmp_path / "again")


def test_reproduce_says_which_input_has_changed(tmp_path):
    rng = np.random.default_rng(0)
    log: dict[str, Any] = {
        "observations": rng.normal(size=(200, 2)),
        "actions": rng.uniform(-1, 1, (200, 1)),
        "rewards": np.ones(200),
    }
    np.savez(tmp_path / "x.npz", **log, terminals=np.arange(200) % 50 == 49)
    short: dict[str, Any] = {"updates": 2, "evaluate_every": 2, "fitted_updates": 1}
    run = potstill.teach(tmp_path / "x.npz", algorithm="bc", out=tmp_path / "run", **short)
    np.savez(tmp_path / "x.npz", **log, terminals=np.arange(200) % 40 == 39)
    with pytest.raises(PotstillError, match=r"differs.*, because the dataset has changed$"):
        potstill.reproduce(run, out=tmp_path / "again")


def test_reproduce_compares_rows_of_collected_data(tmp_path):
    how: dict[str, Any] = {"level": "random", "steps": 60, "seed": 3}
    run = potstill.collect("Pendulum-v1", **how, out=tmp_path / "run", resume=True)
    again = potstill.reproduce(run, out=tmp_path / "again")
    assert json.loads((again / "reproduced.json").read_text())["same"]
    assert result_of(run)["sha256"] == potstill.load_dataset(run / "dataset.hdf5").content_hash
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, "seed": 4}))
    (run / ".potstill").unlink()
    with pytest.raises(PotstillError, match="differs"):
        potstill.reproduce(run, out=tmp_path / "other")


def test_evaluate_uses_the_recipe_in_the_file(run, tmp_path, monkeypatch):
    """The stored recipe counts, including a learned step size, not the current meaning of the recipe's name."""
    from potstill.students import ensemble

    made = potstill.load(run)
    metadata = made.metadata | {"student": made.metadata["student"] | {"steps": 7, "learning_rate": 0.05}}
    path = dataclasses.replace(made, metadata=metadata).save(tmp_path / "own.safetensors")
    seen, train = [], ensemble.train_networks

    def note_recipe(keys, pairs, recipe):
        seen.append(recipe)
        return train(keys, pairs, recipe)

    monkeypatch.setattr(ensemble, "train_networks", note_recipe)
    potstill.evaluate(path, students=1, episodes=1, out=tmp_path / "own")
    potstill.evaluate(path, students=1, episodes=1, recipe="paper", out=tmp_path / "paper")
    own = potstill.Recipe(steps=5, layers=3, optimiser="adamw")
    evaluated = potstill.evaluate(path, students=1, episodes=1, recipe=own, out=tmp_path / "value")
    assert [(recipe.steps, recipe.learning_rate) for recipe in seen] == [(7, 0.05), (100, 0.1), (5, 0.1)]
    assert seen[-1] == own
    assert evaluated.result.recipe == "custom"
    assert evaluated.config["recipe"]["layers"] == 3


@pytest.mark.parametrize("given", [{"teacher": "t.safetensors"}, {"download": True}, {"action_scale": 0.5}])
def test_options_that_require_a_dataset(given):
    with pytest.raises(PotstillError, match=f"{next(iter(given))}= has no effect without a dataset: give dataset="):
        potstill.evaluate("hopper-medium-replay", **given)


def test_evaluate_and_report(run, tmp_path, capsys):
    first = potstill.evaluate(run, students=2, episodes=2, dataset="hopper-medium-replay", out=tmp_path / "eval")
    result = result_of(first)
    assert np.shape(result["student"]["returns"]) == (2, 2)
    assert result["offline"]["imitation_error"]["mean"] > 0
    assert "Q-gap" in capsys.readouterr().out
    drawn = potstill.report((run, first), out=tmp_path / "report")
    assert (drawn / "comparison.png").stat().st_size > 5000
    assert (drawn / "curve-run.png").exists()


def test_inspect_every_kind(run, tmp_path, capsys):
    for path in (run, BUNDLED / "hopper-medium-replay.teacher.safetensors", "hopper-medium-replay"):
        potstill.inspect(path, out=tmp_path / "inspect", force=True)
    out = capsys.readouterr().out
    for word in ("distillate:", "q-gap", "teacher:", "rebrac", "dataset:", "Hopper-v5"):
        assert word in out


@pytest.mark.parametrize("objective", ["dbc", "pbc", "av-pbc", "q-gap", "random"])
def test_offline_scores_without_an_environment(logs, tmp_path, objective):
    data, teacher = logs
    options: dict[str, Any] = {"recipe": SMALL_STUDENT, "size": 8, "steps": 5, "batch": 64, "students": 2}
    run = potstill.distill(data, teacher=teacher, objective=objective, out=tmp_path / "run", **options)
    result = result_of(run)
    assert result["student"] is None
    assert result["offline"]["students"] == 2
    again = potstill.evaluate(run, students=2, dataset=data, teacher=teacher, out=tmp_path / "eval")
    assert result_of(again)["offline"]["q_gap"]["mean"] >= 0.0


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "unroll", "recipe": narrow("paper"), "optimiser": "sgd", "initial_actions": "data"},
        {"solver": "unroll", "recipe": narrow("reference"), "objective": "av-pbc", "weighting": "reference"},
        {"solver": "sweep", "recipe": SMALL_STUDENT},
    ],
    ids=["paper", "reference", "sweep"],
)
def test_unrolled_distillation(logs, tmp_path, options):
    data, teacher = logs
    run = potstill.distill(data, teacher=teacher, size=6, steps=2, batch=32, students=1, out=tmp_path / "r", **options)
    assert np.isfinite(result_of(run)["curve"][-1]["held_out_loss"])


def test_dbc_without_a_teacher(logs, tmp_path):
    options: dict[str, Any] = {"recipe": SMALL_STUDENT, "size": 8, "steps": 3, "batch": 32}
    run = potstill.distill(logs[0], objective="dbc", out=tmp_path / "run", **options)
    assert potstill.load(run).metadata["teacher"] is None


def test_collect_rolls_a_policy_out(run, tmp_path):
    policy = potstill.load(run).train_student(seed=0).save(tmp_path / "p.safetensors")
    out = potstill.collect("Hopper-v5", policy=policy, steps=120, mantissa_bits=14, out=tmp_path / "c")
    data = potstill.load_dataset(out / "dataset.hdf5")
    assert data.env_id == "Hopper-v5"
    assert 0 < len(data) < 120
    written = json.loads((out / "card.json").read_text())
    assert written["complete"]
    assert written["steps"] == 120
    card: Any = data.card
    assert card["versions"]["gymnasium"]
    again = potstill.collect("Hopper-v5", policy=policy, steps=120, mantissa_bits=14, out=tmp_path / "d")
    assert potstill.load_dataset(again / "dataset.hdf5").content_hash == data.content_hash


def test_collect_trains_sac(tmp_path):
    pytest.importorskip("stable_baselines3", reason="needs the extra 'collect'")
    out = potstill.collect("Pendulum-v1", steps=260, random_steps=200, out=tmp_path / "c")
    data = potstill.load_dataset(out / "dataset.hdf5")
    assert len(data) == 258  # one time-out and the last row have no next state
    assert potstill.load_policy(out / "policy.safetensors")(np.zeros(3)).shape == (1,)


def test_interrupted_distillation_keeps_its_last_checkpoint(logs, tmp_path, monkeypatch):
    from potstill.commands import distillation_loop as command

    optimise = command.optimise_pairs

    def interrupted(*args, **parts):
        for iterate in optimise(*args, **parts):
            if iterate.step == 7:
                raise KeyboardInterrupt
            yield iterate

    monkeypatch.setattr(command, "optimise_pairs", interrupted)
    options: dict[str, Any] = {"recipe": SMALL_STUDENT, "size": 8, "steps": 8, "curve_points": 5, "batch": 32}
    with pytest.raises(KeyboardInterrupt):
        potstill.distill(logs[0], teacher=logs[1], out=tmp_path / "run", **options)
    assert potstill.load(tmp_path / "run").metadata["steps"] == 6
    assert not (tmp_path / "run" / "result.json").exists()
