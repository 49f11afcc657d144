"""Heaps of HDF5 files, which hold strings: libhdf5 never ends if an object of a heap has a wrong size."""

import subprocess
import sys

import h5py
import numpy as np
import pytest
from conftest import make_columns

import potstill
from potstill.data.heaps import BLOCK, check_heaps
from potstill.errors import PotstillError

READ = """
import sys, potstill
from potstill.data import files
files.WHOLE = int(sys.argv[1])
for path in sys.argv[2:]:
    try:
        potstill.load_dataset(path)
    except potstill.PotstillError as error:
        print(error)
"""
SECONDS = 120  # a file takes a second; libhdf5 would take for ever
WRONG = (0, 2**64 - 16, 2**64 - 4, 4096)  # sizes, of which the first three are endless


def write_rows(file):
    for key, values in make_columns().items():
        file[key] = values


def write_attribute(path):
    with h5py.File(path, "w") as file:
        write_rows(file)
        file.attrs["card"] = '{"source": "toy"}'


def write_dataset(path):
    with h5py.File(path, "w") as file:
        write_rows(file)
        file["env_id"] = "Hopper-v5"


def write_virtual(path):
    """A column of another file, whose name is in a heap."""
    layout = h5py.VirtualLayout((60,), "f4")
    layout[:] = h5py.VirtualSource("other.hdf5", "x", (60,))
    with h5py.File(path, "w") as file:
        write_rows(file)
        file.create_virtual_dataset("more", layout)


def change_size(path, size):
    """Change the size of the last object of the only heap, which is its free space."""
    content = bytearray(path.read_bytes())
    start = content.find(b"GCOL\x01")
    assert content.count(b"GCOL\x01") == 1
    place = start + 16
    while content[place]:
        place += 16 + -(-int.from_bytes(content[place + 8 : place + 16], "little") // 8) * 8
    if size >= 2**63:
        content[place] = 7  # an object, not free space
    content[place + 8 : place + 16] = size.to_bytes(8, "little")
    path.write_bytes(content)


WHOLE = 1 << 24  # a file of this size is searched as a whole; a larger one only if such values are read
CASES = [
    (write_attribute, WHOLE),
    (write_attribute, 0),
    (write_dataset, WHOLE),
    (write_dataset, 0),
    (write_virtual, WHOLE),
]


@pytest.mark.parametrize(("write", "whole"), CASES)
def test_heaps_that_never_end(tmp_path, write, whole):
    paths = [tmp_path / f"{i}.hdf5" for i in range(len(WRONG))]
    for path, size in zip(paths, WRONG, strict=True):
        write(path)
        change_size(path, size)
    command = [sys.executable, "-W", "ignore", "-c", READ, str(whole), *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
    expected = [
        f"{path}: damaged, a heap of 4096 bytes has an object of {size} bytes"
        for path, size in zip(paths, WRONG, strict=True)
    ]
    assert done.stdout.splitlines() == expected


def make_file(path, width=8, userblock=0):
    """Strings of many lengths, some of which are deleted or replaced; a string that looks like a heap."""
    plist = h5py.h5p.create(h5py.h5p.FILE_CREATE)
    plist.set_sizes(8, width)
    plist.set_userblock(userblock)
    with h5py.File(h5py.h5f.create(bytes(path), h5py.h5f.ACC_TRUNC, plist)) as file:
        write_rows(file)
        file["texts"] = np.array(["x" * i for i in range(300)], object)
        file["texts"][::3] = "y"
        file.attrs["name"] = "GCOL\x01GCOL\x01"
        file.attrs["long"] = "z" * 10_000
        for i in range(50):
            file.attrs[f"short{i}"] = "z" * i
        for i in range(0, 50, 2):
            del file.attrs[f"short{i}"]


@pytest.mark.parametrize("width", [4, 8])
@pytest.mark.parametrize("userblock", [0, 512])
def test_valid_heaps(tmp_path, width, userblock):
    make_file(tmp_path / "x.hdf5", width, userblock)
    content = (tmp_path / "x.hdf5").read_bytes()
    assert content.count(b"GCOL\x01") > 2  # two are in the string
    check_heaps(tmp_path / "x.hdf5", width)
    assert len(potstill.load_dataset(tmp_path / "x.hdf5")) == 58  # two episodes have no last observation


@pytest.mark.parametrize("place", [0, BLOCK - 4, BLOCK - 3, BLOCK, 2 * BLOCK - 1])
def test_heaps_anywhere_in_a_file(tmp_path, place):
    heap, rest = bytes(place) + b"GCOL\x01\0\0\0" + (4096).to_bytes(8, "little") + bytes(8), bytes(4064)
    (tmp_path / "x").write_bytes(heap + (4080).to_bytes(8, "little") + rest)
    check_heaps(tmp_path / "x", 8)
    (tmp_path / "x").write_bytes(heap + (4081).to_bytes(8, "little") + rest)
    with pytest.raises(PotstillError, match="a heap of 4096 bytes has an object of 4081 bytes"):
        check_heaps(tmp_path / "x", 8)


def test_many_small_objects_are_refused(tmp_path):
    """Heaps that overlap would take time that grows with the square of the size of the file."""
    heap = b"GCOL\x01\0\0\0" + (1 << 12).to_bytes(8, "little")
    free = bytes(8) + (16).to_bytes(8, "little")
    (tmp_path / "x").write_bytes(100 * (heap + 255 * free))
    check_heaps(tmp_path / "x", 8)
    (tmp_path / "x").write_bytes(100 * (heap + free) + 1000 * free)
    with pytest.raises(PotstillError, match="damaged"):
        check_heaps(tmp_path / "x", 8)
