"""All formats and names of a dataset give the same transitions, and invalid data are refused in one line."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import h5py
import jaxtyping
import numpy as np
import pytest
from golden.write import episodes, write_d3rlpy, write_minari, write_pandas

from potstill.data.bounds import ActionBounds
from potstill.data.registry import load_dataset
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError

GOLDEN = Path(__file__).parent / "golden"


def refused(source, *words, **options):
    with pytest.raises(PotstillError) as caught:
        load_dataset(source, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def pairs_of(parts, low=-1.0):
    """The transitions of whole episodes, as in Minari's layout."""
    join = lambda key, rows=slice(None): np.concatenate([part[key][rows] for part in parts])  # noqa: E731
    size = parts[0]["actions"].shape[1]
    return Transitions(
        observations=join("observations", slice(None, -1)).astype(np.float32),
        actions=join("actions").astype(np.float32),
        rewards=join("rewards").astype(np.float32),
        next_observations=join("observations", slice(1, None)).astype(np.float32),
        terminations=join("terminations"),
        truncations=join("truncations"),
        action_bounds=ActionBounds(np.full(size, low, np.float32), np.full(size, -low, np.float32)),
    )


def write_columns(path, columns):
    if path.suffix == ".npz":
        np.savez(path, **columns)
    elif path.suffix == ".parquet":
        pa = pytest.importorskip("pyarrow")
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.table({k: list(v) for k, v in columns.items()}), path)
    else:
        with h5py.File(path, "w") as file:
            for key, value in columns.items():
                file[key] = value
    return path


def hand_minari(folder, parts, metadata=()):
    """Minari's HDF5 layout, written by hand."""
    (folder / "data").mkdir(parents=True)
    with h5py.File(folder / "data" / "main_data.hdf5", "w") as file:
        for number, part in enumerate(parts):
            for key, value in part.items():
                file[f"episode_{number}/{key}"] = value
    box = lambda size, bound: {"type": "Box", "shape": [size], "low": [-bound] * size, "high": [bound] * size}  # noqa: E731
    content = {
        "data_format": "hdf5",
        "total_episodes": len(parts),
        "total_steps": sum(len(part["rewards"]) for part in parts),
        "observation_space": json.dumps(box(3, np.inf)),
        "action_space": json.dumps(box(parts[0]["actions"].shape[1], 2.0)),
    }
    (folder / "data" / "metadata.json").write_text(json.dumps(content | dict(metadata)))
    return folder


def hand_d3rlpy(path, parts, terminated):
    columns = {"num_episodes": len(parts)}
    for i, part in enumerate(parts):
        columns |= {f"{key}_{i}": part[key] for key in ("observations", "actions", "rewards")}
        columns[f"terminated_{i}"] = terminated[i]
    return write_columns(path, columns)


# ---- files that the other projects' own libraries wrote


@pytest.mark.parametrize("form", ["hdf5", "arrow"])
def test_golden_minari(form):
    if form == "arrow":
        pytest.importorskip("pyarrow")
    data = load_dataset(GOLDEN / "golden" / f"{form}-v0")
    assert data.content_hash == pairs_of(list(episodes()), -2).content_hash
    assert (data.name, data.env_id, data.card["algorithm_name"]) == (f"golden/{form}-v0", None, "none")
    assert data.card["action_bounds"] == "file"
    np.testing.assert_array_equal([data.action_bounds.low, data.action_bounds.high], [[-2, -2], [2, 2]])


@pytest.mark.filterwarnings("ignore:.*no rewards")
@pytest.mark.parametrize("form", ["hdf5", "arrow"])
def test_minari_without_some_columns(form):
    if form == "arrow":
        pytest.importorskip("pyarrow")
    data = load_dataset(GOLDEN / "golden" / f"{form}-v0", columns="rewards=none,terminations=none")
    assert (len(data), data.rewards.any(), data.terminations.any()) == (7, False, False)
    with pytest.raises(PotstillError, match=r"columns='dones': the roles in Minari's layout are observations, "):
        load_dataset(GOLDEN / "golden" / f"{form}-v0", columns="dones=x")


def test_golden_minari_by_name_and_by_file(monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(GOLDEN))
    named = load_dataset("minari:golden/hdf5-v0")
    file = load_dataset(GOLDEN / "golden" / "hdf5-v0" / "data" / "main_data.hdf5")
    assert named.content_hash == file.content_hash


def test_golden_d3rlpy_follows_d4rls_rule(tmp_path):
    data = load_dataset(GOLDEN / "d3rlpy.h5")
    parts = list(episodes())
    columns = {key: np.concatenate([part[key] for part in parts]) for key in ("actions", "rewards")}
    columns["actions"] = columns["actions"] / 2
    columns["observations"] = np.concatenate([part["observations"][:-1] for part in parts])
    columns["terminals"], columns["timeouts"] = (
        np.concatenate([part[key] for part in parts]) for key in ("terminations", "truncations")
    )
    assert len(data) == 4 + 3 - 1
    assert data.terminations.tolist() == [False, False, False, True, False, False]
    assert data.content_hash == load_dataset(write_columns(tmp_path / "d4rl.hdf5", columns)).content_hash


def test_golden_pandas():
    pytest.importorskip("pyarrow")
    parts = [part | {"actions": part["actions"] / 2} for part in episodes()]
    assert load_dataset(GOLDEN / "pandas.parquet").content_hash == pairs_of(parts).content_hash


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_minari_writes_what_is_read(tmp_path, monkeypatch):
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    write_minari(tmp_path, ("hdf5", "arrow", "parquet"))
    read = [load_dataset(f"minari:golden/{form}-v0") for form in ("hdf5", "arrow", "parquet")]
    assert {data.content_hash for data in read} == {pairs_of(list(episodes()), -2).content_hash}


def test_d3rlpy_writes_what_is_read(tmp_path):
    pytest.importorskip("d3rlpy")
    write_d3rlpy(tmp_path / "buffer.h5")
    assert load_dataset(tmp_path / "buffer.h5").content_hash == load_dataset(GOLDEN / "d3rlpy.h5").content_hash


def test_pandas_writes_what_is_read(tmp_path):
    pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    write_pandas(tmp_path / "x.parquet")
    assert load_dataset(tmp_path / "x.parquet").content_hash == load_dataset(GOLDEN / "pandas.parquet").content_hash


@pytest.mark.parametrize("library", ["datasets", "polars"])
def test_other_table_libraries(tmp_path, library):
    frames = pytest.importorskip(library)
    rows = dataclasses.asdict(pairs_of([part | {"actions": part["actions"] / 2} for part in episodes()]))
    table = {key: rows[key].tolist() for key in ("observations", "actions", "rewards", "terminations", "truncations")}
    table["next_observations"] = rows["next_observations"].tolist()
    path = str(tmp_path / "x.parquet")
    if library == "datasets":
        frames.Dataset.from_dict(table).to_parquet(path)
    else:
        frames.DataFrame(table).write_parquet(path)
    assert load_dataset(path).content_hash == load_dataset(GOLDEN / "pandas.parquet").content_hash


# ---- one dataset in every format


def timed_out(count=4, states=3, actions=2):
    """Episodes that time out. Every format can represent all of their rows."""
    rng = np.random.default_rng(1)
    for number in range(count):
        steps = 5 + number
        last = np.arange(steps) == steps - 1
        yield {
            "observations": rng.normal(size=(steps + 1, states)).astype(np.float32),
            "actions": rng.uniform(-1, 1, size=(steps, actions)).astype(np.float32),
            "rewards": rng.normal(size=steps).astype(np.float32),
            "terminations": np.zeros(steps, bool),
            "truncations": last,
        }


def test_every_format_gives_the_same_transitions(tmp_path):
    parts = list(timed_out())
    whole = pairs_of(parts)
    grown = [  # D4RL and d3rlpy store the last observation in a separate row, which is not a transition
        {
            "observations": part["observations"],
            **{key: np.append(part[key], part[key][-1:], axis=0) for key in ("actions", "rewards")},
            "terminals": np.zeros(len(part["observations"]), bool),
            "timeouts": np.append(np.zeros(len(part["rewards"]), bool), True),
        }
        for part in parts
    ]
    join = lambda parts, key: np.concatenate([part[key] for part in parts])  # noqa: E731
    pairs = {key: getattr(whole, key) for key in parts[0]} | {"next_observations": whole.next_observations}
    last = {key: join(parts, key) for key in parts[0]}
    sources = {
        "arrays": pairs,
        "arrays with last observations": last,
        "arrays, float64": {
            key: v.astype(np.float64) if v.dtype == np.float32 else v[:, None] for key, v in pairs.items()
        },
        "npz": write_columns(tmp_path / "a.npz", pairs),
        "npz with last observations": write_columns(tmp_path / "b.npz", last),
        "hdf5": write_columns(tmp_path / "c.hdf5", {key: join(grown, key) for key in grown[0]}),
        "hdf5 with last observations": write_columns(
            tmp_path / "d.hdf5",
            {{"terminations": "terminals", "truncations": "timeouts"}.get(k, k): last[k] for k in last},
        ),
        "d3rlpy": hand_d3rlpy(tmp_path / "e.h5", grown, [False] * 4),
        "minari": hand_minari(tmp_path / "f", parts),
        "transitions": whole,
    }
    assert {name: load_dataset(source).content_hash for name, source in sources.items()} == dict.fromkeys(
        sources, whole.content_hash
    )


def test_parquet_gives_the_same_transitions(tmp_path):
    pytest.importorskip("pyarrow")
    whole = pairs_of(list(timed_out()))
    pairs = {key: getattr(whole, key) for key in ("observations", "actions", "rewards", "next_observations")}
    pairs |= {"terminations": whole.terminations, "truncations": whole.truncations}
    for pattern in ("{}_{}", "{}.{}", "{}[{}]"):
        flat: dict[str, Any] = {}
        for key, values in pairs.items():
            name = key.removesuffix("s")
            flat |= {pattern.format(name, i): v for i, v in enumerate(values.T)} if values.ndim == 2 else {name: values}
        assert load_dataset(write_columns(tmp_path / "flat.parquet", flat)).content_hash == whole.content_hash
    assert load_dataset(write_columns(tmp_path / "lists.parquet", pairs)).content_hash == whole.content_hash


def test_transitions_are_returned_as_they_are(data):
    assert load_dataset(data) is data


def test_arrays_are_copied():
    arrays = {key: getattr(pairs_of(list(timed_out())), key) for key in ("observations", "actions", "rewards")}
    arrays |= {"terminations": np.ones(26, bool), "next_observations": arrays["observations"]}
    data = load_dataset(arrays)
    arrays["observations"][:] = 0
    assert data.observations.any()


def test_d3rlpy_one_files_keep_their_timeouts(tmp_path, columns):
    wanted = load_dataset(write_columns(tmp_path / "a.hdf5", columns)).content_hash
    columns["episode_terminals"] = columns.pop("timeouts") | columns["terminals"]
    assert load_dataset(write_columns(tmp_path / "b.h5", columns)).content_hash == wanted


# ---- names


def test_d4rls_cache(tmp_path, monkeypatch, columns):
    monkeypatch.setenv("D4RL_DATASET_DIR", str(tmp_path))
    refused("d4rl:hopper-medium-replay-v2", "hopper_medium_replay-v2.hdf5", str(tmp_path), "D4RL_DATASET_DIR")
    write_columns(tmp_path / "maze2d-umaze-sparse-v1.hdf5", columns)
    assert load_dataset("d4rl:maze2d-umaze-sparse-v1").env_id is None
    columns["observations"], columns["actions"] = np.zeros((60, 11)), np.zeros((60, 3))
    columns["observations"] += np.arange(60)[:, None]
    write_columns(tmp_path / "hopper_medium_replay-v2.hdf5", columns)
    assert load_dataset("d4rl:hopper-medium-replay-v2").env_id == "Hopper-v4"


def test_missing_sources_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    refused("minari:mujoco/hopper/medium-v0", "minari download mujoco/hopper/medium-v0", str(tmp_path))
    refused(tmp_path, "is a folder, but not a dataset", "metadata.json")
    refused("minari-x", "unknown dataset", "or minari:ID, d4rl:NAME, or a path")
    refused("minari:", "expected a name", "minari:mujoco/hopper/medium-v0")
    refused("d4rl:", "expected a name", "d4rl:hopper-medium-v2")
    refused("a" * 5000, "unknown dataset")
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for a user
    refused(7, "source is 7 (int)", "Mapping, Transitions, DataFrame or ReplayBuffer")


def test_the_page_on_data_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"```python\n(.*?)```", (GOLDEN.parents[1] / "docs" / "how-to" / "data.md").read_text(), flags=re.S
    )
    for block in blocks:
        exec(compile(block, "data.md", "exec"), {})
    assert capsys.readouterr().out == "100 3 2\n"
