"""Data from strangers: refused in one line, before memory is taken, and without following links out of the file."""

import io
import json
import os
import pickle
import resource
import struct
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import make_columns

import potstill
from potstill.data import limits
from potstill.errors import PotstillError
from potstill.reports.faults import read_raw_columns

HUGE = 10**12  # numbers


@pytest.fixture(autouse=True)
def little_memory():
    """Memory for the file and little else, so that a test that takes more fails."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 31), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def refused(read, path, words):
    with pytest.raises(PotstillError) as caught:
        read(path)
    line = str(caught.value)
    assert len(line.splitlines()) == 1
    assert words in line, line


def write_hdf5(path, **replaced):
    """A file in D4RL's layout, in which functions of (file, key) make some of the columns."""
    with h5py.File(path, "w") as file:
        for key, values in make_columns().items():
            if key in replaced:
                replaced[key](file, key)
            else:
                file[key] = values
    return path


def external_link(file, key):
    write_hdf5(file.filename + ".other")
    file[key] = h5py.ExternalLink(file.filename + ".other", key)


def link_to_a_link(file, key):
    external_link(file, "far")
    file[key] = h5py.SoftLink("/far")


def link_to_a_pipe(file, key):
    os.mkfifo(file.filename + ".pipe")
    file[key] = h5py.ExternalLink(file.filename + ".pipe", key)


def external_storage(file, key):
    file.create_dataset(key, (60,), "f4", external=[("/etc/passwd", 0, 240)])


def virtual(file, key):
    write_hdf5(file.filename + ".other")
    layout = h5py.VirtualLayout((60,), "f4")
    layout[:] = h5py.VirtualSource(file.filename + ".other", key, (60,))
    file.create_virtual_dataset(key, layout)


def huge(file, key):
    file.create_dataset(key, (HUGE,), "f4", chunks=(1000,))


def huge_chunk(file, key):
    file.create_dataset(key, (60,), "f4", maxshape=(None,), chunks=(1 << 29,))


def bomb(file, key):
    file.create_dataset(key, data=np.zeros(1 << 24, "f4"), compression="gzip", shuffle=True)


def objects(file, key):
    file.create_dataset(key, data=["a"] * 60, dtype=h5py.string_dtype())


def loop(file, key):
    file[key] = h5py.SoftLink(f"/{key}")


def not_a_number(file, key):
    file[key] = np.zeros(60, [("a", "f4"), ("b", "i4")])


def deep(file, key):
    group = file
    for _ in range(200):
        group = group.create_group("g")


HDF5 = {
    deep: "is more than 32 groups deep",
    external_link: "is a link to another file",
    link_to_a_link: "'far' is a link to another file",
    link_to_a_pipe: "is a link to another file",
    external_storage: "are in other files",
    virtual: "are in other files",
    huge: "would take 4 TB, more than 100 times the file",
    huge_chunk: "would take 2.15 GB, more than 100 times the file",
    bomb: "would take 67.1 MB, more than 100 times the file",
    objects: "expected numbers",
    loop: "",
    not_a_number: "expected numbers",
}


@pytest.mark.parametrize("fault", HDF5, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize("column", ["rewards", "terminals"])
def test_hdf5(tmp_path, monkeypatch, fault, column):
    monkeypatch.setattr(limits, "FREE", 1 << 20)
    path = write_hdf5(tmp_path / "x.hdf5", **{column: fault})
    refused(potstill.load_dataset, path, HDF5[fault])
    assert column not in read_raw_columns(path)[0]  # the lister of faults reads nothing that the reader refuses


def in_a_buffer(file, fault):
    """tianshou's layout, of which one column is bad."""
    file["last_index"] = [59]
    file.attrs["_size"] = file.attrs["maxsize"] = 60
    group = file.create_group("_meta")
    columns = make_columns()
    names = {"obs": "observations", "act": "actions", "terminated": "terminals", "truncated": "timeouts"}
    for name, key in names.items():
        group[name] = columns[key]
    fault(file, "_meta/rew")


def in_an_episode(file, fault):
    """d3rlpy's layout."""
    columns = make_columns()
    file["num_episodes"], file["terminated_0"] = 1, 1.0
    file["observations_0"], file["actions_0"] = columns["observations"], columns["actions"]
    fault(file, "rewards_0")


def in_a_demonstration(file, fault):
    """robomimic's layout."""
    columns = make_columns()
    group = file.create_group("data/demo_0")
    group["obs/state"], group["actions"], group["dones"] = (
        columns[key] for key in ("observations", "actions", "terminals")
    )
    fault(file, "data/demo_0/rewards")


@pytest.mark.parametrize("fault", [external_link, external_storage, virtual, huge, bomb], ids=lambda f: f.__name__)
@pytest.mark.parametrize("layout", [in_a_buffer, in_an_episode, in_a_demonstration], ids=lambda f: f.__name__)
def test_other_layouts_of_hdf5(tmp_path, monkeypatch, layout, fault):
    monkeypatch.setattr(limits, "FREE", 1 << 20)
    with h5py.File(tmp_path / "x.hdf5", "w") as file:
        layout(file, fault)
    refused(potstill.load_dataset, tmp_path / "x.hdf5", HDF5[fault])


def test_a_parquet_file_that_would_fill_the_memory(tmp_path, monkeypatch):
    """Constant columns take a few bytes, however many rows there are."""
    pa = pytest.importorskip("pyarrow")
    monkeypatch.setattr(limits, "FREE", 1 << 20)
    columns = {key: pa.array(np.zeros(1 << 20, np.float32)) for key in ("observations", "actions", "rewards")}
    columns["terminals"] = pa.array(np.zeros(1 << 20, np.bool_))
    pytest.importorskip("pyarrow.parquet").write_table(pa.table(columns), tmp_path / "x.parquet")
    refused(potstill.load_dataset, tmp_path / "x.parquet", "more than 100 times the file")


def npy(shape, kind="<f4", data=b""):
    """An array file with any header."""
    header = f"{{'descr': {kind!r}, 'fortran_order': False, 'shape': {shape!r}, }}".encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + data


def write_npz(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key, values in make_columns().items():
            out = io.BytesIO()
            np.save(out, values)
            archive.writestr(f"{key}.npy", members.pop(key, out.getvalue()))
        for key, content in members.items():
            archive.writestr(key, content)
    return path


class Bad:
    def __reduce__(self):
        return os.mkdir, ("owned",)


NPZ = {
    "a shape that is too large": (npy((HUGE,)), "not 1000000000000 numbers"),
    "a shape that overflows": (npy((2**40, 2**40)), "numbers"),
    "a bomb": (npy((1 << 24,), data=bytes(1 << 26)), "more than 100 times the file"),
    "objects": (npy((1,), "|O", pickle.dumps(Bad())), "Object arrays cannot be loaded"),
    "a long header": (npy("(" * 20_000), "truncated, damaged or not an .npz archive"),
    "code in the header": (npy("__import__('os').mkdir('owned')"), "truncated, damaged or not an .npz archive"),
    "nothing": (b"", "truncated, damaged or not an .npz archive"),
}


@pytest.mark.parametrize("fault", NPZ)
def test_npz(tmp_path, monkeypatch, fault):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(limits, "FREE", 1 << 20)
    content, words = NPZ[fault]
    path = write_npz(tmp_path / "x.npz", rewards=content)
    refused(potstill.load_dataset, path, words)
    assert read_raw_columns(path) == ({}, None)
    assert not Path("owned").exists()


def test_two_members_of_the_same_name(tmp_path):
    path = write_npz(tmp_path / "x.npz")
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("rewards.npy", npy((60,), data=bytes(240)))
    refused(potstill.load_dataset, path, "2 members called 'rewards.npy'")


def pipe(path):
    os.mkfifo(path)


def device(path):
    os.symlink("/dev/zero", path)


def circle(path):
    os.symlink(path, path)


KINDS = {pipe: "is a FIFO", device: "is a device", circle: "Too many levels of symbolic links"}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", ["x.hdf5", "x.npz", "x.parquet", "main_data.hdf5", "metadata.json", "rows.npy"])
def test_data_that_are_not_a_file(tmp_path, kind, name):
    """A FIFO would block for ever, and a device never end."""
    if name == "rows.npy":
        potstill.convert(write_hdf5(tmp_path / "x.h5"), out=tmp_path / "data")
        (tmp_path / "data" / name).unlink()
        kind(tmp_path / "data" / name)
        refused(potstill.load_dataset, tmp_path / "data", name)
        return
    (tmp_path / "data").mkdir()
    if name == "main_data.hdf5":
        about = {"data_format": "hdf5", "total_episodes": 1, "total_steps": 1}
        (tmp_path / "data" / "metadata.json").write_text(json.dumps(about))
    kind(tmp_path / "data" / name)
    alone = name.startswith("x.")
    refused(potstill.load_dataset, tmp_path / "data" / name if alone else tmp_path, KINDS[kind] if alone else "")
