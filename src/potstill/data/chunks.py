"""Read a column in chunks of a few MB. Each is converted, checked and stored while it is in the processor's cache."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar, cast

import numpy as np
from jaxtyping import Float, Int

from potstill.data.checks import describe_location, is_finite
from potstill.data.columns import TABLES
from potstill.data.files import Column
from potstill.errors import PotstillError

CHUNK = 65_536  # rows read at once, a few MB: the chunk stays in the processor's cache
CACHED_BYTES = 1 << 22  # bytes read at once if the values need no conversion
TOGETHER = 512  # rows that are compared as one long row
MOST_BUFFERS = 1024  # Linux's limit for one call of preadv
Segment = TypeVar("Segment", np.ndarray, memoryview)


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
    read = _Reader(column, kept, gone)
    edges = [*range(0, len(column), read.at_once), len(column)]
    before = np.searchsorted(dropped, edges).tolist()  # the number of dropped rows
    for start, stop, less, more in zip(edges[:-1], edges[1:], before[:-1], before[1:], strict=True):
        inside, apart = slice(start - less, stop - more), slice(less, more)
        read(start, stop, inside, apart, dropped[apart] - start)
        if not check(kept[inside]):
            raise make_not_finite_error(key, column, source=source, first=first)
    if not is_finite(gone):
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
    """Reads rows of a column into two arrays: the kept rows, and the dropped rows at given places of the chunk.

    Attributes:
        at_once: the number of rows to read at once: a few MB, in whole chunks of an HDF5 file.
    """

    def __init__(self, column: Column, kept: np.ndarray, gone: np.ndarray) -> None:
        self.column, self.kept, self.gone = column, kept, gone
        self.raw = _find_plain_numbers(column)
        if self.raw is not None:
            self.rows = _make_row_view(kept, self.raw[2]), _make_row_view(gone, self.raw[2])
            self.at_once = max(1, CACHED_BYTES // self.raw[2])
        else:
            together = (getattr(column, "chunks", None) or (1,))[0]
            self.at_once = int(max(CHUNK // together, 1) * together)

    def __call__(self, start: int, stop: int, inside: slice, apart: slice, places: Int[np.ndarray, " X"]) -> None:
        sparse = len(places) * 16 < stop - start
        if self.raw is not None and sparse:
            kept, gone = self.rows
            _scatter(*self.raw, start, list(_iterate_segments(kept[inside], gone[apart], places)))
            return
        with np.errstate(over="ignore"):
            chunk = np.asarray(self.column[start:stop]).astype(np.float32, copy=False)
        chunk = chunk.reshape(stop - start, *self.kept.shape[1:])
        if sparse:
            end = 0
            for segment in _iterate_segments(self.kept[inside], self.gone[apart], places):
                segment[:] = chunk[end : end + len(segment)]
                end += len(segment)
        else:
            self.gone[apart], self.kept[inside] = chunk[places], np.delete(chunk, places, axis=0)


def _make_row_view(array: np.ndarray, size: int) -> memoryview:
    """View the rows of an array, of ``size`` bytes. Slices of this view cost much less time than those of the array."""
    return memoryview(cast("bytearray", array.reshape(-1).view(np.dtype((np.void, size)))))


def _iterate_segments(kept: Segment, gone: Segment, places: Int[np.ndarray, " X"]) -> Iterator[Segment]:
    """Yield segments of the two arrays, in the order of the rows of the chunk."""
    start = 0
    for i, place in enumerate(places.tolist()):
        if place > start:
            yield kept[start - i : place - i]
        yield gone[i : i + 1]
        start = place + 1
    if len(kept) > start - len(places):
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
    file = h5py.h5i.get_file_id(column.id)
    handle = file.get_vfd_handle()
    try:  # a quick test that the handle is a file descriptor: some of HDF5's drivers have other handles
        plain = os.path.samestat(os.fstat(handle), os.stat(h5py.h5f.get_name(file)))
    except (OSError, OverflowError):
        return None
    return (handle, offset, row) if plain else None


def _scatter(file: int, offset: int, row: int, start: int, segments: Sequence[memoryview]) -> None:
    """Read consecutive rows from a file directly into segments of arrays.

    Raises:
        OSError: the file ends before the last row.
    """
    place = offset + start * row
    for first in range(0, len(segments), MOST_BUFFERS):
        batch: Sequence[memoryview | np.ndarray] = segments[first : first + MOST_BUFFERS]
        left = row * sum(map(len, segments[first : first + MOST_BUFFERS]))
        while left:
            read = os.preadv(file, cast("Sequence[bytearray]", batch), place)
            if not read:
                raise OSError("the file ends in the middle of its rows")
            place, left = place + read, left - read
            batch = _list_unfilled(batch, read) if left else ()


def _list_unfilled(batch: Sequence[memoryview | np.ndarray], read: int) -> list[memoryview | np.ndarray]:
    """List what is left of segments after their first ``read`` bytes were filled."""
    ends = np.cumsum([segment.nbytes for segment in batch])
    first = int(np.searchsorted(ends, read, "right"))
    rest = np.frombuffer(batch[first], np.uint8)[int(read - ends[first]) :]  # a negative index
    return [rest, *batch[first + 1 :]]
