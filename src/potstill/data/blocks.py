"""Read columns block by block, so that a memory-mapped file larger than memory can be processed.

Pages of a mapped file count as memory of the process until they are released. The system may keep them in its cache.
"""

from __future__ import annotations

import mmap
import os
import weakref
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int, Shaped

BLOCK_BYTES = 1 << 26  # bytes of the file in one block, with the other columns of its rows
GATHERED = 8192  # rows to gather before pages are released; each row may load 64 kB of neighbouring pages


def find_mapping(column: np.ndarray) -> mmap.mmap | None:
    """Return the memory map that an array is a view of, or ``None`` if the array is in memory."""
    base: object = column
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None


def find_records(column: np.ndarray) -> np.memmap | None:
    """Return the mapped array of records that a column is a field of, or ``None`` if there is none."""
    base = column.base
    return base if isinstance(base, np.memmap) and base.dtype.names else None


class Reader:
    """Reads random rows of a file of records with ``pread``, which is cheaper than mapping a page for each row.

    Args:
        column: a field of the mapped records. The file stays open, even if another file replaces it on disk.
    """

    def __init__(self, column: np.ndarray) -> None:
        records = find_records(column)
        assert records is not None
        self.kind, self.start, self.count = records.dtype, records.offset, len(records)
        self.file = open(str(records.filename), "rb", buffering=0)  # noqa: SIM115
        weakref.finalize(self, self.file.close)

    def __call__(self, rows: Int[np.ndarray, " B"]) -> Shaped[np.ndarray, "B 2"]:
        """Read each row and the row after it. The last row of the file is paired with itself."""
        file, size = self.file.fileno(), self.kind.itemsize
        first = np.minimum(rows, self.count - 2)
        offsets = (self.start + first * size).tolist()
        if hasattr(os, "posix_fadvise"):  # request all rows before waiting for the first: disks read in parallel
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_RANDOM)
            for offset in offsets:
                os.posix_fadvise(file, offset, 2 * size, os.POSIX_FADV_WILLNEED)
        found = b"".join([os.pread(file, 2 * size, offset) for offset in offsets])
        pairs = np.frombuffer(found, self.kind).reshape(-1, 2)
        return np.where((rows > first)[:, None], pairs[:, 1:], pairs)


def advise(column: np.ndarray, advice: str) -> None:
    """Tell the system how a mapped column will be read.

    Args:
        column: any array. An array in memory is ignored.
        advice: a constant of :mod:`mmap`, such as ``"MADV_SEQUENTIAL"``, ``"MADV_RANDOM"`` or ``"MADV_DONTNEED"``.
    """
    mapped = find_mapping(column)
    if mapped is not None and hasattr(mmap, advice):  # not on Windows
        mapped.madvise(getattr(mmap, advice))


def iterate_blocks(column: np.ndarray, *, backwards: bool = False) -> Iterator[slice]:
    """Yield slices that cover the rows of ``column``. The pages of a mapped file are released after each block.

    >>> list(iterate_blocks(np.zeros(5)))
    [slice(0, 5, None)]
    """
    size = max(1, BLOCK_BYTES // max(1, abs(column.strides[0])))
    advise(column, "MADV_SEQUENTIAL")
    starts = range(0, len(column), size)
    for start in reversed(starts) if backwards else starts:
        yield slice(start, min(start + size, len(column)))
        advise(column, "MADV_DONTNEED")


def find_extremes(column: np.ndarray) -> tuple[float, float]:
    """Return the lowest and the highest value of a column. Both are NaN if it contains NaN."""
    found = [(column[rows].min(), column[rows].max()) for rows in iterate_blocks(column)]
    return float(np.min([low for low, _ in found])), float(np.max([high for _, high in found]))


def gather(columns: Sequence[np.ndarray], rows: slice | Sequence[int] | np.ndarray) -> list[np.ndarray]:
    """Return the chosen rows of each column, copied into memory if the columns are mapped.

    Args:
        columns: arrays with equal numbers of rows.
        rows: indices, a mask or a slice.
    """
    if find_mapping(columns[0]) is None:
        return [column[rows] for column in columns]
    chosen = np.arange(*rows.indices(len(columns[0]))) if isinstance(rows, slice) else np.asarray(rows)
    chosen = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else chosen
    found = [np.empty((len(chosen), *column.shape[1:]), column.dtype) for column in columns]
    for start in range(0, len(chosen), GATHERED):
        part = slice(start, start + GATHERED)
        for column, copy in zip(columns, found, strict=True):
            copy[part] = column[chosen[part]]
        advise(columns[0], "MADV_DONTNEED")
    return found
