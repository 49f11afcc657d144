"""Levels that train SAC, their checkpoints, and parallel environments."""

import h5py
import numpy as np
import pytest
from test_collect import card_of, collected, constant_policy, interruption, read

import potstill
from potstill.collection import training
from potstill.collection.episodes import Recording
from potstill.collection.rollout import play_episodes
from potstill.collection.sac import Trainer
from potstill.errors import PotstillError
from potstill.runtime import storage

SAC = {"random_steps": 20, "training_steps": 60, "evaluate_every": 25}


@pytest.fixture
def sac():
    pytest.importorskip("stable_baselines3", reason="needs the extra 'collect'")
    return SAC


def test_levels_of_sac(tmp_path, sac):
    run = collected(tmp_path, level="medium-expert", medium_return=-99.0, steps=41, **sac)
    known = card_of(run)["policies"]
    assert [known[name]["steps"] for name in ("medium", "expert")] == [25, 60]
    rows = Recording()
    for name, until in (("medium", 20), ("expert", 41)):
        policy = potstill.load_policy(run / f"{name}.safetensors")
        episodes = play_episodes("Walk-v0", policy.sample, seed=0, first=len(rows.episodes))
        while rows.rows < until:
            rows.add(next(episodes).take_first(until - rows.rows))
    with h5py.File(run / "dataset.hdf5") as columns:
        for key, column in rows.to_columns().items():
            np.testing.assert_array_equal(columns[key], column)


def test_medium_replay_ends_at_the_goal(tmp_path, sac):
    run = collected(tmp_path, level="medium-replay", medium_return=-99.0, **sac)
    assert card_of(run)["steps"] == 25
    assert card_of(run)["complete"]
    whole = collected(tmp_path, name="whole", random_steps=20)
    assert card_of(whole)["level"] == "replay"
    for key in ("observations", "actions", "rewards"):
        with h5py.File(run / "dataset.hdf5") as part, h5py.File(whole / "dataset.hdf5") as all_of_it:
            np.testing.assert_array_equal(part[key][:], all_of_it[key][:25])


def test_sac_below_its_goal_is_an_error(tmp_path, sac):
    words = "the goal of the medium policy is 99, but SAC's best evaluation is .* in 60 steps: raise training_steps="
    with pytest.raises(PotstillError, match=words):
        collected(tmp_path, level="medium", medium_return=99.0, **sac)
    assert not (tmp_path / "run" / "result.json").exists()


def test_sac_with_a_given_expert(tmp_path, sac):
    path = constant_policy().save(tmp_path / "p.safetensors")
    run = collected(tmp_path, level="medium-expert", medium_return=-99.0, policy=path, steps=40, **sac)
    assert not (run / "expert.safetensors").exists()
    np.testing.assert_allclose(read(run).actions[21:], 1.5, rtol=1e-5)
    assert card_of(run)["algorithm"] == "sac and policy p.safetensors"


@pytest.mark.parametrize("level", ["replay", "medium-expert"])
def test_resumed_sac_is_byte_identical(tmp_path, sac, monkeypatch, level):
    """Networks, optimisers, replay buffer and random number generators are restored. The buffer has wrapped around."""
    monkeypatch.setattr(training, "SAVE_INTERVAL", 20)
    monkeypatch.setattr(Trainer, "BUFFER_SIZE", 30)
    options = {**sac, "level": level, "steps": 60} | ({} if level == "replay" else {"medium_return": -99.0})
    whole = collected(tmp_path, name="whole", **options)
    with interruption(monkeypatch, Trainer, "advance", 55):
        collected(tmp_path, **options)
    run = tmp_path / "run"
    assert (run / "training.safetensors").exists()
    assert (run / "dataset.hdf5").exists() == (level == "replay")
    collected(tmp_path, **options, resume=True)
    assert {path.name for path in run.iterdir()} == {path.name for path in whole.path.iterdir()}
    for name in ("dataset.hdf5", *(f"{policy}.safetensors" for policy in card_of(run)["policies"])):
        assert (run / name).read_bytes() == (whole / name).read_bytes()


def test_checkpoint_of_other_networks_is_refused(tmp_path, sac, monkeypatch):
    monkeypatch.setattr(training, "SAVE_INTERVAL", 20)
    with interruption(monkeypatch, Trainer, "advance", 40):
        collected(tmp_path, **sac)
    path = tmp_path / "run" / "training.safetensors"
    arrays, metadata = storage.load(path, "checkpoint")
    lost = next(name for name in arrays if "critic" in name)
    storage.save(path, "checkpoint", {name: arrays[name] for name in arrays if name != lost}, metadata)
    with pytest.raises(PotstillError, match="is a checkpoint of another training"):
        collected(tmp_path, **sac, resume=True)


def test_sac_in_several_environments(tmp_path, sac, monkeypatch):
    monkeypatch.setattr(training, "SAVE_INTERVAL", 20)
    runs = [collected(tmp_path, name=name, environments=3, **sac) for name in ("one", "two")]
    assert read(runs[0]).content_hash == read(runs[1]).content_hash
    with interruption(monkeypatch, Trainer, "advance", 16):
        collected(tmp_path, environments=3, **sac)
    collected(tmp_path, environments=3, **sac, resume=True)
    for run in (*runs, tmp_path / "run"):
        assert card_of(run)["steps"] == 60
        data = read(run)
        inside = ~data.terminations
        grown = (data.next_observations - data.observations)[inside, 1]
        np.testing.assert_allclose(grown, data.actions[inside, 0], rtol=1e-3, atol=1e-4)
