"""Columns read in chunks, straight from the file where it holds plain numbers; next observations made when used."""

import copy
import dataclasses
import os
import pickle

import h5py
import numpy as np
import pytest
from conftest import make_columns
from test_readers import refused

from potstill.data import chunks
from potstill.data.checks import is_finite
from potstill.data.chunks import drop_rows, split_rows
from potstill.data.registry import load_dataset


def write(path, columns, *, userblock=0, **options):
    with h5py.File(path, "w", userblock_size=userblock) as file:
        for key, values in columns.items():
            file.create_dataset(key, data=values, **options)
    return path


@pytest.mark.parametrize("every", [2, 7, 100])
@pytest.mark.parametrize("options", [{}, {"userblock": 512}, {"chunks": (16, 2)}, {"dtype": ">f4"}, {"dtype": "f8"}])
def test_kept_and_dropped_rows(tmp_path, monkeypatch, every, options):
    monkeypatch.setattr(chunks, "CACHED_BYTES", 300)
    monkeypatch.setattr(chunks, "CHUNK", 16)
    monkeypatch.setattr(chunks, "MOST_BUFFERS", 2)
    table = np.random.default_rng(0).normal(size=(201, 2)).astype(np.float32)
    dropped = np.arange(0, 201, every)
    with h5py.File(write(tmp_path / "x.hdf5", {"x": table}, **options)) as file:
        kept, gone = split_rows("observations", file["x"], dropped, source="a file")
    np.testing.assert_array_equal(kept, np.delete(table, dropped, axis=0))
    np.testing.assert_array_equal(gone, table[dropped])
    np.testing.assert_array_equal(drop_rows(table, dropped), kept)


def test_plain_and_packed_files_are_the_same(tmp_path):
    columns = make_columns(rows=2000)
    plain = load_dataset(write(tmp_path / "a.hdf5", columns))
    assert plain.content_hash == load_dataset(write(tmp_path / "b.hdf5", columns, compression="gzip")).content_hash
    whole = (tmp_path / "a.hdf5").read_bytes()
    (tmp_path / "a.hdf5").write_bytes(whole[:-4000])
    refused(tmp_path / "a.hdf5", str(tmp_path / "a.hdf5"))


def test_plain_numbers_in_another_file_are_read_by_hdf5_or_refused(tmp_path):
    columns = make_columns()
    columns["rewards"].tofile(tmp_path / "rewards.bin")
    path = write(tmp_path / "x.hdf5", {key: values for key, values in columns.items() if key != "rewards"})
    with h5py.File(path, "a") as file:
        file.create_dataset("rewards", (60,), "f4", external=[(str(tmp_path / "rewards.bin"), 0, 240)])
        assert chunks._find_plain_numbers(file["rewards"]) is None
        assert chunks._find_plain_numbers(file["actions"]) is not None


def test_short_reads_are_continued(tmp_path, monkeypatch):
    columns, read = make_columns(), os.preadv
    wanted = load_dataset(write(tmp_path / "x.hdf5", columns)).content_hash
    monkeypatch.setattr(os, "preadv", lambda file, buffers, place: read(file, [memoryview(buffers[0])[:1]], place))
    assert load_dataset(tmp_path / "x.hdf5").content_hash == wanted


def test_files_in_memory_are_read_by_hdf5(tmp_path):
    with h5py.File(write(tmp_path / "x.hdf5", make_columns()), driver="core") as file:
        assert chunks._find_plain_numbers(file["actions"]) is None


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_finite_numbers_whose_sum_is_not(kind):
    numbers = np.full((2100, 3), np.finfo(kind).max, kind)
    assert is_finite(numbers)
    assert is_finite(numbers[::2])
    for place in ((0, 0), (1500, 1), (2099, 2)):
        for value in (np.nan, np.inf, -np.inf):
            wrong = numbers.copy()
            wrong[place] = value
            assert not is_finite(wrong)
            assert not is_finite(np.where(np.isfinite(wrong), np.zeros((), kind), wrong))
    assert is_finite(numbers[:0])


def test_next_observations_are_made_when_they_are_used():
    columns = make_columns()
    arrays = [load_dataset(columns) for _ in range(5)]
    wanted = arrays[0].next_observations
    assert not arrays[0].in_order
    assert all(data.in_order for data in arrays[1:])
    for change in (copy.copy, copy.deepcopy, lambda data: pickle.loads(pickle.dumps(data)), dataclasses.replace):
        np.testing.assert_array_equal(change(arrays.pop()).next_observations, wanted)
    with pytest.raises(AttributeError, match="no attribute 'next_observation'"):
        load_dataset(columns).next_observation  # noqa: B018
