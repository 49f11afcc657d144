from typing import Any

import h5py
import numpy as np
import pytest
from conftest import SHARED, make_columns
from hypothesis import given, settings
from hypothesis import strategies as st

from potstill.data import chunks
from potstill.data.bounds import ActionBounds
from potstill.data.formats.d4rl import write_d4rl
from potstill.data.log import Log, read_rows
from potstill.data.registry import load_dataset
from potstill.data.selection import Selection, SourceSummary, select_rows
from potstill.data.split import select_held_out_rows, select_training_rows
from potstill.data.successors import Successors
from potstill.errors import PotstillError, PotstillWarning


def write(path, columns, **attributes):
    with h5py.File(path, "w") as file:
        for key, value in columns.items():
            file[key] = value
        file.attrs.update(attributes)
    return path


def check_fails(path, *words):
    with pytest.raises(PotstillError) as caught:
        load_dataset(path)
    message = str(caught.value)
    assert "\n" not in message
    assert all(word in message for word in words), message


def rows_of(columns):
    """The transitions by D4RL's rule, with next observations as an array."""
    roles = {"terminals": "terminations", "timeouts": "truncations"}
    rows = read_rows(Log({roles.get(key, key): values for key, values in columns.items()}, "hand", "hand"), None).rows
    assert isinstance(rows.next_observations, Successors)
    return rows._replace(next_observations=rows.next_observations.to_array())


def test_d4rl_rule_by_hand():
    columns = make_columns(rows=6)
    columns["terminals"] = np.array([False, True, False, False, False, False])
    columns["timeouts"] = np.array([False, False, False, True, False, False])
    rows = rows_of(columns)
    # row 3 timed out: no next state; row 5 is the last; row 2's next state is row 3's
    np.testing.assert_array_equal(rows.observations, columns["observations"][[0, 1, 2, 4]])
    np.testing.assert_array_equal(rows.next_observations, columns["observations"][[1, 2, 3, 5]])
    np.testing.assert_array_equal(rows.terminations, [False, True, False, False])
    np.testing.assert_array_equal(rows.truncations, [False, False, True, True])


def test_time_outs_are_counted_if_missing():
    columns = make_columns(rows=2500)
    del columns["timeouts"]
    columns["terminals"] = np.arange(2500) == 299
    rows = rows_of(columns)
    # episodes: 300 rows by termination, 1000 by count, 1000 by count, 200 at the end of the file
    assert len(rows.rewards) == 2500 - 2 - 1
    assert rows.truncations.sum() == 3


def test_hdf5_and_npz_give_the_same_transitions(tmp_path, columns):
    first = load_dataset(write(tmp_path / "a.hdf5", columns))
    np.savez(tmp_path / "b.npz", **columns)
    paired: dict[str, Any] = {
        "observations": first.observations,
        "actions": first.actions,
        "rewards": first.rewards[:, None].astype(np.float64),
        "next_observations": first.next_observations,
        "terminations": first.terminations,
        "truncations": first.truncations,
    }
    np.savez(tmp_path / "c.npz", **paired)
    hashes = {load_dataset(tmp_path / name).content_hash for name in ("a.hdf5", "b.npz", "c.npz")}
    assert hashes == {first.content_hash}


def test_written_files_are_read_back(tmp_path, columns):
    path = tmp_path / "x.hdf5"
    write_d4rl(path, columns, env_id=None, card={"seed": 3})
    data = load_dataset(path)
    assert data.card == {"seed": 3, "action_bounds": "nobody"}
    assert len(data) == 60 - 2
    assert not list(tmp_path.glob("*.partial"))


def test_bad_files(tmp_path, columns):
    check_fails("no-such-name", "unknown dataset", "hopper-medium-replay")
    check_fails(tmp_path / "none.hdf5", "no such file")
    (tmp_path / "text.hdf5").write_text("not HDF5")
    check_fails(tmp_path / "text.hdf5", "not an HDF5 file")
    whole = write(tmp_path / "whole.hdf5", columns).read_bytes()
    (tmp_path / "cut.hdf5").write_bytes(whole[: len(whole) // 2])
    check_fails(tmp_path / "cut.hdf5", "truncated")
    (tmp_path / "bad.npz").write_bytes(b"PK")
    check_fails(tmp_path / "bad.npz", "damaged")
    np.savez(tmp_path / "object.npz", observations=np.array([{}], dtype=object))
    check_fails(tmp_path / "object.npz", "no column 'actions'")
    objects: dict[str, Any] = {name: np.array([{}], dtype=object) for name in columns}
    np.savez(tmp_path / "object.npz", **objects)
    check_fails(tmp_path / "object.npz", "Object arrays cannot be loaded")
    (tmp_path / "x.xlsx").write_text("1")
    check_fails(tmp_path / "x.xlsx", "cannot read '.xlsx' files, only .hdf5, .h5, .npz, .parquet, .csv, .tsv")
    (tmp_path / "x.pkl").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    check_fails(tmp_path / "x.pkl", "a pickle", "np.savez('buffer.npz'")


def test_bad_columns(tmp_path, columns):
    path = tmp_path / "x.hdf5"
    check_fails(write(path, {k: v for k, v in columns.items() if k != "rewards"}), "no column 'rewards'")
    done = {("dones" if k == "terminals" else k): v for k, v in columns.items() if k != "timeouts"}
    check_fails(
        write(path, done), "no column 'terminations', and 'dones' does not distinguish terminations from time-outs"
    )
    check_fails(write(path, columns | {"rewards": columns["rewards"][:-1]}), "unequal", "rewards 59")
    check_fails(write(path, columns | {"actions": np.zeros((60, 2), np.int64)}), "integer actions", "actions=")
    check_fails(write(path, columns | {"rewards": np.array([b"x"] * 60)}), "'rewards'", "expected numbers")
    spoiled = columns["observations"].copy()
    spoiled[17, 2] = np.nan
    check_fails(write(path, columns | {"observations": spoiled}), "observations[2]", "row 17")
    check_fails(write(path, columns, env_id="Hopper-v5"), "3 observations columns, but Hopper-v5 has 11")
    check_fails(write(path, columns, env_id="Hoper-v5"), "unknown environment", "Hopper", "env_id='none'")
    check_fails(write(path, columns, env_id="CartPole-v1"), "3 observations columns, but CartPole-v1 has 4")


@settings(max_examples=60, deadline=None)
@given(
    key=st.sampled_from(["observations", "actions", "rewards", "terminals", "timeouts"]),
    shape=st.lists(st.integers(0, 3), max_size=3),
    value=st.sampled_from([0.0, 0.5, np.nan, np.inf, 3.0]),
    dtype=st.sampled_from([np.float32, np.float64, np.int32, np.bool_, "S3"]),
)
@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.filterwarnings("ignore::potstill.errors.PotstillWarning")
def test_any_column_is_read_or_refused_in_one_line(tmp_path_factory, key, shape, value, dtype):
    columns = make_columns(rows=3)
    columns[key] = np.full(shape, value).astype(dtype)
    path = write(tmp_path_factory.mktemp("any") / "x.hdf5", columns)
    try:
        data = load_dataset(path)
    except PotstillError as error:
        assert "\n" not in str(error)
    else:
        assert len(data) >= 1


def test_split_is_disjoint_and_fixed():
    held, rest = select_held_out_rows(1000), select_training_rows(1000)
    assert len(held) == 50
    assert sorted([*held, *rest]) == list(range(1000))
    np.testing.assert_array_equal(held, select_held_out_rows(1000))


def test_the_bundled_dataset():
    data = load_dataset("hopper-medium-replay")
    assert data.env_id == "Hopper-v5"
    assert 100_000 <= len(data) <= 200_000
    assert data.card["algorithm"] == "sac"
    assert data.observations.dtype == np.float32


@pytest.mark.skipif(not SHARED.exists(), reason="the shared datasets are not here")
def test_a_large_foreign_file():
    data = load_dataset(SHARED / "datasets" / "hopper-medium-replay.hdf5")
    # 1,145 ends and the cut last episode; a time-out's row is dropped, and the last row
    assert (len(data), len(data.episode_returns())) == (199_961, 1_146)


def by_the_rule(columns):
    """D4RL's rule, row by row; the last row is kept if it terminates."""
    last = len(columns["rewards"]) - 1
    dropped = (columns["timeouts"] | (np.arange(last + 1) == last)) & ~columns["terminals"]
    rows = [
        (i, min(i + 1, last), columns["terminals"][i], not columns["terminals"][i] and dropped[i + 1])
        for i in np.flatnonzero(~dropped)
    ]
    return np.array(rows).reshape(-1, 4)


@settings(max_examples=200, deadline=None)
@given(flags=st.lists(st.sampled_from([(0, 0), (0, 0), (1, 0), (0, 1), (1, 1)]), min_size=2, max_size=30))
def test_any_time_outs_and_chunk_sizes_match_the_rule(flags):
    columns = make_columns(rows=len(flags))
    columns["terminals"], columns["timeouts"] = np.array(flags, bool).T
    wanted = by_the_rule(columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "CHUNK", 4)
        if not len(wanted):
            with pytest.raises(PotstillError, match="no transition is left"):
                rows_of(columns)
            return
        rows = rows_of(columns)
    for key in ("observations", "actions", "rewards"):
        np.testing.assert_array_equal(getattr(rows, key), columns[key][wanted[:, 0]])
    np.testing.assert_array_equal(rows.next_observations, columns["observations"][wanted[:, 1]])
    np.testing.assert_array_equal(rows.terminations, wanted[:, 2])
    np.testing.assert_array_equal(rows.truncations, wanted[:, 3])


@pytest.mark.parametrize("options", [{}, {"compression": "gzip"}, {"chunks": (7, 3)}, {"chunks": (60, 1)}])
def test_chunked_reading_matches_whole_columns(tmp_path, columns, monkeypatch, options):
    wanted = load_dataset(write(tmp_path / "a.hdf5", columns)).content_hash
    monkeypatch.setattr(chunks, "CHUNK", 16)
    monkeypatch.setattr(chunks, "CACHED_BYTES", 500)
    with h5py.File(tmp_path / "b.hdf5", "w") as file:
        for key, value in columns.items():
            file.create_dataset(key, data=value, **(options if key == "observations" else {}))
    assert load_dataset(tmp_path / "b.hdf5").content_hash == wanted
    columns["observations"][45, 1] = np.inf
    check_fails(write(tmp_path / "c.hdf5", columns), "inf in column observations[1], row 45")
    columns["observations"] = np.where(np.isinf(columns["observations"]), 1e300, columns["observations"].astype(float))
    check_fails(write(tmp_path / "c.hdf5", columns), "1e+300 in column observations[1], row 45 is beyond float32")


def part(returns, lengths, source="a"):
    sizes: dict[str, Any] = {"state_size": 3, "bounds": ActionBounds.unit(2), "env_id": None, "sha256": ""}
    return SourceSummary(source, source, **sizes, lengths=np.array(lengths), returns=np.array(returns, float))


def test_a_selection_by_hand():
    """Returns 1 … 6 in episodes of 1, 2, 3 rows: the range keeps 2 … 5, and the better half of these are 4 and 5."""
    parts = [part([1, 2, 3], [1, 2, 3]), part([6, 5, 4], [1, 2, 3], "b")]
    kept = select_rows(parts, Selection(min_return=2.0, max_return=5.0))
    assert [mask.tolist() for mask in kept] == [[False] + [True] * 5, [False] + [True] * 5]
    kept = select_rows(parts, Selection(min_return=2.0, max_return=5.0, best_episodes=0.5))
    assert [mask.sum() for mask in kept] == [0, 5]
    assert sum(mask.sum() for mask in select_rows(parts, Selection(rows=7))) == 7
    episodes = np.concatenate(select_rows(parts, Selection(episodes=2, seed=4)))
    assert np.add.reduceat(episodes, [0, 1, 3, 6, 7, 9]).astype(bool).sum() == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 13}, "13 rows: only 12 remain"),
        ({"episodes": 7}, "7 episodes: only 6 remain"),
        ({"min_return": 7.0}, r"between 7 and inf: the returns lie in \[1, 6\]"),
        ({"rows": 0}, "Selection.rows 0: expected at least 1"),
        ({"best_episodes": 1.5}, "Selection.best_episodes 1.5"),
    ],
)
def test_refused_selections(options, message):
    with pytest.raises(PotstillError, match=message):
        select_rows([part([1, 2, 3, 4, 5, 6], [1, 2, 3, 1, 2, 3])], Selection(**options))


@pytest.mark.parametrize(("role", "name"), [("actions", "actions[0]"), ("rewards", "rewards")])
def test_actions_and_rewards_that_float32_rounds(role, name):
    x = np.random.default_rng(0).normal(size=(200, 1))
    log = {"observations": x, "actions": np.tanh(x), "rewards": x[:, 0], "terminals": np.arange(200) % 20 == 19}
    log[role] = 1.7e9 + np.arange(200.0)
    with pytest.warns(PotstillWarning) as caught:
        load_dataset(log, action_bounds="data")
    assert [f"{name} is about 1.7e+09, where float32 has steps of 128" in str(line.message) for line in caught] == [
        True
    ]
