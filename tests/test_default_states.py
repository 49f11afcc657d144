"""The states of the outer loss if none are asked for: where a world model decides, and where it is found."""

import dataclasses
import functools
import json
import signal
from typing import Any

import numpy as np
import pytest
from conftest import make_columns, random_teacher
from linear import linear_rows
from test_teachers import write_npz

import potstill
from potstill.bundled import BUNDLED
from potstill.commands import distillation_loop
from potstill.commands.automatic_world import LEAST_HORIZON, choose_states, find_learned, find_reason
from potstill.commands.model import describe_world
from potstill.config import DistillConfig
from potstill.config.settings import command_line, record_settings
from potstill.data.bounds import DiscreteActions
from potstill.distillation import Portfolio, Visits, VisitSettings
from potstill.errors import PotstillError
from potstill.runtime.files import hash_file
from potstill.runtime.interruption import Interrupted
from potstill.worlds import WorldSettings, load_world

ADAM = dataclasses.replace(potstill.RECIPES["pytorch"], steps=20, width=16)
QUICK: dict[str, Any] = {
    "recipe": ADAM, "size": 6, "steps": 3, "batch": 32, "students": 1, "episodes": 0, "curve_points": 1,
    "choose": "last", "rollout_steps": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "paper"},
        {"private_noise": 1.0},
        {"objective": "random"},
        {"objective": "dbc"},
        {"objective": "av-pbc"},
        {"weighting": "uniform"},
        {"budget": "60s"},
        {"max_steps": 9},
        {"widths": (64,)},
        {"polish": 2},
        {"learn": "both"},
        {"initial_actions": "data"},
        {"solver": "kernel"},
        {"recipe": "plain"},
        {"recipe": potstill.Recipe(optimiser="adam", residual=True)},  # the portfolio refuses it
    ],
    ids=str,
)
def test_options_that_make_the_states_of_the_data_the_default(options):
    config: Any = DistillConfig("x", **options)
    assert (config.states, record_settings(config)["states"]) == ("data", "data")
    assert config.reason.startswith(next(iter(options)))
    assert config.labels == "learned"
    assert DistillConfig("x", **{**options, "states": "data"}).reason is None  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 3, "steps": 9, "size": 5, "labels": "learned", "state_noise": 0.1, "learn": "weights"},
        {"objective": "pbc", "solver": "portfolio", "recipe": "adam"},
        {"solver": Portfolio(potstill.RECIPES["pytorch"])},
        {"rollout_noise": 0.1},
        {"budget": "60s", "world": "runs/w"},
    ],
    ids=str,
)
def test_options_with_which_the_world_model_decides(options):
    config: Any = DistillConfig("x", **options)
    assert (config.states, record_settings(config)["states"], config.batch) == (None, None, None)
    again = dataclasses.replace(config, states="imagined")
    assert (again.batch, again.given_steps) == (512, options.get("steps", 600))
    assert "--states imagined" in command_line("distill", again)
    assert "--states" not in command_line("distill", config)


def test_the_default_solver_decides_for_whom_the_pairs_are():
    quick, any_student = (DistillConfig("x", states="data", solver=solver) for solver in (None, "portfolio"))
    assert (quick.solver, quick.labels, quick.recipe, quick.given_steps) == ("kernel", "learned", "default", None)
    assert (any_student.labels, any_student.recipe, any_student.choose) == ("teacher", "adam-towers", "last")
    assert (any_student.batch, any_student.given_steps, any_student.rollout_steps) == (512, 600, 0)
    assert command_line("distill", any_student) == "potstill distill x --states data --solver portfolio"
    assert command_line("distill", DistillConfig("x", solver="kernel")) == "potstill distill x --states data"


def test_rollouts_that_have_no_effect_are_refused_in_one_step():
    with pytest.raises(PotstillError, match=r"rollout_noise=0.1 requires states='imagined' or auto"):
        DistillConfig("x", states="data", rollout_noise=0.1)
    with pytest.raises(PotstillError, match=r"rollout_noise=0.1 has no effect without rollout_steps="):
        DistillConfig("x", rollout_steps=0, rollout_noise=0.1)


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Logs of a linear system, their teacher, and settings with which worlds and visits take a second."""
    few = VisitSettings(lanes=8, horizon=10, every=1, rows=200)
    small: dict[str, Any] = {"members": 2, "width": 16, "layers": 3, "steps": 5, "batch": 64}
    monkeypatch.setattr("potstill.commands.distillation_loop.Visits", functools.partial(Visits, settings=few))
    monkeypatch.setattr("potstill.commands.automatic_world.WorldSettings", functools.partial(WorldSettings, **small))
    monkeypatch.setattr("potstill.commands.automatic_world.LEAST_HORIZON", 10)
    teacher = random_teacher(states=2, actions=1).save(tmp_path / "teacher.safetensors")
    return {"dataset": write_npz(tmp_path / "linear.npz", linear_rows()), "teacher": teacher}


def bytes_of(run):
    return (run / "distillate.safetensors").read_bytes()


def test_the_world_is_trained_found_again_and_reproduced(given, tmp_path, capsys):
    run = potstill.distill(**given, out=tmp_path / "a", seed=2, **QUICK)
    assert "states='imagined': the world model is accurate for at least 10 steps" in capsys.readouterr().out
    assert (run.config["states"], run.config["labels"], run.result.states) == (None, None, "imagined")
    pairs = potstill.load(run)
    assert (pairs.metadata["states"], pairs.metadata["labels"]) == ("imagined", "teacher")
    assert "--states" not in pairs.command
    assert load_world(run).metadata["settings"]["seed"] == 0  # distillations with other seeds share it
    other = potstill.distill(**given, out=tmp_path / "b", seed=5, **QUICK)
    assert f"world model: {tmp_path / 'a'}, trained on these data before" in capsys.readouterr().out
    assert not (other / "world.safetensors").exists()
    again = potstill.reproduce(run, out=tmp_path / "c")
    assert bytes_of(again) == bytes_of(run)
    assert f"world model: {tmp_path / 'a'}" in capsys.readouterr().out
    data = potstill.load_dataset(given["dataset"])
    find = functools.partial(find_learned, folder=tmp_path / "c")
    settings = WorldSettings(**load_world(run).metadata["settings"])
    assert find(settings, data) == tmp_path / "a"
    assert find(dataclasses.replace(settings, seed=1), data) is None
    assert find(settings, data.take(np.arange(1_000))) is None


def test_an_interrupted_run_gives_the_same_bytes(given, tmp_path, monkeypatch):
    whole = potstill.distill(**given, out=tmp_path / "whole" / "a", **QUICK)
    optimise = distillation_loop.optimise_pairs

    def interrupted(*args, **parts):
        for iterate in optimise(*args, **parts):
            if iterate.step == 2:
                signal.raise_signal(signal.SIGINT)
            yield iterate

    with monkeypatch.context() as patch:
        patch.setattr(distillation_loop, "optimise_pairs", interrupted)
        with pytest.raises(Interrupted, match="stopped after step 2") as caught:
            potstill.distill(**given, out=tmp_path / "part" / "a", **QUICK)
    assert "--states" not in str(caught.value)
    run = potstill.distill(**given, out=tmp_path / "part" / "a", resume=True, **QUICK)
    assert bytes_of(run) == bytes_of(whole)


def shuffle(rows):
    return rows.take(np.random.default_rng(0).permutation(len(rows)))


def end_each_step(rows):
    return dataclasses.replace(rows, terminations=np.ones(len(rows), bool), truncations=np.zeros(len(rows), bool))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda rows: rows.take(np.arange(400)), "linear: 400 rows are too few for a world model, expected 500"),
        (shuffle, "the rows are not in the order of their episodes"),
        (end_each_step, "linear: no held-out episode has two steps, so a world model cannot be tested"),
    ],
    ids=["few", "shuffled", "single steps"],
)
def test_data_without_a_world_model(change, reason, capsys):
    """The model is not even trained."""
    config, world = choose_states(DistillConfig("x", rollout_steps=3), change(linear_rows()))
    assert (config.states, config.rollout_steps, config.solver, world) == ("data", 0, "portfolio", None)
    assert (config.labels, config.recipe, config.batch, config.given_steps) == ("teacher", "adam-towers", 512, 600)
    assert capsys.readouterr().out == f"states='data', solver='portfolio': {reason}\n"


def test_an_inaccurate_world_gives_the_run_on_the_states_of_the_data(given, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("potstill.commands.automatic_world.LEAST_HORIZON", LEAST_HORIZON)
    run = potstill.distill(**given, out=tmp_path / "a", **QUICK)
    assert "states='data', solver='portfolio': the world model is accurate for 10 steps only" in capsys.readouterr().out
    assert (run.result.states, (run / "world.safetensors").exists()) == ("data", True)
    asked = potstill.distill(**given, out=tmp_path / "b", states="data", solver="portfolio", **QUICK)
    assert "states='data'" not in capsys.readouterr().out
    assert bytes_of(run) == bytes_of(asked)
    assert potstill.load(run).metadata["labels"] == "teacher"
    assert potstill.load(run).command.endswith(" --states data")
    assert bytes_of(potstill.reproduce(run, out=tmp_path / "c")) == bytes_of(run)


def test_discrete_actions_need_no_world(data):
    bounds = DiscreteActions(3)
    actions = bounds.to_vectors(np.zeros(len(data), int))
    discrete = dataclasses.replace(data, actions=actions, action_bounds=bounds)
    assert find_reason(DistillConfig("x"), discrete) == "the actions are discrete"
    assert find_reason(DistillConfig("x"), data) == ""


def test_the_reason_of_an_option_is_printed(tmp_path, capsys):
    np.savez(tmp_path / "log.npz", **make_columns())
    potstill.distill(tmp_path / "log.npz", objective="dbc", out=tmp_path / "run", **QUICK)
    assert "states='data': the default with objective='dbc'\n" in capsys.readouterr().out


def test_the_bundled_world_is_that_of_the_bundled_dataset(tmp_path):
    name = "hopper-medium-replay"
    data, world, path = potstill.load_dataset(name), load_world(name), BUNDLED / f"{name}.world.safetensors"
    assert world.metadata["dataset"] == {"name": name, "sha256": data.content_hash, "rows": len(data)}
    assert world.horizon >= LEAST_HORIZON
    record = json.loads(path.with_name(f"{name}.world.json").read_text())
    assert record["result"]["sha256"] == hash_file(path)
    assert record["result"]["errors"] == world.metadata["errors"]
    assert find_learned(WorldSettings(), data, tmp_path / "run") == path
    assert find_learned(WorldSettings(), data.take(np.arange(1_000)), tmp_path / "run") is None


def test_without_rewards_the_world_model_chooses_no_iterate(given, tmp_path, capsys):
    """The returns of all students are 0 up to rounding errors, and the best of them would be the best of nothing."""
    rows = dataclasses.replace(linear_rows(), rewards=np.zeros(len(linear_rows()), np.float32))
    path = write_npz(tmp_path / "unrewarded.npz", rows)
    given = given | {"dataset": path} | {name: value for name, value in QUICK.items() if name != "choose"}
    run = potstill.distill(**given, states="imagined", out=tmp_path / "a")
    printed = capsys.readouterr().out
    assert "choose='held-out': the rewards do not distinguish policies\n" in printed
    assert "in the world model" not in printed
    assert run.result["chosen"]["by"] == "held-out"
    assert run.result.get("imagined") is None
    assert potstill.load(run).metadata["settings"]["choose"] == "held-out"
    with pytest.raises(PotstillError, match="choose='imagined': the rewards of unrewarded do not distinguish policies"):
        potstill.distill(**given, choose="imagined", out=tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_a_world_model_that_explains_nothing_is_described_in_plain_numbers():
    world = load_world("hopper-medium-replay")
    for share, text in ((1.0, "100 %"), (1.234, "123 %"), (0.997, "100 %"), (0.0123, "1.2 %")):
        metadata = world.metadata | {"errors": {**world.metadata["errors"], "one_step": share}}
        assert f": {text} of the variance" in describe_world(dataclasses.replace(world, metadata=metadata))


def test_files_of_other_data_are_not_read_whole(given, tmp_path, monkeypatch):
    """The metadata tell whether a file can be the one."""
    path = tmp_path / "w" / "world.safetensors"
    load_world("hopper-medium-replay").save(path)

    def refuse(path):
        raise AssertionError

    monkeypatch.setattr("potstill.commands.automatic_world.load_world", refuse)
    data = potstill.load_dataset(given["dataset"])
    assert find_learned(WorldSettings(), data, tmp_path / "run") is None
    path.write_bytes(path.read_bytes()[:100])
    assert find_learned(WorldSettings(), data, tmp_path / "run") is None
