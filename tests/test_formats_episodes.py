"""Replay buffers of other projects, and files with a group or a row for each episode, as in ``test_formats.py``."""

import json
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import SHARED
from test_formats import ACT, ENDED, EPISODE, LAST, NEXT, OBS, REW, STEPS, check, check_warns, joined, trajectories
from test_readers import refused, write_columns

from potstill.data.registry import load_dataset

# ---- replay buffers


def buffer(lanes=1, size=15, shift=0, **changes):
    """A replay buffer of stable-baselines3, filled in a ring from ``shift`` on: one or three environments."""
    rows = (np.arange(size) - shift) % size
    shaped = lambda array: array.reshape(lanes, size, *array.shape[1:]).swapaxes(0, 1)[rows]  # noqa: E731
    values = {
        "observations": shaped(OBS),
        "next_observations": shaped(NEXT),
        "actions": shaped(ACT),
        "rewards": shaped(REW),
        "dones": shaped(LAST.astype("f4")),
        "timeouts": shaped((LAST & ~ENDED).astype("f4")),
        "pos": shift,
        "full": True,
        "optimize_memory_usage": False,
        "action_space": SimpleNamespace(low=np.array([-1, -1], np.float32), high=np.array([1, 1], np.float32)),
    }
    return SimpleNamespace(**values | changes)


@pytest.mark.parametrize(("lanes", "size", "shift"), [(1, 15, 0), (1, 15, 7), (3, 5, 2)])
def test_stable_baselines3_replay_buffers(tmp_path, lanes, size, shift):
    replay = buffer(lanes, size, shift)
    check(load_dataset(replay))
    arrays = {key: value for key, value in vars(replay).items() if key not in ("action_space", "optimize_memory_usage")}
    check(load_dataset(arrays))
    check(load_dataset(write_columns(tmp_path / "x.npz", arrays)))


def test_a_replay_buffer_that_is_not_full():
    replay = buffer(1, 15, 0, pos=10, full=False)
    check(load_dataset(replay), np.arange(15) < 10)
    refused(buffer(pos=0, full=False), "the replay buffer is empty")
    refused(buffer(pos=99), "pos is 99")


def test_a_replay_buffer_that_shares_observations():
    """With ``optimize_memory_usage`` the next observation of each row is in the following place of the ring."""
    ring = {
        "next_observations": None,
        "optimize_memory_usage": True,
        "dones": np.zeros((15, 1)),
        "timeouts": np.zeros((15, 1)),
    }
    walk = np.arange(16.0)[:, None, None] * np.ones((1, 1, 3))
    shared = buffer(**ring | {"observations": walk[:15], "pos": 0, "full": False})
    shared.pos = 14
    del shared.next_observations
    data = load_dataset(shared)
    np.testing.assert_array_equal(data.next_observations, data.observations + 1)
    assert len(data) == 14
    shared.full, shared.pos, shared.observations = True, 4, np.roll(walk[:15], 5, axis=0)
    data = load_dataset(shared)  # place 4 has the oldest action, and the newest next observation
    np.testing.assert_array_equal(data.next_observations, data.observations + 1)
    assert len(data) == 14


def test_actions_of_a_replay_buffer_are_in_units_of_the_bounds():
    space = SimpleNamespace(low=np.array([0, 15], np.float32), high=np.array([3000, 35], np.float32))
    data = load_dataset(buffer(action_space=space))
    np.testing.assert_allclose(data.action_bounds.to_unit(data.actions), ACT, atol=1e-5)
    assert data.actions[:, 1].min() >= 15
    raw = np.stack([ACT[:, 0] * 1500 + 1500, ACT[:, 1] * 10 + 25], axis=1)[:, None]
    np.testing.assert_allclose(load_dataset(buffer(action_space=space, actions=raw)).actions, raw[:, 0])


@pytest.mark.parametrize("parts", [1, 3])
def test_tianshous_replay_buffers(tmp_path, parts):
    """One ring of all rows, or one ring for each environment with places that are not used yet."""
    path, places = tmp_path / "x.hdf5", 15 // parts
    capacity = places if parts == 1 else places + 2
    rows = np.concatenate(
        [[*range(part * places, (part + 1) * places), *[0] * (capacity - places)] for part in range(parts)]
    )
    turned = np.roll(rows, 4) if parts == 1 else rows
    columns = {"obs": OBS, "act": ACT, "rew": REW, "terminated": ENDED, "truncated": LAST & ~ENDED, "done": LAST}
    with h5py.File(path, "w") as file:
        for key, values in {**columns, "obs_next": NEXT}.items():
            file[f"_meta/{key}"] = values[turned]
        file["_meta/info/env_id"] = np.zeros(len(rows))
        file.attrs.update(maxsize=len(rows), _size=15)
        file["last_index"] = [3] if parts == 1 else np.arange(parts) * capacity + places - 1
        if parts > 1:
            file["_offset"], file["_lengths"] = np.arange(parts) * capacity, np.full(parts, places)
    check(load_dataset(path))
    with h5py.File(path, "a") as file:
        del file["last_index"]
        file["last_index"] = [0.5]
    refused(path, "ring")


# ---- files with a group or a row for each episode


def test_robomimic(tmp_path):
    path = tmp_path / "x.hdf5"
    with h5py.File(path, "w") as file:
        for number, part in zip((0, 2, 10), trajectories(), strict=True):  # 2 is before 10
            group = file.create_group(f"data/demo_{number}")
            last = np.arange(STEPS) == STEPS - 1
            group["actions"], group["rewards"], group["dones"] = (
                part["actions"],
                part["rewards"],
                last & part["terminated"],
            )
            for name, rows in (("obs", slice(None, -1)), ("next_obs", slice(1, None))):
                group[f"{name}/b"], group[f"{name}/a"] = part["states"][rows, 2], part["states"][rows, :2]
                group[f"{name}/camera"] = np.zeros((STEPS, 4, 4, 3), np.uint8)
    data = check_warns(lambda: load_dataset(path), "left out: obs/camera")
    check(data)
    assert data.card["action_bounds"] == "file"
    one = load_dataset(path, columns="observations=obs/b")
    np.testing.assert_array_equal(one.next_observations[:, 0], NEXT[:, 2])
    refused(path, "has no 'obs/c'", columns="observations=obs/c")
    with h5py.File(path, "a") as file:
        del file["data/demo_2/obs/a"]
    refused(path, "'obs/a' is missing")
    with h5py.File(path, "a") as file:  # a subset of the demonstrations keeps their numbers
        del file["data/demo_0"], file["data/demo_2"]
        file["data"].attrs["total"] = 5
    assert check_warns(lambda: load_dataset(path), "left out: obs/camera").episode_ends.sum() == 1
    with h5py.File(path, "a") as file:
        file["data"].attrs["total"] = 15
    words = "the attribute total of 'data' is 15, but there are 5 rows"
    check_warns(lambda: load_dataset(path, columns="observations=obs/b"), words)


def lerobot(folder, version, *, rewards=True, features=None):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    columns: dict[str, Any] = {"observation.state": list(OBS[:, :2]), "observation.environment_state": list(OBS[:, 2:])}
    columns |= {"action": list(ACT), "episode_index": EPISODE, "frame_index": np.arange(15) % 5, "next.done": LAST}
    columns |= {"next.reward": REW} if rewards else {}
    (folder / "meta").mkdir(parents=True)
    (folder / "data" / "chunk-000").mkdir(parents=True)
    kinds = {name: {"dtype": "float32", "shape": [1]} for name in columns}
    kinds["observation.images.top"] = {"dtype": "video", "shape": [4, 4, 3]}
    info = {"codebase_version": version, "features": kinds, "total_frames": 15} | (features or {})
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    table = pa.table(columns)
    cuts = [(0, 5), (5, 10), (10, 15)] if version < "v3" else [(0, 8), (8, 15)]
    for number, (start, stop) in enumerate(cuts):
        name = f"episode_{number:06d}" if version < "v3" else f"file-{number:03d}"
        pyarrow.parquet.write_table(table[start:stop], folder / "data" / "chunk-000" / f"{name}.parquet")
    return folder


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_lerobot(tmp_path, version):
    path = lerobot(tmp_path / "x", version)
    data = check_warns(lambda: load_dataset(path), "observation.images.top", "'next.done' does not distinguish")
    check(data, ~LAST, ENDED & False)
    ended = check_warns(lambda: load_dataset(path, columns="terminations=next.done"), "observation.images.top")
    check(ended, None, LAST)
    cloned = lerobot(tmp_path / "y", version, rewards=False)
    data = check_warns(lambda: load_dataset(cloned), "images", "'next.done'", "no rewards")
    check(data, ~LAST, ENDED & False, REW * 0)
    refused(lerobot(tmp_path / "z", version, features={"total_frames": 16}), "15 frames", "total_frames 16")
    refused(lerobot(tmp_path / "w", version, features={"codebase_version": "v1.6"}), "v1.6, expected v2.0")
    refused(lerobot(tmp_path / "v", version, features={"features": {"action": {}}}), "no feature 'observation")


def test_imitation(tmp_path):
    columns = {"obs": joined("states"), "acts": ACT, "rews": REW, "indices": [5, 10], "terminal": [True] * 3}
    hostile = np.array([{"code": "never run"}] * 15, object)
    np.savez(tmp_path / "x.npz", **columns, infos=hostile)  # a pickle, which is never read
    data = check_warns(lambda: load_dataset(tmp_path / "x.npz"), "'terminal' does not distinguish")
    check(data, None, ENDED & False)
    chosen = load_dataset(tmp_path / "x.npz", columns="terminations=terminal")
    check(chosen, None, LAST)
    np.savez(tmp_path / "y.npz", **columns | {"indices": [10, 5]}, infos=hostile)
    refused(tmp_path / "y.npz", "indices are not increasing")
    np.savez(tmp_path / "y.npz", **columns | {"obs": OBS}, infos=hostile)
    refused(tmp_path / "y.npz", "15 observations and 15 actions in 3 trajectories")


def test_imitations_folders(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parts = list(trajectories())
    lists = {"obs": "states", "acts": "actions", "rews": "rewards"}
    table = pa.table({name: [part[key].tolist() for part in parts] for name, key in lists.items()})
    table = table.append_column("terminal", [[True] * 3]).append_column("infos", [[['{"py/object": "os"}'] * 5] * 3])
    with pa.OSFile(str(tmp_path / "data.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}]}))
    check(check_warns(lambda: load_dataset(tmp_path), "'terminal' does not distinguish"), None, ENDED & False)
    check(load_dataset(tmp_path, columns="terminations=terminal"), None, LAST)
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "../data.arrow"}]}))
    refused(tmp_path, "a file outside the folder")


@pytest.mark.skipif(not SHARED.exists(), reason="the shared datasets are not here")
@pytest.mark.parametrize(
    ("name", "rows", "episodes"),
    [
        ("neorl2/SafetyHalfCheetah-high-20000-val.npz", 2_000, 2),
        ("imitation/pendulum.npz", 11_200, 56),
        ("stable-baselines/expert_pendulum.npz", 19_900, 100),
    ],
)
@pytest.mark.filterwarnings("ignore::potstill.errors.PotstillWarning")
def test_published_files(name, rows, episodes):
    data = load_dataset(SHARED / "real" / name)
    assert (len(data), len(data.episode_bounds) - 1, data.terminations.sum()) == (rows, episodes, 0)
