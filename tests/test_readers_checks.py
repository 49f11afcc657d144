"""Data that readers refuse in one line, and data that they accept with a warning."""

import json
import shutil
import sys

import numpy as np
import pytest
from conftest import SHARED
from test_readers import GOLDEN, hand_d3rlpy, hand_minari, pairs_of, refused, timed_out, write_columns

from potstill.data.bounds import ActionBounds
from potstill.data.registry import load_dataset
from potstill.data.suspicions import find_suspicions
from potstill.errors import PotstillWarning

# ---- what is refused


def spoiled_parts(key, change):
    parts = list(timed_out())
    parts[1][key] = change(parts[1][key])
    return parts


def nan_in(values):
    values = values.copy()
    values[2] = np.nan
    return values


@pytest.mark.parametrize(
    ("key", "change", "words"),
    [
        ("observations", lambda x: x[:-1], ["episode 1", "6 observations for 6 actions"]),
        ("observations", lambda x: x[:, :2], ["2 components", "3"]),
        ("rewards", nan_in, ["nan in column rewards", "row 7"]),
        ("actions", lambda x: x.astype(int), ["integers in some episodes"]),
        ("actions", lambda x: x * 9, ["outside its bounds [-2, 2]"]),
        ("truncations", lambda x: ~x, ["episode 1 ends in row 0, but more rows follow"]),
        ("terminations", lambda x: x + 0.5, ["episode 1", "0.5", "expected 0 or 1"]),
        ("rewards", lambda x: x[:-1], ["episode 1", "unequal"]),
    ],
)
def test_bad_minari_episodes(tmp_path, key, change, words):
    refused(hand_minari(tmp_path / "x", spoiled_parts(key, change)), *words)


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({"total_episodes": 5}, ["4 episodes", "list 5"]),
        ({"total_steps": 5}, ["26 steps", "list 5"]),
        ({"data_format": "tar"}, ["'tar'", "hdf5, arrow, parquet"]),
        ({"action_space": '{"type": "Discrete", "n": 3}'}, ["2 action components, but there are 3 actions"]),
        ({"observation_space": '{"type": "Dict"}'}, ["space Dict", "expected a Box or a Dict of boxes"]),
        ({"observation_space": '{"type": "Dict", "subspaces": {"a": {}, "b": {}}}'}, ["'observations/a' is missing"]),
        ({"total_steps": 26.5}, ["total_steps is 26.5, expected a whole number"]),
        ({"action_space": '{"type": "Box"'}, ["metadata"]),
        ({"action_space": "[]", "env_spec": "[1]"}, ["metadata"]),
    ],
)
def test_bad_minari_metadata(tmp_path, metadata, words):
    refused(hand_minari(tmp_path / "x", list(timed_out()), metadata), *words)


def test_minaris_environment(tmp_path):
    parts = list(timed_out(actions=1))
    spec = {"id": "Pendulum-v1", "kwargs": {"render_mode": None}}
    assert load_dataset(hand_minari(tmp_path / "a", parts, {"env_spec": json.dumps(spec)})).env_id == "Pendulum-v1"
    same = hand_minari(tmp_path / "e", parts, {"env_spec": json.dumps(spec | {"max_episode_steps": 200})})
    assert load_dataset(same).env_id == "Pendulum-v1"
    for name, change, why in [
        ("b", {"kwargs": {"g": 9.0}}, "g"),
        ("c", {"id": "Hopper-v5"}, "3 observations columns"),
        ("d", {"id": "AdroitHandDoor-v1"}, "unknown environment"),
        ("f", {"max_episode_steps": 300}, "max_episode_steps 300 instead of 200"),
    ]:
        path = hand_minari(tmp_path / name, parts, {"env_spec": json.dumps(spec | change)})  # type: ignore[operator]
        with pytest.warns(PotstillWarning, match=f"used without an environment.*{why}"):
            assert load_dataset(path).env_id is None


def test_minaris_infinite_bounds_and_dictionaries(tmp_path):
    parts = list(timed_out())
    box = '{"type": "Box", "shape": [2], "low": [-1, -Infinity], "high": [1, 1]}'
    data = load_dataset(hand_minari(tmp_path / "a", parts, {"action_space": box}))
    assert (data.card["action_bounds"], data.action_bounds) == ("nobody", ActionBounds.unit(2))
    nested = [{key: part[key] for key in part if key != "observations"} for part in parts]
    for inner, part in zip(nested, parts, strict=True):
        inner |= {"observations/a": part["observations"][:, :1], "observations/b": part["observations"][:, 1:]}
    path = hand_minari(tmp_path / "b", nested, {"observation_space": '{"type": "Dict"}'})
    joined = load_dataset(path, columns="observations=observations/a+observations/b")
    assert joined.content_hash == load_dataset(hand_minari(tmp_path / "c", parts)).content_hash


def test_bad_d3rlpy_buffers(tmp_path):
    parts, flags = list(timed_out()), [False, True, False, False]
    for part in parts:
        part["observations"] = part["observations"][:-1]
    path = tmp_path / "x.h5"
    assert len(load_dataset(hand_d3rlpy(path, parts, flags))) == 26 - 3
    refused(hand_d3rlpy(path, parts, [False, 0.5, False, False]), "episode 1", "0.5")
    refused(hand_d3rlpy(path, [p | {"actions": p["actions"].astype(int)} for p in parts], flags), "2 columns of int")
    refused(hand_d3rlpy(path, [parts[0], parts[1] | {"rewards": np.zeros(3)}], flags), "episode 1", "unequal")
    refused(write_columns(path, {"num_episodes": 2}), "num_episodes")
    refused(write_columns(path, {"num_episodes": 1, "observations_0_0": np.zeros(2)}), "'observations_0' is missing")


def test_bad_arrays():
    good = {key: getattr(pairs_of(list(timed_out())), key) for key in ("observations", "actions", "rewards")}
    good["terminals"] = np.zeros(26)
    good["timeouts"] = np.arange(26) == 9
    refused({}, "no column 'observations'", "nothing")
    refused({**good, "obs": good["observations"]}, "both 'observations' and 'obs'")
    refused(
        {k: v for k, v in good.items() if k not in ("terminals", "timeouts")} | {"dones": good["terminals"]},
        "'dones' does not distinguish",
        "columns='terminations=dones'",
        "columns='truncations=dones,terminations=none'",
    )
    refused(good | {"observations": [[1, 2], [3]]}, "'observations' is not an array")
    refused(good | {"observations": good["observations"][:-3]}, "observations 23", "26", "28")
    refused(good | {"rewards": good["rewards"].astype(np.float64) * 1e300}, "beyond float32", "column rewards, row 0")
    refused(good | {"terminals": good["terminals"] + 2}, "2.0 in column", "row 0", "0 or 1")
    with pytest.warns(PotstillWarning, match="os:path names a module, which is imported only if you name it yourself"):
        assert load_dataset(good | {"env_id": "os:path"}).env_id is None
    refused(good | {"env_id": "two\nlines"}, "unknown environment")
    paired = good | {"next_observations": good["observations"][:, :2]}
    refused(paired, "next_observations (26, 2)")


class NeedsGradient:
    """A tensor of PyTorch that requires a gradient."""

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")


def test_odd_arrays():
    good = walk(rows=200, every=50)
    masked = np.ma.masked_array(good["observations"], mask=np.arange(600).reshape(200, 3) == 16)
    refused(good | {"observations": masked}, "'observations', row 5, component 1, is masked (1 such values)")
    whole = np.ma.masked_array(good["observations"], mask=np.zeros((200, 3), bool))
    assert load_dataset(good | {"observations": whole}).content_hash == load_dataset(good).content_hash
    refused(good | {"actions": NeedsGradient()}, "'actions' is not an array", "detach()")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (np.arange(200.0), "observations[0] is about 1.7e+09, where float32 has steps of 128"),
        (np.arange(200.0).astype("f4"), "observations[0] is about 1.7e+09"),
        (np.arange(200.0) / 1000, "float32 keeps 1 of 200 values of observations[0], which are about 1.7e+09"),
    ],
)
def test_times_that_float32_rounds(seconds, words):
    states = walk(rows=201, every=50)["observations"].astype(seconds.dtype)
    states = np.column_stack([np.append(seconds, seconds[-1:]) + seconds.dtype.type(1.7e9), states])
    log = walk(rows=200, every=50) | {"observations": states[:-1]}
    del log["next_observations"]
    with pytest.warns(PotstillWarning) as caught:
        load_dataset(log)
    assert [str(line.message).removeprefix("arrays: ")[: len(words)] for line in caught] == [words]


def test_actions_that_look_discrete():
    log = walk(rows=200, every=50) | {"actions": np.arange(200.0) % 3}
    with pytest.warns(PotstillWarning, match="actions are whole numbers from 0 to 2: are they discrete"):
        load_dataset(log, action_bounds="data")


def test_an_error_names_the_row_of_the_file(tmp_path, columns):
    columns["observations"][45, 1] = np.nan  # an earlier row is dropped, but the row number is that in the file
    refused(write_columns(tmp_path / "x.hdf5", columns), str(tmp_path / "x.hdf5"), "observations[1], row 45")


def test_an_hdf5_file_is_paired_by_its_own_next_observations(tmp_path, columns):
    columns["next_observations"] = columns["observations"] + 1
    with pytest.warns(PotstillWarning, match="differ from the following row's"):
        data = load_dataset(write_columns(tmp_path / "a.hdf5", columns))
    assert len(data) == 60
    np.testing.assert_array_equal(data.next_observations, columns["next_observations"])
    assert data.truncations.sum() == columns["timeouts"].sum()
    columns["next_observations"] = np.roll(columns["observations"], -1, axis=0)
    del columns["timeouts"]
    data = load_dataset(write_columns(tmp_path / "b.hdf5", columns))
    assert data.content_hash == load_dataset(columns).content_hash
    assert np.flatnonzero(data.episode_ends).tolist() == [19, 59]


def test_bad_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    path = tmp_path / "x.parquet"
    rows = {key: getattr(pairs_of(list(timed_out())), key) for key in ("observations", "actions", "rewards")}
    rows["terminals"] = rows["rewards"] > 9
    assert len(load_dataset(write_columns(path, rows))) == 25
    assert load_dataset(write_columns(path, rows | {"actions": rows["actions"][:, 0]})).action_size == 1
    ragged = rows["observations"].tolist()
    ragged[3] = [1.0]
    refused(write_columns(path, rows | {"observations": ragged}), "lists of 3 and of 1")
    holes = rows["rewards"].tolist()
    holes[4] = None
    refused(write_columns(path, rows | {"rewards": holes}), "'rewards', row 4 is empty")
    refused(write_columns(path, rows | {"observations": [None, *rows["observations"].tolist()[1:]]}), "empty cells")
    refused(write_columns(path, rows | {"rewards": ["a"] * 26}), "expected numbers")
    refused(write_columns(path, rows | {"env_id": ["a", "b"] * 13}), "env_id holds 2 ids")
    refused(
        write_columns(path, rows | {"observations": [[x] for x in rows["observations"].tolist()]}),
        "images and stacks in Parquet are not read",
    )
    del rows["actions"]
    refused(write_columns(path, rows | {"action_1": rows["rewards"]}), "'action' are numbered [1]")
    refused(write_columns(path, {"x": pa.array([1])}), "no column 'observations'")


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    refused(tmp_path / "x.parquet", "pip install 'potstill[arrow]'")
    shutil.copytree(GOLDEN / "golden" / "arrow-v0", tmp_path / "arrow-v0")
    refused(tmp_path / "arrow-v0", "pip install 'potstill[arrow]'")


# ---- what is suspicious


def walk(rows=4000, every=1000, terminated=False):
    """A random walk in episodes of ``every`` rows, as arrays of pairs."""
    rng = np.random.default_rng(0)
    path = rng.normal(size=(rows + 1, 3)).cumsum(axis=0).astype(np.float32)
    ends = np.arange(1, rows + 1) % every == 0
    return {
        "observations": path[:-1],
        "actions": rng.uniform(-1, 1, size=(rows, 2)).astype(np.float32),
        "rewards": np.ones(rows),
        "next_observations": path[1:],
        "terminations": ends & terminated,
        "truncations": ends & (not terminated),
    }


def test_valid_episodes_are_not_suspicious():
    assert find_suspicions(load_dataset(walk())) == []
    assert find_suspicions(load_dataset(walk(every=10, terminated=True))) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda w: w | {"terminations": w["truncations"]}, ["4 episodes terminate exactly at step 1000", "row 999"]),
        (lambda w: w | {"next_observations": w["observations"]}, ["the row's own observations in 100%", "row 0"]),
        (
            lambda w: w | {"next_observations": np.append(w["next_observations"][1:], w["observations"][:1], axis=0)},
            ["two rows later", "row 0"],
        ),
        (lambda w: w | {"truncations": w["truncations"] & False}, ["no episode ends in 4000 rows"]),
        (
            lambda w: w | {"next_observations": w["next_observations"] + (np.arange(4000)[:, None] % 100 == 50)},
            ["differ from the following row's", "first in row 50"],
        ),
        (
            lambda w: {k: v[np.random.default_rng(0).permutation(4000)] for k, v in w.items() if k != "truncations"},
            ["rows out of order"],
        ),
    ],
)
def test_suspicious_data_are_used_with_a_warning(change, words):
    with pytest.warns(PotstillWarning) as caught:
        data = load_dataset(change(walk()))
    assert len(data) == 4000
    line = str(caught[0].message)
    assert "\n" not in line
    assert all(word in line for word in words), line
    assert line.removeprefix("arrays: ") in find_suspicions(data)


def test_an_episode_longer_than_its_environment_allows():
    arrays = walk(rows=900, every=450)
    arrays["actions"] = arrays["actions"][:, :1]
    with pytest.warns(PotstillWarning, match=r"450 rows from row 0, but Pendulum-v1 stops after 200"):
        load_dataset(arrays | {"env_id": "Pendulum-v1"})


@pytest.mark.skipif(not SHARED.exists(), reason="the shared datasets are not here")
def test_shared_files_are_not_suspicious():
    for path in sorted((SHARED / "datasets").glob("*.hdf5")):
        assert find_suspicions(load_dataset(path)) == [], path.name


def test_the_command_line_prints_a_warning_as_one_line(tmp_path, capsys, monkeypatch):
    from potstill.cli import main

    monkeypatch.chdir(tmp_path)
    np.savez("x.npz", **(walk() | {"next_observations": walk()["observations"]}))
    assert main(["distill", "x.npz", "--objective", "dbc", "--size", "100000"]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    warning, error = [line for line in lines if line.startswith("potstill: ")]  # the others show that it is busy
    assert warning.startswith("potstill: warning: x: next_observations equal the row's own observations")
    assert error.startswith("potstill: --size 100000")
