"""Memory-mapped datasets: they are read back unchanged, and damaged ones are refused in one line."""

import dataclasses
import json

import numpy as np
import pytest

import potstill
from potstill.cli import main
from potstill.data import blocks
from potstill.data.blocks import find_mapping, gather
from potstill.data.bounds import ActionBounds
from potstill.data.mapped import HEADER, ROWS, record_type, write_mapped
from potstill.data.registry import load_dataset
from potstill.data.selection import sample_episodes
from potstill.data.transitions import COLUMNS, Normaliser
from potstill.errors import PotstillError
from potstill.reports import dataset
from potstill.teachers.rows import check_order, discounted_returns, returns_to_go

pytestmark = pytest.mark.filterwarnings("ignore::potstill.errors.PotstillWarning")


def write(folder, data, count=7):
    """Write ``data`` in potstill's layout, ``count`` rows at a time."""
    folder.mkdir()
    columns = {name: getattr(data, name) for name in COLUMNS}
    parts = ({k: v[i : i + count] for k, v in columns.items()} for i in range(0, len(data), count))
    how = {"state_size": data.state_size, "bounds": data.action_bounds, "name": data.name}
    return write_mapped(folder, parts, len(data), **how, env_id=data.env_id, card={"a": [1]})


@pytest.fixture
def folder(data, tmp_path):
    write(tmp_path / "mapped", data)
    return tmp_path / "mapped"


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of few rows, so that small data have many."""
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 1000)
    monkeypatch.setattr(blocks, "GATHERED", 11)


def test_round_trip(data, folder, small_blocks):
    found = load_dataset(folder)
    assert found.mapped
    assert not data.mapped
    assert isinstance(found.observations, np.memmap)
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(found, name), getattr(data, name))
    assert found.content_hash == data.content_hash == dataclasses.replace(found).content_hash
    assert (found.name, found.env_id, found.card) == ("small", None, {"a": [1]})
    np.testing.assert_array_equal(found.normaliser.mean, data.normaliser.mean)
    np.testing.assert_array_equal(found.normaliser.scale, data.normaliser.scale)
    np.testing.assert_array_equal(found.episode_ends, data.episode_ends)
    records = np.load(folder / ROWS, mmap_mode="r")  # read without potstill
    np.testing.assert_array_equal(records["actions"], data.actions)


def test_block_wise_results_match_whole_columns(data, folder, small_blocks):
    found = load_dataset(folder)
    np.testing.assert_allclose(found.episode_returns(), data.episode_returns(), rtol=1e-12)
    np.testing.assert_allclose(Normaliser.of(found.observations).scale, data.observations.std(0) + 1e-3, rtol=1e-5)
    returns = returns_to_go(data.rewards, data.episode_ends, 0.9)
    np.testing.assert_array_equal(discounted_returns(found, 0.9), returns.astype(np.float32))
    assert blocks.find_extremes(found.rewards) == (data.rewards.min(), data.rewards.max())


@pytest.mark.parametrize("rows", [slice(3, 50, 2), np.arange(290, 10, -3), np.arange(300) % 7 == 0, [5, 5, 299]])
def test_taken_rows_are_in_memory(data, folder, small_blocks, rows):
    found = load_dataset(folder).take(rows)
    assert not found.mapped
    assert find_mapping(found.rewards) is None
    assert found.content_hash == data.take(rows).content_hash
    np.testing.assert_array_equal(found.normaliser.mean, data.normaliser.mean)


def test_gather_of_arrays_is_indexing(data):
    (found,) = gather([data.rewards], slice(2, 5))
    np.testing.assert_array_equal(found, data.rewards[2:5])


def test_sample_of_whole_episodes(data, folder):
    found = sample_episodes(load_dataset(folder), 110)
    assert len(found) == 100
    assert found.episode_ends.sum() == 4
    assert set(found.episode_returns()) <= set(data.episode_returns())
    np.testing.assert_array_equal(found.normaliser.mean, data.normaliser.mean)
    assert len(sample_episodes(load_dataset(folder), 10)) == 10  # no episode is so short
    assert sample_episodes(data, 10) is data


def test_rows_are_checked_by_blocks(data, tmp_path, small_blocks):
    for key, value, message in (
        ("rewards", np.nan, r"small: nan in column rewards, row 222 \(1 such values\)"),
        ("actions", 3.0, r"small: action 3 outside its bounds \[-1, 1\] in column actions\[1\], row 222 \(1 such"),
    ):
        spoiled = getattr(data, key).copy()
        spoiled[(222, 1)[: spoiled.ndim]] = value
        with pytest.raises(PotstillError, match=message):
            dataclasses.replace(data, **{key: spoiled})
    with pytest.raises(PotstillError, match=r"next state of row 0 is not .*\(288 such rows\)"):
        check_order(data, "rebrac")


def spoil_header(folder, **changes):
    """Change a header, without its checksum, as a folder of version 0.1 has none."""
    header = {**json.loads((folder / HEADER).read_text()), "checksum": ..., **changes}
    (folder / HEADER).write_text(json.dumps({key: v for key, v in header.items() if v is not ...}))


def test_a_flipped_bit_is_seen(folder):
    """One in the rows that leaves all numbers valid, and one in the numbers of the header."""
    rows, header = (folder / ROWS).read_bytes(), (folder / HEADER).read_text()
    place = len(rows) - 300 * record_type(3, 2).itemsize
    (folder / ROWS).write_bytes(rows[:place] + bytes([rows[place] ^ 1]) + rows[place + 1 :])
    with pytest.raises(PotstillError, match=r"its rows do not have the checksum in dataset\.json"):
        load_dataset(folder)
    (folder / ROWS).write_bytes(rows)
    mean = repr(json.loads(header)["state_mean"][0])
    (folder / HEADER).write_text(header.replace(mean, mean[:-1] + ("2" if mean[-1] == "1" else "1"), 1))
    with pytest.raises(PotstillError, match="its content does not have the checksum"):
        load_dataset(folder)
    (folder / HEADER).write_text(header)
    assert len(load_dataset(folder)) == 300


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "teacher"}, "expected the header of a dataset, found teacher"),
        ({"format": ...}, "expected the header of a dataset, found another file"),
        ({"format_version": 2}, "has format version 2, but this potstill reads version 1"),
        ({"rows": ...}, "rows is null, expected a positive integer"),
        ({"rows": 2**40}, "expected 2 to 2,147,483,647"),
        ({"rows": True}, "rows is true"),
        ({"rows": 299}, r"has \(300,\) rows, but dataset.json has 299"),
        ({"state_size": 4}, "state_mean is not a list of 4 finite numbers"),
        (
            {"state_size": 4, "state_mean": [0] * 4, "state_scale": [1] * 4},
            "rows have the type .*but dataset.json implies",
        ),
        ({"action_low": [1.0, 1.0]}, r"ActionBounds \[1, 1\] of component 0: low must be less than high"),
        ({"action_low": [[1], 2]}, "action_low is not a list of 2 finite numbers"),
        ({"action_high": [0.5, 0.5]}, r"mapped: action .* outside its bounds"),
        ({"state_scale": [0.0, 1.0, 1.0]}, r"Normaliser\.scale\[0\] is 0: expected a number above 0"),
        ({"state_mean": [0.0, float("nan"), 1.0]}, "state_mean is not a list of 3 finite numbers"),
        ({"name": None}, "invalid name null"),
        ({"env_id": 5}, "invalid env_id 5"),
        ({"card": "x"}, "invalid card"),
        ({"sha256": ...}, "invalid sha256 null"),
    ],
)
def test_a_damaged_header(folder, capsys, changes, message):
    spoil_header(folder, **changes)
    with pytest.raises(PotstillError, match=message) as caught:
        load_dataset(folder)
    assert str(caught.value).count("\n") == 0
    assert str(folder) in str(caught.value)
    assert main(["inspect", str(folder), "--out", str(folder.parent / "seen")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.unlink(), "rows.npy: no such file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "truncated"),
        (lambda path: path.write_bytes(path.read_bytes()[:50]), "truncated"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + path.read_bytes()), "truncated, damaged"),
        (lambda path: path.write_bytes(b""), "truncated"),
        (lambda path: np.save(path, np.zeros(300)), "rows have the type float64, but"),
        (lambda path: np.save(path, np.zeros((300, 2), record_type(3, 2))), r"has \(300, 2\) rows"),
        (
            lambda path: np.save(path, np.zeros(300, np.dtype([("rewards", "<f4")]))),
            r"rows have the type {'rewards': 'float32'}",
        ),
        (lambda path: np.save(path, np.zeros(300, np.dtype("O"))), "truncated, damaged"),
        (lambda path: np.save(path, np.full(300, np.nan).astype(record_type(3, 2))), "nan in column observations"),
    ],
)
def test_damaged_rows(folder, spoil, message):
    spoil_header(folder, crc32=...)
    spoil(folder / ROWS)
    with pytest.raises(PotstillError, match=message) as caught:
        load_dataset(folder)
    assert str(caught.value).count("\n") == 0


def test_flags_are_0_or_1(folder):
    records = np.load(folder / ROWS, mmap_mode="r+")
    records["truncations"].view(np.uint8)[123] = 2
    records.flush()
    with pytest.raises(PotstillError, match="2 in column truncations, row 123: expected 0 or 1"):
        load_dataset(folder)


def test_inspect_detects_changed_rows(folder, tmp_path, capsys):
    run = potstill.inspect(folder, out=tmp_path / "seen")
    assert json.loads((run / "result.json").read_text())["looked_at"] == 300
    records = np.load(folder / ROWS, mmap_mode="r+")
    records["rewards"][7] += 1.0
    records.flush()
    spoil_header(folder, crc32=...)
    load_dataset(folder)
    with pytest.raises(PotstillError, match=r"damaged: rows.npy has sha256 .*, but dataset.json has"):
        potstill.inspect(folder, out=tmp_path / "again")


def test_inspect_reports_its_sample(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset, "EXAMINED_ROWS", 60)
    result = json.loads((potstill.inspect(folder, out=tmp_path / "seen") / "result.json").read_text())
    assert (result["rows"], result["looked_at"], result["episodes"], result["ends"]["terminations"]) == (
        300,
        50,
        12,
        12,
    )
    assert any("those of 50 of 300 rows" in line for line in result["warnings"])


def test_folder_without_header_is_refused(folder):
    (folder / HEADER).unlink()
    with pytest.raises(PotstillError, match=r"is a folder, but not a dataset: it has none of dataset.json"):
        load_dataset(folder)


def test_invalid_rows_are_not_finished(data, tmp_path):
    (tmp_path / "x").mkdir()
    columns = {name: getattr(data, name) for name in COLUMNS} | {"actions": data.actions * 5}
    one = np.ones(2, np.float32)
    with pytest.raises(PotstillError, match="outside its bounds"):
        write_mapped(tmp_path / "x", [columns], len(data), state_size=3, bounds=ActionBounds.unit(len(one)), name="x")
    assert not (tmp_path / "x" / HEADER).exists()
