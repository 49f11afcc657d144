"""What surrounds data files: other programs, odd names, numbers beyond float32, Arrow files that fill the memory."""

import errno
import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
from test_readers import write_columns
from test_readers_checks import walk

import potstill
from potstill.data import limits
from potstill.data.formats.arrow import check_sizes
from potstill.data.registry import load_dataset
from potstill.environments.making import make
from potstill.errors import PotstillError, PotstillWarning


def test_what_the_system_refuses_does_not_blame_the_file(tmp_path, monkeypatch):
    path = tmp_path / "x.hdf5"
    for number, words in ((errno.EAGAIN, "another program writes to it"), (errno.EMFILE, "Too many open files")):

        def refuse(*_, number=number, **__):
            raise OSError(number, "unable to lock file")

        write_columns(path, {"observations": np.zeros(3)})
        with monkeypatch.context() as patch:
            patch.setattr(h5py, "File", refuse)
            with pytest.raises(PotstillError, match=f"cannot read .*: {words}$"):
                load_dataset(path)


def forbid(monkeypatch, *paths):
    """Take the permission to read, as another user has it: the user root ignores the modes of files."""
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) not in map(str, paths) and allowed(path, mode))


@pytest.mark.parametrize("name", ["x.npz", "x.hdf5", "x.csv", "x.parquet"])
def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path, monkeypatch, name):
    (tmp_path / name).write_bytes(b"")
    forbid(monkeypatch, tmp_path / name)
    with pytest.raises(PotstillError, match=f"^cannot read .*{name}: Permission denied$"):
        load_dataset(tmp_path / name)


def test_a_folder_that_may_not_be_read_is_not_called_empty(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    forbid(monkeypatch, tmp_path / "data")
    with pytest.raises(PotstillError, match=r"^cannot read .*data: Permission denied$"):
        load_dataset(tmp_path / "data")


def test_paths_behind_closed_folders_get_one_line(tmp_path, monkeypatch):
    closed = Path.stat

    def stat(self, **options):
        if "closed" in self.parts:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return closed(self, **options)

    monkeypatch.setattr(Path, "stat", stat)
    with pytest.raises(PotstillError, match=r"closed.*: Permission denied"):
        potstill.inspect("hopper-medium-replay", out=tmp_path / "closed" / "run")


def test_folders_that_are_no_datasets_name_one_that_is(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "b.npz").write_bytes(b"")
    with pytest.raises(PotstillError, match=r"Name one of its files, such as .*logs/b\.npz$"):
        load_dataset(tmp_path / "logs")
    (tmp_path / "robot" / "meta").mkdir(parents=True)
    (tmp_path / "robot" / "meta" / "info.json").write_text("{}")
    (tmp_path / "robot" / "data").mkdir()
    with pytest.raises(PotstillError, match=r"It is a part of the dataset .*robot$"):
        load_dataset(tmp_path / "robot" / "data")
    (tmp_path / "LICENSE").write_text("")
    with pytest.raises(PotstillError, match=r"cannot read a file without a suffix, only \.hdf5"):
        load_dataset(tmp_path / "LICENSE")


def test_whole_numbers_that_float32_cannot_tell_apart():
    log = walk(rows=200, every=50)
    states = np.column_stack([log.pop("observations"), np.zeros(200)]).astype(np.int64)
    states[:, -1] = 2**53 + np.arange(200)
    del log["next_observations"]
    with pytest.warns(PotstillWarning, match="float32 keeps 1 of 101 values"):
        load_dataset(log | {"observations": states})


def test_names_from_files_have_no_control_characters(tmp_path):
    path = write_columns(tmp_path / "a\x1b[31m\nb.npz", walk(rows=200, every=50))
    assert load_dataset(path).name == "a\\x1b[31m b"
    with pytest.raises(PotstillError, match=r"'\\x1b\[0m'"):
        load_dataset(path, columns="rewards=\x1b[0m")


@pytest.mark.parametrize(
    ("env_id", "words"),
    [
        ("nosuchmodule:X-v0", "No module named 'nosuchmodule'"),
        ("GymV21Environment-v0", "environment GymV21Environment-v0 cannot be made"),
    ],
)
def test_an_environment_that_fails_is_one_line(env_id, words):
    with pytest.raises(PotstillError, match=words):
        make(env_id)


@pytest.mark.parametrize("fault", ["compressed", "implied", "listed twice"])
def test_an_arrow_file_that_would_fill_the_memory(tmp_path, monkeypatch, fault):
    pa, ipc = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.ipc")
    monkeypatch.setattr(limits, "FREE", 1 << 20)
    zeros = pa.array([np.zeros(1 << 20, np.float32)])
    columns = {"obs": zeros, "acts": zeros, "terminal": [False]}
    if fault == "implied":
        columns = {"obs": pa.nulls(1 << 24), "acts": pa.nulls(1 << 24), "terminal": pa.nulls(1 << 24)}
    table, options = pa.table(columns), ipc.IpcWriteOptions(compression="zstd" if fault == "compressed" else None)
    write = ipc.new_file if fault == "listed twice" else ipc.new_stream
    with write(str(tmp_path / "a.arrow"), table.schema, options=options) as file:
        file.write_table(table)
    if fault == "listed twice":
        monkeypatch.setattr(ipc, "open_file", lambda _: type("Reader", (), {"num_record_batches": 2}))
        with pytest.raises(PotstillError, match="it lists 2 parts, but contains 1"):
            check_sizes(tmp_path / "a.arrow", pa)
        return
    (tmp_path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "a.arrow"}]}))
    with pytest.raises(PotstillError, match="more than 100 times the file"):
        potstill.load_dataset(tmp_path)
