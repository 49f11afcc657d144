"""Columns a block of rows at a time, so that those of a mapped file pass through memory and do not stay there.

Pages of a mapped file count as the process's until they are given back; the system's cache keeps them all the same.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped

BLOCK_BYTES = 1 << 26  # of a column, with what lies between its values in the file
GATHERED = 8192  # rows between two releases: each may bring 64 kB of neighbouring pages along


def mapping(column: np.ndarray) -> mmap.mmap | None:
    """The mapped file that an array is a view of, or ``None`` if it lies in memory."""
    base: Any = column
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def records_of(column: np.ndarray) -> np.memmap[Any, Any] | None:
    """The mapped file of records that an array is one field of, or ``None``."""
    base = column.base
    return base if isinstance(base, np.memmap) and base.dtype.names else None


class Reader:
    """Random rows of a file of records, read and not mapped: a page that is mapped for one row costs more.

    Args:
        column: a field of the mapped records. The file stays open, also when it is replaced by another.
    """

    def __init__(self, column: np.ndarray) -> None:
        records = records_of(column)
        assert records is not None
        self.kind, self.start, self.count = records.dtype, records.offset, len(records)
        self.file = open(str(records.filename), "rb", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self.file.close)

    def __call__(self, rows: Int[np.ndarray, " B"]) -> Shaped[np.ndarray, "B 2"]:
        """Each row and the one after it; the last row of all is its own next."""
        file, size = self.file.fileno(), self.kind.itemsize
        first = np.minimum(rows, self.count - 2)
        places = (self.start + first * size).tolist()
        if hasattr(os, "posix_fadvise"):  # ask for all before waiting for one: a disk answers many at a time
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
            for place in places:
                os.posix_fadvise(file, place, 2 * size, os.POSIX_FADV_WILLNEED)
        found = b"".join([os.pread(file, 2 * size, place) for place in places])
        pairs = np.frombuffer(found, self.kind).reshape(-1, 2)
        return np.where((rows > first)[:, None], pairs[:, 1:], pairs)


def advise(column: np.ndarray, advice: str) -> None:
    """Tell the system how a mapped column is read: ``MADV_SEQUENTIAL``, ``MADV_RANDOM``, ``MADV_DONTNEED``."""
    mapped = mapping(column)
    if mapped is not None and hasattr(mmap, advice):  # not on Windows
        mapped.madvise(getattr(mmap, advice))


def blocks(column: np.ndarray, *, backwards: bool = False) -> Iterator[slice]:
    """Slices that cover the rows of ``column``; after each, a mapped file's pages are given back.

    >>> list(blocks(np.zeros(5)))
    [slice(0, 5, None)]
    """
    size = max(1, BLOCK_BYTES // max(1, abs(column.strides[0])))
    advise(column, "MADV_SEQUENTIAL")
    starts = range(0, len(column), size)
    for start in reversed(starts) if backwards else starts:
        yield slice(start, min(start + size, len(column)))
        advise(column, "MADV_DONTNEED")


def extremes(column: np.ndarray) -> tuple[float, float]:
    """Least and greatest value of a column; NaN where one is among them."""
    found = [(column[rows].min(), column[rows].max()) for rows in blocks(column)]
    return float(np.min([low for low, _ in found])), float(np.max([high for _, high in found]))


def gather(columns: Sequence[np.ndarray], rows: Any) -> list[np.ndarray]:
    """The rows (indices, mask or slice) of each column, in memory where the columns are mapped."""
    if mapping(columns[0]) is None:
        return [column[rows] for column in columns]
    if isinstance(rows, slice):
        rows = np.arange(*rows.indices(len(columns[0])))
    rows = np.asarray(rows)
    rows = np.flatnonzero(rows) if rows.dtype == np.bool_ else rows
    found = [np.empty((len(rows), *column.shape[1:]), column.dtype) for column in columns]
    for start in range(0, len(rows), GATHERED):
        part = slice(start, start + GATHERED)
        for column, kept in zip(columns, found, strict=True):
            kept[part] = column[rows[part]]
        advise(columns[0], "MADV_DONTNEED")
    return found
