"""Mixtures of distillates: pairs, normaliser, provenance, the task as an input, and what is refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import potstill
from potstill.cli import main
from potstill.data.bounds import ActionBounds, DiscreteActions
from potstill.data.scaling import Scaling
from potstill.data.transitions import Normaliser
from potstill.distillate import Distillate
from potstill.environments import play
from potstill.errors import PotstillError
from potstill.evaluation.scores import FIRST_SEED
from potstill.exports.card import format_card
from potstill.runtime.files import hash_file
from potstill.students import Recipe
from potstill.tasks import merge_distillates, select_task

SMALL = Recipe(steps=20, momentum=0.9, width=8, layers=3)


def make_bounds(*largest):
    """Action bounds of ± these numbers."""
    return ActionBounds(-np.array(largest, np.float32), np.array(largest, np.float32))


def make(seed=0, pairs=6, states=3, bounds=None, recipe=SMALL, **metadata):
    """Pairs of a pendulum, with a normaliser of their own."""
    rng = np.random.default_rng(seed)
    bounds = make_bounds(2) if bounds is None else bounds
    known: dict[str, Any] = dict.fromkeys(("objective", "solver", "potstill"), "x")
    known |= {"env_id": "Pendulum-v1", "dataset": {"name": f"log {seed}"}, "recipe": "custom"}
    known |= {"student": recipe.to_metadata(), **metadata}
    normaliser = Normaliser(rng.normal(size=states), rng.uniform(0.5, 2.0, size=states))
    actions = rng.uniform(0.1, 0.9, size=(pairs, len(bounds))).astype(np.float32)
    return Distillate(rng.normal(size=(pairs, states)).astype(np.float32), actions, Scaling(normaliser, bounds), known)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two distillates of different sizes, in files."""
    monkeypatch.chdir(tmp_path)
    make(0, reference={"random": -1500.0, "expert": -100.0, "source": "ours"}).save("a.safetensors")
    make(1, pairs=4).save("runs/b/distillate.safetensors")
    return "a.safetensors", "runs/b"


def test_pairs_are_unchanged_in_their_own_units():
    parts = [make(0), make(1, pairs=4)]
    mixture = merge_distillates(parts)
    np.testing.assert_array_equal(mixture.states, np.concatenate([part.states for part in parts]))
    np.testing.assert_array_equal(mixture.actions, np.concatenate([part.actions for part in parts]))
    assert (mixture.env_id, mixture.weights, mixture.recipe) == ("Pendulum-v1", None, SMALL)
    told = merge_distillates(parts, task_input=True)
    np.testing.assert_array_equal(told.states[:, :3], mixture.states)
    np.testing.assert_array_equal(told.states[:, 3:], np.repeat(np.eye(2), [6, 4], axis=0))
    assert told.env_id is None
    np.testing.assert_allclose(told.normaliser.mean, [*mixture.normaliser.mean, 0.6, 0.4], rtol=1e-6)
    np.testing.assert_allclose(told.normaliser.scale[3:], np.sqrt(0.6 * 0.4) + 1e-3, rtol=1e-6)


def test_a_mixture_of_two_environments():
    mixture = merge_distillates([make(0), make(1, env_id="Other-v0")])
    view = select_task(mixture, 1)
    assert (mixture.env_id, view.distillate.env_id, view.inputs) == (None, "Other-v0", None)
    assert view.distillate.states.shape == (12, 3)


def test_the_normaliser_is_that_of_the_mixed_data():
    rng = np.random.default_rng(0)
    logs = [rng.normal(loc, 0.5 + loc, size=(100 * size, 3)).astype(np.float32) for loc, size in ((0.0, 6), (2.0, 4))]
    parts = [
        dataclasses.replace(make(i, pairs=size), scaling=Scaling(Normaliser.of(log), make_bounds(2)))
        for i, (size, log) in enumerate(zip((6, 4), logs, strict=True))
    ]
    found, wanted = merge_distillates(parts).normaliser, Normaliser.of(np.concatenate(logs))
    np.testing.assert_allclose(found.mean, wanted.mean, rtol=1e-5)
    np.testing.assert_allclose(found.scale, wanted.scale, rtol=1e-5)


def test_merging_is_associative():
    parts = [make(0), make(1, pairs=4), make(2, pairs=9)]
    whole, stepwise = merge_distillates(parts), merge_distillates([merge_distillates(parts[:2]), parts[2]])
    np.testing.assert_array_equal(whole.states, stepwise.states)
    np.testing.assert_array_equal(whole.actions, stepwise.actions)
    np.testing.assert_allclose(whole.normaliser.mean, stepwise.normaliser.mean, atol=1e-6)
    np.testing.assert_allclose(whole.normaliser.scale, stepwise.normaliser.scale, rtol=1e-5)
    sources = stepwise.metadata["mixture"]["sources"]
    inner = sources[0]["metadata"]["mixture"]["sources"]
    assert [entry["sha256"] for entry in inner] == [part.content_hash for part in parts[:2]]


def test_learned_weights_are_kept():
    weighted = dataclasses.replace(make(1, pairs=4), weights=np.array([0.5, 1.5, 0.5, 1.5], np.float32))
    weights = merge_distillates([make(0), weighted]).weights
    assert weights is not None
    np.testing.assert_array_equal(weights, [1.0] * 6 + [0.5, 1.5, 0.5, 1.5])


def test_a_learning_rate_that_diverges_is_lowered():
    far = [dataclasses.replace(make(i), states=make(i).states * 1e3) for i in range(2)]
    assert merge_distillates(far).recipe.learning_rate < SMALL.learning_rate
    assert merge_distillates([make(0), make(1)]).recipe == SMALL


def test_the_command_writes_the_same_bytes(files):
    words = ["merge", *files, "--task-input"]
    assert main([*words, "--out", "one"]) == 0
    assert main([*words, "--out", "two"]) == 0
    assert hash_file("one/distillate.safetensors") == hash_file("two/distillate.safetensors")
    run = potstill.merge(*files, task_input=True, out="three")
    assert hash_file(run / "distillate.safetensors") == run.result.sha256 == hash_file("one/distillate.safetensors")
    metadata = potstill.load(run).metadata
    assert metadata["command"] == "potstill merge a.safetensors runs/b --task-input"
    sources = metadata["mixture"]["sources"]
    assert [(entry["name"], entry["pairs"]) for entry in sources] == [("a", 6), ("b", 4)]
    assert sources[0]["sha256"] == hash_file("a.safetensors")
    assert sources[1]["metadata"] == potstill.load("runs/b").metadata


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (None, "a mixture needs at least two distillates"),
        ("a.safetensors", "a and a are the same distillate: give it once"),
        (make(1, states=4), "b has 4 components of states, but a has 3"),
        (make(1, bounds=make_bounds(2, 2)), "b has 2 components of actions, but a has 1"),
        (make(1, bounds=make_bounds(1)), "the action bounds of b differ from those of a"),
        (make(1, bounds=DiscreteActions(2)), "b has discrete actions, but a has continuous ones"),
        (make(1, recipe=Recipe()), "b and a were distilled for different students: set --recipe, such as"),
        (
            merge_distillates([make(1, states=1), make(2, states=1)], task_input=True),
            "has the task as an input already",
        ),
        ("missing.safetensors", "missing.safetensors"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_merged(files, capsys, other, message):
    paths = [files[0]] if other is None else [files[0], other if isinstance(other, str) else "b.safetensors"]
    if isinstance(other, Distillate):
        other.save(paths[1])
    assert main(["merge", *paths, "--out", "new/run"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    with pytest.raises(PotstillError, match=r"^[^\n]+$"):
        potstill.merge(*paths, out="new/run")
    assert not Path("new").exists()


def test_an_existing_run_is_kept(files, capsys):
    assert main(["merge", *files, "--out", "run"]) == 0
    before = hash_file("run/distillate.safetensors")
    assert main(["merge", *reversed(files), "--out", "run"]) == 2
    assert hash_file("run/distillate.safetensors") == before
    assert main(["merge", *reversed(files), "--out", "run", "--force"]) == 0
    assert hash_file("run/distillate.safetensors") != before


def test_different_students_need_a_recipe(files):
    make(2, recipe=Recipe()).save("c.safetensors")
    run = potstill.merge(files[0], "c.safetensors", recipe="plain", out="plain")
    assert potstill.load(run).metadata["recipe"] == "plain"
    assert main(["merge", files[0], "c.safetensors", "--recipe.steps", "7", "--out", "seven"]) == 0
    assert potstill.load("seven").recipe == dataclasses.replace(SMALL, steps=7)


def test_students_are_evaluated_in_each_task(files, capsys):
    run = potstill.merge(*files, task_input=True, out="both")
    mixture, first = potstill.load(run), select_task(potstill.load(run), 0)
    assert (first.distillate.reference.expert, first.distillate.states.shape) == (-100.0, (10, 3))
    found = potstill.evaluate(run, task=0, students=2, episodes=2, out="scored").result
    students = mixture.train_students([0, 1])
    told = students.fix_inputs(np.array([1.0, 0.0], np.float32))
    returns = play(told.act_separately, "Pendulum-v1", FIRST_SEED + np.arange(4))
    assert (found.task, found.env_id) == (0, "Pendulum-v1")
    assert found.student.raw_mean == pytest.approx(returns.mean(), rel=1e-4)
    assert found.student.mean == pytest.approx(100 * (returns.mean() + 1500) / 1400, rel=1e-3)
    for words, message in (
        ([], "both: students of this mixture are told the task: name it with --task: 0 (a), 1 (b)"),
        (["--task", "2"], "--task 2: both has only these tasks: 0 (a), 1 (b)"),
        (["--task", "-1"], "--task -1: expected at least 0"),
    ):
        assert main(["evaluate", "both", *words, "--out", "no"]) == 2
        assert message in capsys.readouterr().err
    assert main(["evaluate", files[0], "--task", "0", "--out", "no"]) == 2
    assert "is not a mixture of potstill merge" in capsys.readouterr().err


def test_a_mixture_is_inspected_and_exported(files, capsys):
    run = potstill.merge(*files, task_input=True, out="both")
    assert main(["inspect", "both", "--out", "inspected"]) == 0
    assert "mixture.sources.1.name" in capsys.readouterr().out
    path = potstill.export(run, "both.npz")
    with np.load(path) as archive:
        assert archive["states"].shape == (10, 5)
        assert json.loads(str(archive["potstill"]))["metadata"]["mixture"]["task_input"] is True
    card = format_card(potstill.load(run))
    assert "imitates the teachers of the 2 distillates that were merged; the last components" in " ".join(card.split())
    assert f"- Source 1: b, 4 pairs, SHA-256 `{hash_file('runs/b/distillate.safetensors')}`" in card


@pytest.mark.parametrize("change", [{}, {"towers": 2}, {"residual": True}, {"sampled": True}, {"layers": 1}], ids=str)
def test_fixed_inputs_are_the_last_components(change):
    mixture = merge_distillates([make(0), make(1)], dataclasses.replace(SMALL, **change), task_input=True)
    students, states = mixture.train_students([0, 1]), make(3).states
    for task in np.eye(2, dtype=np.float32):
        told = np.concatenate([states, np.tile(task, (len(states), 1))], axis=1)
        fixed = students.fix_inputs(task)
        np.testing.assert_allclose(fixed.act_as_ensemble(states), students.act_as_ensemble(told), atol=1e-5)
        np.testing.assert_allclose(fixed.make_policy(1)(states), students.make_policy(1)(told), atol=1e-5)
    assert not np.allclose(students.fix_inputs([1.0, 0.0]).make_policy(0)(states), fixed.make_policy(0)(states))
    with pytest.raises(PotstillError, match="5 values: expected fewer than 5"):
        students.fix_inputs(np.zeros(5, np.float32))


def test_damaged_metadata_of_a_mixture():
    for wrong in ({}, {"sources": [1, 2]}, {"sources": [{"metadata": {"env_id": 3}}] * 2}):
        with pytest.raises(PotstillError, match="damaged metadata"):
            select_task(make(mixture=wrong), 0)
    with pytest.raises(PotstillError, match="not a mixture"):
        select_task(make(), 0)


def test_a_mixture_is_neither_explained_nor_audited(files, tmp_path):
    mixture = potstill.merge(*files, task_input=True, out=tmp_path / "mixture")
    for command in (potstill.explain, potstill.audit):
        with pytest.raises(PotstillError, match=r"is a mixture of 2 distillates, .* name one of them instead \("):
            command(mixture, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
