"""The commands on CartPole: collect, inspect, teach, distill, evaluate and export; and what they refuse."""

import json
import warnings
from typing import Any

import numpy as np
import pytest
from conftest import SMALL_STUDENT
from test_collect import interruption

import potstill
from potstill.collection import training
from potstill.collection.sac import Trainer
from potstill.data.bounds import DiscreteActions
from potstill.errors import PotstillError, PotstillWarning

SMALL: dict[str, Any] = {"size": 6, "steps": 2, "batch": 16, "students": 2, "episodes": 1, "curve_points": 1}


@pytest.fixture(scope="module")
def random_log(tmp_path_factory):
    folder = tmp_path_factory.mktemp("collected")
    return potstill.collect("CartPole-v1", level="random", steps=400, out=folder / "run").path / "dataset.hdf5"


def test_from_collect_to_evaluate(random_log, tmp_path, monkeypatch):
    """Random actions are recorded as numbers; all artefacts know that they are discrete."""
    named = dict(potstill.RECIPES) | {"default": SMALL_STUDENT}  # its students take seconds to train
    monkeypatch.setattr(potstill.RECIPES, "_recipes", named)
    inspected = potstill.inspect(random_log, out=tmp_path / "inspected")
    result = json.loads((inspected.path / "result.json").read_text())
    assert sum(result["actions"]["counts"]) == result["rows"]
    assert min(result["actions"]["counts"]) > 0.3 * result["rows"]
    assert "number of the action" in (inspected.path / "inspect.html").read_text()
    options: dict[str, Any] = {"updates": 4, "batch": 16, "evaluate_every": 4, "episodes": 1}
    teacher = potstill.teach(random_log, algorithm="bc", fitted_updates=2, out=tmp_path / "teacher", **options)
    run = potstill.distill(random_log, teacher=teacher, out=tmp_path / "run", **SMALL)
    distillate = potstill.load(run)
    assert distillate.action_bounds == DiscreteActions(2)
    np.testing.assert_allclose(distillate.actions.sum(-1), 1.0, rtol=1e-5)
    assert distillate.metadata["recipe"] == "default"
    assert distillate.recipe.loss == "cross-entropy"
    assert run.result.student.raw_mean >= 8.0  # of an episode of CartPole
    again = potstill.evaluate(run, students=2, episodes=1, dataset=random_log, teacher=teacher, out=tmp_path / "again")
    assert again.result.offline.imitation_error.mean == pytest.approx(run.result.offline.imitation_error.mean)
    fixed = potstill.distill(random_log, teacher=teacher, labels="fixed", out=tmp_path / "fixed", **SMALL)
    back = potstill.load_dataset(potstill.export(fixed.path, tmp_path / "pairs.hdf5"))
    np.testing.assert_array_equal(back.actions, potstill.load(fixed).actions)
    copied = potstill.convert(random_log, out=tmp_path / "copied")
    assert potstill.load_dataset(copied.path).action_bounds == DiscreteActions(2)


def test_minari_and_policies(random_log, tmp_path):
    pytest.importorskip("minari")
    options: dict[str, Any] = {"level": "random", "steps": 400, "format": "minari"}
    run = potstill.collect("CartPole-v1", out=tmp_path / "run", **options)
    data, rows = potstill.load_dataset(run.path / "cartpole-random-v0"), potstill.load_dataset(random_log)
    assert data.action_bounds == DiscreteActions(2)
    np.testing.assert_array_equal(data.actions[:20], rows.actions[:20])


def test_refused(random_log, tmp_path):
    for options, words in (
        ({"states": "imagined"}, "states='imagined' applies only to continuous"),
        ({"action_limit": 2.0}, "action_limit= applies only to continuous"),
        ({"solver": "ridge"}, "for discrete actions, choose solver='kernel'"),
        ({"recipe": "reference", "solver": "unroll"}, "cross-entropy, without samples"),
        ({"teacher": "hopper-medium-replay"}, "takes continuous actions, but the actions of dataset are discrete"),
        ({"actions": "continuous"}, "actions='continuous', but the actions of the file are discrete"),
    ):
        with pytest.raises(PotstillError, match=words):
            potstill.distill(random_log, out=tmp_path / "run", **options)
        assert not (tmp_path / "run").exists()
    with pytest.raises(PotstillError, match=r"rebrac learns continuous actions: .*algorithm='iql', cal-ql or bc"):
        potstill.teach(random_log, out=tmp_path / "run")
    with pytest.raises(PotstillError, match="world models of discrete actions are not supported"):
        potstill.model(random_log, out=tmp_path / "run")
    hopper = potstill.load_teacher("hopper-medium-replay").policy.save(tmp_path / "p.safetensors")
    with pytest.raises(PotstillError, match="takes continuous actions, but those of CartPole-v1 are discrete"):
        potstill.collect("CartPole-v1", policy=hopper, out=tmp_path / "run")


def test_resumed_dqn_is_byte_identical(tmp_path, monkeypatch):
    """Networks, optimiser, replay buffer, target network's clock and generators are restored."""
    pytest.importorskip("stable_baselines3", reason="needs the extra 'collect'")
    monkeypatch.setattr(training, "SAVE_INTERVAL", 20)
    monkeypatch.setattr("potstill.collection.dqn.TARGET_UPDATE", 30)
    options: dict[str, Any] = {"steps": 160, "random_steps": 20, "evaluate_every": 100}
    whole = potstill.collect("CartPole-v1", out=tmp_path / "whole", **options)
    with interruption(monkeypatch, Trainer, "advance", 130):
        potstill.collect("CartPole-v1", out=tmp_path / "run", **options)
    assert (tmp_path / "run" / "training.safetensors").exists()
    potstill.collect("CartPole-v1", out=tmp_path / "run", resume=True, **options)
    for name in ("dataset.hdf5", "policy.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (whole.path / name).read_bytes()
    card = json.loads((whole.path / "card.json").read_text())
    assert card["algorithm"] == "dqn"
    assert "all transitions of DQN's training" in (whole.path / "README.md").read_text()
    policy = potstill.load_policy(whole.path / "policy.safetensors")
    assert (policy.head, policy(np.zeros((3, 4))).shape) == ("softmax", (3,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PotstillWarning)
        assert potstill.load_dataset(whole.path / "dataset.hdf5").action_bounds == DiscreteActions(2)
