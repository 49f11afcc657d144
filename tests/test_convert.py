"""`potstill convert`: merging datasets and selecting rows."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
from test_readers import hand_d3rlpy, hand_minari, timed_out, write_columns
from test_teachers import write_npz

import potstill
from potstill.cli import main
from potstill.commands import convert as command
from potstill.config import ConvertConfig
from potstill.data import streaming
from potstill.data.bounds import ActionBounds
from potstill.data.formats.d4rl import write_d4rl
from potstill.data.mapped import HEADER, ROWS
from potstill.data.registry import load_dataset
from potstill.data.selection import SourceSummary, check_compatible
from potstill.data.transitions import COLUMNS
from potstill.errors import PotstillError


def ordered(data):
    """``data`` with the following rows' observations as next observations: episodes of 25 rows, the last one cut."""
    after = data.next_observations.copy()
    after[:-1] = data.observations[1:]
    ends = np.arange(300) % 50 == 24
    cut = (np.arange(300) % 50 == 49) | (np.arange(300) == 299)
    return dataclasses.replace(data, next_observations=after, terminations=ends, truncations=cut)


@pytest.fixture
def source(data, tmp_path):
    return write_npz(tmp_path / "one.npz", ordered(data))


def test_unselected_datasets_keep_their_hash(source, tmp_path):
    folder = potstill.convert(source, out=tmp_path / "out")
    found, data = load_dataset(folder), load_dataset(source)
    assert found.mapped
    assert found.content_hash == data.content_hash
    result = json.loads((folder / "result.json").read_text())
    assert (result["rows"], result["episodes"], result["sha256"]) == (300, 12, data.content_hash)
    assert found.card["sources"] == [{"source": str(source), "sha256": data.content_hash, "rows": 300, "kept": 300}]
    again = potstill.convert(folder, out=tmp_path / "again")
    assert load_dataset(again).content_hash == data.content_hash
    assert (again / ROWS).read_bytes() == (folder / ROWS).read_bytes()
    assert {path.name for path in tmp_path.iterdir()} == {"one.npz", "out", "again"}


def test_merged_datasets_are_concatenated(source, data, tmp_path):
    open_ended = dataclasses.replace(ordered(data), truncations=np.zeros(300, bool)).take(slice(0, 40))
    other = write_npz(tmp_path / "other.npz", open_ended)
    found = load_dataset(potstill.convert((other, source), out=tmp_path / "out"))
    assert len(found) == 340
    assert found.truncations[39]
    np.testing.assert_array_equal(found.rewards[40:], data.rewards)
    assert len(found.episode_returns()) == 14


def test_filters_keep_whole_episodes(source, tmp_path):
    returns = load_dataset(source).episode_returns()
    low, high = np.sort(returns)[[3, 9]]
    options = {"min_return": float(low), "max_return": float(high), "best_episodes": 0.5, "out": tmp_path / "out"}
    found = load_dataset(potstill.convert(source, **options))
    wanted = returns[(returns >= low) & (returns <= high)]
    wanted = wanted[np.isin(wanted, np.sort(wanted)[-4:])]  # half of 7, rounded
    np.testing.assert_allclose(found.episode_returns(), wanted)
    assert len(found) == 100
    assert (found.episode_ends == (np.arange(100) % 25 == 24)).all()


def test_drawn_episodes_depend_on_the_seed(source, tmp_path):
    draws = [
        load_dataset(potstill.convert(source, episodes=4, seed=seed, out=tmp_path / name)).content_hash
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert draws[0] == draws[1] != draws[2]


def test_drawn_rows_are_truncated_if_the_next_is_missing(source, tmp_path):
    with pytest.warns(potstill.PotstillWarning, match="most rows are truncated"):
        found = load_dataset(potstill.convert(source, rows=120, out=tmp_path / "out"))
    assert len(found) == 120
    inside = np.flatnonzero(~found.episode_ends[:-1])
    np.testing.assert_array_equal(found.next_observations[inside], found.observations[inside + 1])
    data = load_dataset(source)
    rows = [int(np.flatnonzero(data.rewards == reward)[0]) for reward in found.rewards]
    assert rows == sorted(set(rows))
    np.testing.assert_array_equal(found.terminations, data.terminations[rows])
    follows = np.append(np.diff(rows) == 1, False)
    np.testing.assert_array_equal(found.truncations, (data.truncations[rows] | ~follows) & ~found.terminations)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--min-return 1e9", "no episode has a return between 1e+09 and inf: the returns lie in ["),
        ("--episodes 13", "cannot draw 13 episodes: only 12 remain"),
        ("--rows 301", "cannot draw 301 rows: only 300 remain"),
        ("--best-episodes 0", "--best-episodes 0.0: expected a value in (0, 1]"),
        ("--episodes 0", "expected at least 1"),
        ("nothing-there.npz", "nothing-there.npz: no such file"),
    ],
)
def test_refused_input(source, tmp_path, capsys, words, message):
    assert main(["convert", str(source), *words.split(), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"one.npz"}


def test_datasets_that_do_not_match(source, data, tmp_path):
    logs, columns = ordered(data), ("observations", "next_observations")
    wide = dataclasses.replace(logs, **{key: np.tile(getattr(logs, key), 2)[:, :4] for key in columns})
    other = write_npz(tmp_path / "wide.npz", wide)
    with pytest.raises(PotstillError, match=r"wide.npz has state components 4, but .*one.npz has 3"):
        potstill.convert((source, other), out=tmp_path / "out")
    part = SourceSummary.of(logs, "a", "a")
    for change, message in (
        ({"env_id": "Hopper-v5"}, "environment Hopper-v5, but a has None"),
        (
            {"bounds": ActionBounds(-np.ones(2), np.array([1.0, 2.0]))},
            r"highest actions \[1.0, 2.0\], but a has \[1.0, 1.0\]",
        ),
        ({"bounds": ActionBounds.unit(1)}, "action components 1, but a has 2"),
    ):
        with pytest.raises(PotstillError, match=f"b has {message}"):
            check_compatible([part, dataclasses.replace(part, source="b", **change)])
    with pytest.raises(PotstillError, match="no datasets named"):
        potstill.convert(())
    assert not (tmp_path / "out").exists()


def test_existing_folder_is_replaced_only_with_force(source, tmp_path):
    folder = potstill.convert(source, out=tmp_path / "out")
    before = (folder / ROWS).read_bytes()
    with pytest.raises(PotstillError, match=r"out exists: choose another out=, or force=True"):
        potstill.convert(source, episodes=2, out=folder)
    assert (folder / ROWS).read_bytes() == before
    potstill.convert(folder, episodes=2, out=folder, force=True)  # even its own source
    assert len(load_dataset(folder)) == 50


def test_interrupted_conversion_leaves_nothing(source, tmp_path, monkeypatch):
    folder = potstill.convert(source, out=tmp_path / "out")
    before = (folder / HEADER).read_bytes()

    def interrupted(data, rows):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(command, "read_kept", interrupted)
    with pytest.raises(KeyboardInterrupt):
        potstill.convert(source, out=folder, force=True)
    assert (folder / HEADER).read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"one.npz", "out"}
    columns = {name: getattr(load_dataset(source), name)[:9] for name in COLUMNS}
    monkeypatch.setattr(command, "read_kept", lambda data, rows: [columns])
    with pytest.raises(PotstillError, match="truncated"):
        potstill.convert(source, out=tmp_path / "short")
    assert {path.name for path in tmp_path.iterdir()} == {"one.npz", "out"}


def test_full_disk_gets_one_line(source, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(command, "read_kept", full)
    with pytest.raises(PotstillError, match=r"cannot write .*rows.npy: No space left on device"):
        potstill.convert(source, out=tmp_path / "out")


def test_a_large_d4rl_file_is_read_in_pieces(columns, tmp_path, monkeypatch):
    path = tmp_path / "large.hdf5"
    write_d4rl(path, columns, env_id=None, card={"made": "here"})
    wanted = load_dataset(path)
    monkeypatch.setattr(streaming, "LARGE_BYTES", 100)
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 7)
    monkeypatch.setattr(streaming, "LARGE_BYTES", 100)
    found = load_dataset(potstill.convert(path, out=tmp_path / "out"))
    assert found.content_hash == wanted.content_hash
    assert {item.name for item in (tmp_path / "out").iterdir()} >= {HEADER, ROWS, "config.json", "result.json"}
    assert not (tmp_path / "out" / "spool").exists()
    spoiled = columns["rewards"].copy()
    spoiled[33] = np.nan
    write_d4rl(path, {**columns, "rewards": spoiled}, env_id=None, card={})
    with pytest.raises(PotstillError, match=r"large.hdf5: nan in column rewards, row 33 \(1 such"):
        potstill.convert(path, out=tmp_path / "again")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(PotstillError, match="truncated, damaged or not an HDF5 file"):
        potstill.convert(path, out=tmp_path / "again")
    assert {item.name for item in tmp_path.iterdir()} == {"large.hdf5", "out"}


def test_command_is_recorded(source, tmp_path):
    folder = potstill.convert((source, source), episodes=3, out=tmp_path / "out")
    assert load_dataset(folder).card["command"] == f"potstill convert {source} {source} --episodes 3"
    assert ConvertConfig(source).sources == (source,)


def in_layout(layout, folder, columns):
    """The columns in an HDF5 file of another layout."""
    if layout == "minari":
        return hand_minari(folder / "x", list(timed_out()))
    if layout == "d3rlpy":
        parts = [part | {"observations": part["observations"][:-1]} for part in timed_out()]
        return hand_d3rlpy(folder / "x.h5", parts, [False, True, False, True])
    if layout == "d3rlpy 1":  # its flags mark all ends of episodes
        columns["episode_terminals"] = columns.pop("timeouts") | columns["terminals"]
    if layout == "pairs":
        columns["next_observations"] = np.roll(columns["observations"], -1, axis=0)
        del columns["timeouts"]
    if layout == "last row terminates":
        columns["terminals"][-1], columns["timeouts"][-1] = True, False
    return write_columns(folder / "x.hdf5", columns)


@pytest.mark.parametrize("layout", ["minari", "d3rlpy", "d3rlpy 1", "pairs", "last row terminates"])
def test_large_files_of_all_layouts_are_read_in_pieces(columns, tmp_path, monkeypatch, layout):
    path = in_layout(layout, tmp_path, columns)
    options: dict[str, Any] = {"out_of_bounds": "scale", "action_low": -0.5, "action_high": 0.5}
    wanted = load_dataset(path, **options)
    monkeypatch.setattr(streaming, "LARGE_BYTES", 100)
    monkeypatch.setattr(streaming, "ROWS_AT_ONCE", 7)
    found = load_dataset(potstill.convert(path, out=tmp_path / "out", **options))
    assert found.content_hash == wanted.content_hash
    assert (found.action_bounds, found.env_id) == (wanted.action_bounds, wanted.env_id)
    assert found.card["action_scale"] == wanted.card["action_scale"]
