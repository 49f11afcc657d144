"""World models on the command line: learn one, distil in its states, and evaluate students in it."""

import dataclasses
import functools
import json
import shutil
from typing import Any

import numpy as np
import pytest
from conftest import random_teacher
from linear import linear_rows
from test_teachers import write_npz

import potstill
from potstill.cli import main
from potstill.commands.distillation_loop import make_rollout
from potstill.commands.resolve import resolve_problem
from potstill.config import DistillConfig
from potstill.config.distill_record import to_stored
from potstill.config.settings import record_settings
from potstill.distillation import Visits, VisitSettings
from potstill.errors import PotstillError
from potstill.worlds import WorldSettings, load_world

SMALL: dict[str, Any] = {"members": 2, "width": 16, "layers": 3, "steps": 5, "batch": 64}
NARROW = potstill.Recipe(steps=20, width=16, layers=3, momentum=0.9)
QUICK: dict[str, Any] = {
    "recipe": NARROW,
    "size": 6,
    "steps": 3,
    "batch": 32,
    "students": 2,
    "episodes": 2,
    "curve_points": 1,
}
IMAGINED: dict[str, Any] = {**QUICK, "states": "imagined", "labels": "teacher", "choose": "last"}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Episodes of 20 steps, rollouts of 10 steps and small world models, so that the tests take seconds."""
    few = VisitSettings(lanes=8, horizon=10, every=1, rows=200)
    monkeypatch.setattr("potstill.worlds.returns.DEFAULT_STEPS", 20)
    monkeypatch.setattr("potstill.commands.distillation_loop.Visits", functools.partial(Visits, settings=few))
    monkeypatch.setattr("potstill.commands.automatic_world.WorldSettings", functools.partial(WorldSettings, **SMALL))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Logs of a linear system, and a teacher for it."""
    path = tmp_path_factory.mktemp("linear")
    write_npz(path / "linear.npz", linear_rows())
    random_teacher(states=2, actions=1).save(path / "teacher.safetensors")
    return path


@pytest.fixture(scope="module")
def world_run(folder):
    """The run of ``potstill model``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("potstill.worlds.returns.DEFAULT_STEPS", 20)
        return potstill.model(
            folder / "linear.npz", teacher=folder / "teacher.safetensors", out=folder / "world", episodes=3, **SMALL
        )


@pytest.fixture
def given(folder):
    return {"dataset": folder / "linear.npz", "teacher": folder / "teacher.safetensors"}


def hash_of(run):
    return (run / "distillate.safetensors").read_bytes()


class TestModel:
    def test_files_of_the_run_folder(self, world_run):
        names = {path.name for path in world_run.path.iterdir()}
        assert {"config.json", "metrics.jsonl", "result.json", "world.safetensors"} <= names
        result, world = world_run.result, load_world(world_run)
        assert result.horizon == world.horizon == 10
        assert result.errors.to_dict() == world.metadata["errors"]
        assert np.shape(result.teacher.returns) == (1, 3)
        assert world.metadata["settings"] == {**SMALL, "learning_rate": 4e-3, "seed": 0}
        assert world_run.metrics[-1]["model_step"] == 5
        assert world_run.config["command"] == "model"

    def test_same_command_same_bytes(self, world_run, folder, tmp_path):
        again = potstill.model(folder / "linear.npz", out=tmp_path / "again", **SMALL)
        assert (again / "world.safetensors").read_bytes() == (world_run / "world.safetensors").read_bytes()
        assert "teacher" not in again.result  # none is given, and none is bundled

    def test_inspect_describes_it(self, world_run, tmp_path, capsys):
        run = potstill.inspect(world_run, out=tmp_path / "seen")
        assert run.result.kind == "world"
        assert run.result.horizon == 10
        assert "world: " in capsys.readouterr().out

    def test_the_command_line(self, folder, tmp_path, capsys):
        options = [word for name, value in SMALL.items() for word in (f"--{name}", str(value))]
        main(["model", str(folder / "linear.npz"), *options, "--out", str(tmp_path / "run")])
        said = capsys.readouterr().out
        assert "of the variance of a step is unexplained on held-out rows" in said
        assert "accurate for 10 steps" in said

    def test_too_few_rows(self, tmp_path):
        path = write_npz(tmp_path / "few.npz", linear_rows(episodes=9))
        with pytest.raises(PotstillError, match=r"few.*: 180 rows are too few for a world model, expected 500"):
            potstill.model(path, out=tmp_path / "run", **SMALL)
        assert not (tmp_path / "run").exists()

    def test_settings_out_of_range(self, folder):
        for changes in ({"members": 0}, {"steps": 0}, {"episodes": -1}, {"learning_rate": 0.0}):
            with pytest.raises(PotstillError, match=next(iter(changes))):
                potstill.model(folder / "linear.npz", **changes)


class TestDistill:
    def test_in_a_given_world(self, given, world_run, tmp_path):
        run = potstill.distill(**given, world=world_run, out=tmp_path / "run", solver="drawn", **IMAGINED)
        metadata = potstill.load(run).metadata
        assert {name: metadata[name] for name in ("states", "labels", "solver")} == {
            "states": "imagined",
            "labels": "teacher",
            "solver": "drawn",
        }
        assert not (run / "world.safetensors").exists()
        imagined = run.result.imagined
        assert np.shape(imagined.student.returns) == (2, 2)
        assert np.shape(imagined.teacher.returns) == (1, 10)
        assert imagined.horizon == 10
        assert imagined.best == int(np.argmax(np.mean(imagined.student.returns, axis=1)))
        assert f"--states imagined --world {world_run.path}" in metadata["command"]
        assert run.config["world"] == str(world_run.path)
        pairs, teacher = potstill.load(run), random_teacher(states=2, actions=1)
        np.testing.assert_allclose(pairs.actions, teacher.policy(pairs.states), atol=1e-5)
        again = potstill.reproduce(run, out=tmp_path / "again")
        assert hash_of(again) == hash_of(run)

    def test_trained_world_is_saved_and_reproduced(self, given, tmp_path):
        run = potstill.distill(**given, out=tmp_path / "run" / "a", seed=3, **IMAGINED)
        own = load_world(run)
        assert own.metadata["settings"]["seed"] == 3
        again = potstill.reproduce(run, out=tmp_path / "elsewhere" / "b")  # where no model is found
        for name in ("distillate.safetensors", "world.safetensors"):
            assert (again / name).read_bytes() == (run / name).read_bytes()
        saved = potstill.distill(**given, out=tmp_path / "saved", seed=3, world=run, **IMAGINED)
        np.testing.assert_array_equal(potstill.load(saved).states, potstill.load(run).states)

    def test_visits_change_the_pairs(self, given, world_run, tmp_path):
        visited = potstill.distill(**given, world=world_run, out=tmp_path / "a", **IMAGINED)
        of_data = potstill.distill(**given, out=tmp_path / "b", **{**IMAGINED, "states": "data"})
        assert hash_of(visited) != hash_of(of_data)
        assert "imagined" not in of_data.result
        assert "states" not in potstill.load(of_data).metadata

    def test_rollouts_change_the_pairs(self, given, world_run, tmp_path):
        options = {**IMAGINED, "episodes": 0, "steps": 1, "world": world_run}
        runs = [
            potstill.distill(**given, **options, out=tmp_path / str(steps), rollout_steps=steps) for steps in (None, 0)
        ]
        assert [run.config["rollout_steps"] for run in runs] == [16, 0]
        assert hash_of(runs[0]) != hash_of(runs[1])

    def test_rollouts_need_an_objective_with_critics(self, given, world_run):
        world, teacher = load_world(world_run), random_teacher(states=2, actions=1)
        teacher = dataclasses.replace(teacher, metadata={"settings": {"discount": 0.9}})

        def make(**options: Any) -> Any:
            config = DistillConfig(**given, **{**IMAGINED, **options})
            return make_rollout(config, resolve_problem(config), world, teacher)

        found = make()
        assert (found.steps, found.discount, found.noise) == (16, 0.9, 0.3)
        assert make(rollout_steps=3).steps == 3
        assert make(rollout_noise=0.5).noise == 0.5
        assert make(rollout_steps=0) is None
        assert make(objective="pbc") is None  # the default gives way
        with pytest.raises(PotstillError, match="rollout_steps=16 requires an objective with critics, such as q-gap"):
            make(objective="pbc", rollout_steps=16)

    def test_auto_takes_imagined_states_if_the_model_is_accurate(self, given, world_run, tmp_path, monkeypatch, capsys):
        auto = {**QUICK, "states": "auto", "episodes": 0, "choose": "last", "rollout_steps": 2, "rollout_noise": 0.1}
        of_data = potstill.distill(**given, world=world_run, out=tmp_path / "a", **auto)
        said = "states='data', solver='portfolio': the world model is accurate for 10 steps only"
        assert said in capsys.readouterr().out
        metadata = potstill.load(of_data).metadata
        assert ("states" in metadata, metadata["labels"]) == (False, "teacher")  # still for any student
        assert metadata["solver"] == "portfolio"
        monkeypatch.setattr("potstill.commands.automatic_world.LEAST_HORIZON", 10)
        imagined = potstill.distill(**given, world=world_run, out=tmp_path / "b", **auto)
        assert potstill.load(imagined).metadata["states"] == "imagined"
        assert "states='imagined': the world model is accurate for at least 10" in capsys.readouterr().out
        with pytest.raises(PotstillError, match="weighting= cannot be used with states='auto'"):
            potstill.distill(**given, out=tmp_path / "c", **auto, weighting="uniform")

    def test_no_episodes(self, given, world_run, tmp_path):
        options = {**IMAGINED, "choose": "imagined", "solver": "drawn", "episodes": 0}  # which has one kind of students
        run = potstill.distill(**given, world=world_run, out=tmp_path / "run", **options)
        assert "imagined" not in run.result
        losses = {int(step): loss for step, loss in run.result.chosen.losses.items()}
        assert run.result.chosen.by == "imagined"
        assert losses[run.result.chosen.step] == min(losses.values())
        assert "imagined" not in run.result

    def test_new_settings_are_in_distillates_only_if_they_are_given(self):
        """Files of runs without them stay what they were in version 0.1."""
        given: list[dict[str, Any]] = [{"states": "data"}, {"states": "data", "labels": "teacher"}]
        settings = [to_stored(record_settings(DistillConfig("hopper-medium-replay", **options))) for options in given]
        assert not {"states", "world", "labels"} & settings[0].keys()
        assert settings[1]["labels"] == "teacher"
        none = DistillConfig("hopper-medium-replay", states="imagined", rollout_steps=0)
        assert to_stored(record_settings(none))["rollout_steps"] == 0  # not the default there
        assert none.rollout_noise == 0.0  # without rollouts, there is no noise
        quiet = DistillConfig("hopper-medium-replay", states="imagined", rollout_noise=0.0)
        assert to_stored(record_settings(quiet))["rollout_noise"] == 0.0

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"states": "data", "world": "runs/w"}, "world= has no effect without states='imagined'"),
            ({"states": "data", "rollout_steps": 4}, "rollout_steps=4 requires states='imagined' or auto"),
            ({"rollout_steps": -1}, "rollout_steps -1"),
            ({"rollout_noise": -0.5}, "rollout_noise -0.5"),
            ({"rollout_steps": 0, "rollout_noise": 0.5}, "rollout_noise=0.5 has no effect without rollout_steps="),
            ({"objective": "dbc", "labels": "learned"}, "states='imagined' requires an objective with a teacher"),
            ({"objective": "dbc", "states": "data"}, "labels='teacher' requires an objective with a teacher"),
            ({"objective": "random"}, "labels='teacher' requires an objective with a teacher, such as pbc"),
            ({"weighting": "uniform"}, "weighting= cannot be used with states='imagined'"),
            (
                {"recipe": potstill.Recipe(residual=True), "solver": "drawn"},
                "DrawnKernelDescent does not support residual",
            ),
            (
                {"max_steps": 9, "steps": None},
                "max_steps=9 applies only to runs until convergence, .*states='imagined'",
            ),
            ({"world": "no/such/file"}, "no/such/file: no such file"),
        ],
    )
    def test_refused_input(self, given, tmp_path, changes, message):
        with pytest.raises(PotstillError, match=message) as caught:
            potstill.distill(**given, out=tmp_path / "run", **{**IMAGINED, **changes})
        assert "\n" not in str(caught.value)

    def test_worlds_that_cannot_be_used(self, given, world_run, tmp_path, monkeypatch):
        other = write_npz(tmp_path / "other.npz", linear_rows(seed=5))
        with pytest.raises(PotstillError, match=r"learned from other data \(linear\) than other: train one with"):
            potstill.distill(other, teacher=given["teacher"], world=world_run, out=tmp_path / "a", **IMAGINED)
        with pytest.raises(PotstillError, match="expected a world, found teacher"):
            potstill.distill(**given, world=given["teacher"], out=tmp_path / "b", **IMAGINED)
        monkeypatch.setattr("potstill.worlds.base.LARGEST_ERROR", 0.0)
        with pytest.raises(
            PotstillError, match="the errors of the world model are too large for rollouts: use states='data'"
        ):
            potstill.distill(**given, world=world_run, out=tmp_path / "c", **IMAGINED)
        steps = linear_rows(terminations=np.ones(2_000, bool), truncations=np.zeros(2_000, bool))
        single = write_npz(tmp_path / "single.npz", steps)
        with pytest.raises(PotstillError, match="single: no held-out episode has two steps"):
            potstill.distill(single, teacher=given["teacher"], out=tmp_path / "d", **IMAGINED)


class TestEvaluate:
    @pytest.fixture
    def pairs(self, given, tmp_path):
        return potstill.distill(**given, out=tmp_path / "pairs", **QUICK)

    def test_in_a_world(self, pairs, world_run, tmp_path, capsys):
        """A world model replaces an environment."""
        run = potstill.evaluate(pairs, world=world_run, students=2, episodes=3, out=tmp_path / "run")
        result = json.loads((run / "result.json").read_text())
        assert result["student"] is None
        assert np.shape(result["imagined"]["student"]["returns"]) == (2, 3)
        assert "teacher" not in result["imagined"]
        assert "student in the world model" in capsys.readouterr().out
        again = potstill.evaluate(pairs, world=world_run, students=2, episodes=3, out=tmp_path / "again")
        assert again.result.imagined.student.returns == run.result.imagined.student.returns

    def test_without_world_environment_or_dataset(self, pairs, tmp_path):
        alone = shutil.copy(pairs / "distillate.safetensors", tmp_path / "alone.safetensors")
        with pytest.raises(PotstillError, match="does not name an environment: give dataset="):
            potstill.evaluate(alone, out=tmp_path / "run")

    def test_a_world_of_other_sizes(self, world_run, tmp_path):
        with pytest.raises(PotstillError, match="has 2 state and 1 action components, but the pairs have 11 and 3"):
            potstill.evaluate("hopper-medium-replay", world=world_run, out=tmp_path / "run")
        assert not (tmp_path / "run").exists()
