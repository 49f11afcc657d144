"""Check the global heaps of an HDF5 file, which hold its values of variable length, such as strings.

libhdf5 walks over the objects of a heap by their sizes. It never ends, and cannot be interrupted, if a size is 0 or so
large that it overflows. Source: HDF5 File Format Specification, section III.E, "Global Heap".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from potstill.errors import PotstillError

SIGNATURE = re.compile(b"GCOL\x01")  # with the version; bytes.find takes longer
SMALLEST = 4096  # bytes of a heap
BLOCK = 1 << 18  # bytes that are searched at once


def check_heaps(path: Path, width: int) -> None:
    """Walk over the objects of every global heap of an HDF5 file.

    Args:
        path: the file. It is read as a whole.
        width: size of a length in the file, in bytes.

    Raises:
        PotstillError: an object of a heap has a size that cannot be right.
    """
    head = _round_up(8 + width)  # size of the header of a heap, and of that of an object
    with path.open("rb", buffering=0) as searched, path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        left = end // head  # heaps do not overlap, so that the file has no more objects
        for start in _find_heaps(searched):
            file.seek(start + 8)
            stop = start + int.from_bytes(file.read(width), "little")
            if stop > end or stop < start + SMALLEST:
                continue  # no heap, or one that libhdf5 refuses
            place = start + head
            while place + head <= stop:
                file.seek(place)
                raw = file.read(8 + width)
                size = int.from_bytes(raw[8:], "little")
                step = head + _round_up(size) if any(raw[:2]) else size  # number 0 is free space
                left -= 1
                if not 0 < step <= stop - place or left < 0:
                    raise PotstillError(
                        f"{path}: damaged, a heap of {stop - start} bytes has an object of {size} bytes"
                    )
                place += step


def _find_heaps(file: BinaryIO) -> Iterator[int]:
    """Find the first byte of everything that looks like a global heap."""
    start, kept = 0, b""
    while block := file.read(BLOCK):
        block = kept + block
        for found in SIGNATURE.finditer(block):
            yield start + found.start()
        kept = block[-4:]  # a signature may go on in the next block
        start += len(block) - len(kept)


def _round_up(size: int) -> int:
    return -(-size // 8) * 8
