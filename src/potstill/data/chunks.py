"""Read a column in chunks of a few MB. Each is converted, checked and stored while it is in the processor's cache."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import cast

import numpy as np
from jaxtyping import Float, Int

from potstill.data.checks import describe_location, is_finite
from potstill.data.columns import TABLES
from potstill.data.files import Column
from potstill.errors import PotstillError

CHUNK = 65_536  # rows read at once, a few MB: the chunk stays in the processor's cache
CACHED_BYTES = 1 << 22  # bytes read at once if the values need no conversion
TOGETHER = 64  # rows that are compared as one long row
MOST_BUFFERS = 1024  # Linux's limit for one call of preadv


class Range:
    """The lowest and the highest value of each component of a table, updated part by part.

    A call with a part returns whether all values so far are finite.

    >>> seen = Range(2)
    >>> seen(np.array([[1.0, 5.0], [2.0, -5.0]], np.float32)), seen.low.tolist(), seen.high.tolist()
    (True, [1.0, -5.0], [2.0, 5.0])
    """

    def __init__(self, size: int) -> None:
        self.low, self.high = np.full(size, np.inf, np.float32), np.full(size, -np.inf, np.float32)

    def __call__(self, part: Float[np.ndarray, "n A"]) -> bool:
        """Update the range with the rows of a part."""
        size = part.shape[1]
        whole = len(part) // TOGETHER * TOGETHER
        wide = part[:whole].reshape(-1, TOGETHER * size)  # NumPy reduces long rows faster than short ones
        for some in (wide, part[whole:]):
            if len(some):
                self.low = np.minimum(self.low, some.min(axis=0).reshape(-1, size).min(axis=0))
                self.high = np.maximum(self.high, some.max(axis=0).reshape(-1, size).max(axis=0))
        return not len(part) or bool(np.isfinite(self.low).all() and np.isfinite(self.high).all())


def read_column(
    key: str,
    column: Column,
    dropped: Int[np.ndarray, " X"],
    *,
    source: str,
    first: int = 0,
    check: Callable[[np.ndarray], bool] = is_finite,
) -> Float[np.ndarray, "..."]:
    """Read a column as float32 without the ``dropped`` rows. An array that needs no change is not copied.

    Args:
        key: the column's role.
        column: an array, or a column that is read when it is indexed.
        dropped: rows to leave out, in ascending order.
        source: name of the data in error messages.
        first: the number of the first row, in error messages.
        check: returns whether all values of some kept rows are finite.

    Raises:
        PotstillError: a value is NaN or infinite, or exceeds float32.
    """
    if isinstance(column, np.ndarray) and column.dtype == np.float32 and column.dtype.isnative and not len(dropped):
        if not check(column):
            raise make_not_finite_error(key, column, source=source, first=first)
        return column if key in TABLES else column.reshape(len(column))
    return split_rows(key, column, dropped, source=source, first=first, check=check)[0]


def split_rows(
    key: str,
    column: Column,
    dropped: Int[np.ndarray, " X"],
    *,
    source: str,
    first: int = 0,
    check: Callable[[np.ndarray], bool] = is_finite,
) -> tuple[Float[np.ndarray, "..."], Float[np.ndarray, "..."]]:
    """Read a column as float32, as :func:`read_column` does; return its kept rows and its ``dropped`` rows.

    For large files, the first access to new memory is the slowest part. Each page of the results is written once.
    """
    tail = column.shape[1:] if key in TABLES else ()
    kept = np.empty((len(column) - len(dropped), *tail), np.float32)
    gone = np.empty((len(dropped), *tail), np.float32)
    read = _Reader(column)
    step = read.count_rows_at_once()
    edges = [*range(0, len(column), step), len(column)]
    before = np.searchsorted(dropped, edges).tolist()  # the number of dropped rows
    for start, stop, less, more in zip(edges[:-1], edges[1:], before[:-1], before[1:], strict=True):
        part, apart = kept[start - less : stop - more], gone[less:more]
        read(start, stop, part, apart, dropped[less:more] - start)
        if not (check(part) and is_finite(apart)):
            raise make_not_finite_error(key, column, source=source, first=first)
    return kept, gone


def drop_rows(column: np.ndarray, dropped: Int[np.ndarray, " X"]) -> np.ndarray:
    """Return a copy of a column without the ``dropped`` rows: by segments if they are few, else by a mask."""
    if len(dropped) * 16 > len(column):
        return np.delete(column, dropped, axis=0)
    bounds = zip([0, *(dropped + 1).tolist()], [*dropped.tolist(), len(column)], strict=True)
    return np.concatenate([column[start:stop] for start, stop in bounds])


def make_not_finite_error(key: str, column: Column, *, source: str, first: int = 0) -> PotstillError:
    """Return the error for NaN, infinity or numbers beyond float32 in a column, with the first row and their number."""
    found: list[tuple[object, tuple[int, ...]]] = []
    beyond: list[tuple[object, tuple[int, ...]]] = []
    count = 0
    for start in range(0, len(column), CHUNK):
        raw = np.asarray(column[start : start + CHUNK])
        raw = raw if key in TABLES else raw.reshape(len(raw))
        with np.errstate(over="ignore"):
            large = np.isfinite(raw) & ~np.isfinite(raw.astype(np.float32))
        for bad, where in ((~np.isfinite(raw), found), (large, beyond)):
            if bad.any() and not where:
                row, *others = (int(i) for i in np.argwhere(bad)[0])
                where.append((raw[(row, *others)], (row + start + first, *others)))
        count += int((~np.isfinite(raw)).sum())
    if not found:
        value, place = beyond[0]
        return PotstillError(f"{source}: {value} in {describe_location(key, place)} is beyond float32")
    value, place = found[0]
    return PotstillError(
        f"{source}: {value} in {describe_location(key, place)} ({count} such values): repair or remove them"
    )


class _Reader:
    """Reads rows of a column into two arrays: the kept rows, and the dropped rows at given places of the chunk."""

    def __init__(self, column: Column) -> None:
        self.column = column
        self.raw = _find_plain_numbers(column)

    def count_rows_at_once(self) -> int:
        """Return the number of rows to read at once: a few MB, in whole chunks of an HDF5 file."""
        if self.raw is not None:
            return max(1, CACHED_BYTES // self.raw[2])
        together = (getattr(self.column, "chunks", None) or (1,))[0]
        return int(max(CHUNK // together, 1) * together)

    def __call__(
        self, start: int, stop: int, kept: np.ndarray, gone: np.ndarray, places: Int[np.ndarray, " X"]
    ) -> None:
        sparse = len(places) * 16 < stop - start
        if self.raw is not None and sparse:
            _scatter(*self.raw, start, _iterate_segments(kept, gone, places))
            return
        with np.errstate(over="ignore"):
            chunk = np.asarray(self.column[start:stop]).astype(np.float32, copy=False)
        chunk = chunk.reshape(stop - start, *kept.shape[1:])
        if sparse:
            end = 0
            for segment in _iterate_segments(kept, gone, places):
                segment[:] = chunk[end : end + len(segment)]
                end += len(segment)
        else:
            gone[:], kept[:] = chunk[places], np.delete(chunk, places, axis=0)


def _iterate_segments(kept: np.ndarray, gone: np.ndarray, places: Int[np.ndarray, " X"]) -> Iterator[np.ndarray]:
    """Yield segments of the two arrays, in the order of the rows of the chunk."""
    start = 0
    for i, place in enumerate(places.tolist()):
        yield kept[start - i : place - i]
        yield gone[i : i + 1]
        start = place + 1
    yield kept[start - len(places) :]


def _find_plain_numbers(column: Column) -> tuple[int, int, int] | None:
    """Find file, offset and bytes per row of an HDF5 dataset of contiguous float32 numbers; ``None`` for others."""
    if isinstance(column, np.ndarray):
        return None
    import h5py

    if not isinstance(column, h5py.Dataset) or column.dtype != np.dtype("<f4") or sys.byteorder != "little":
        return None
    offset = column.id.get_offset()  # None if the rows are compressed, in chunks, or in another file
    row = int(np.prod(column.shape[1:], dtype=np.int64)) * 4
    if offset is None or not row or not hasattr(os, "preadv"):
        return None
    file = column.file
    return (file.id.get_vfd_handle(), offset, row) if file.driver == "sec2" else None


def _scatter(file: int, offset: int, row: int, start: int, segments: Iterator[np.ndarray]) -> None:
    """Read consecutive rows from a file directly into segments of arrays.

    Raises:
        OSError: the file ends before the last row.
    """
    place, waiting = offset + start * row, [segment.reshape(-1).view(np.uint8) for segment in segments if len(segment)]
    first = 0  # of the segments that are not full
    while first < len(waiting):
        batch: Sequence[np.ndarray] = waiting[first : first + MOST_BUFFERS]
        read = os.preadv(file, cast("Sequence[bytearray]", batch), place)
        if not read:
            raise OSError("the file ends in the middle of its rows")
        place += read
        while first < len(waiting) and read >= len(waiting[first]):
            read -= len(waiting[first])
            first += 1
        if read:
            waiting[first] = waiting[first][read:]
