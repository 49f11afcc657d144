"""Batches for training: drawn from rows on the device, or prefetched from a mapped file.

Both sources draw the same row numbers from the same keys, so the same data give the same teacher.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PRNGKeyArray

from potstill.teachers.rows import TrainingRows, TrainingTable, load_rows

READ_ROWS = 8192  # rows per read of the file; while the device works on one read, the next is prefetched

Shape = tuple[int, int]  # batches in a call of an algorithm's update, and rows in a batch
DrawBatches = Callable[[TrainingRows, PRNGKeyArray, Int[Array, ""], Shape], TrainingRows]
"""Maps a piece of the rows to the batches of one call."""


class Piece(NamedTuple):
    """Rows for some consecutive calls of an algorithm's update."""

    rows: TrainingRows
    start: int
    """The first call that these rows are for."""
    calls: int
    """The number of calls that they are for."""


def split_call_key(key: PRNGKeyArray, call: int | Int[Array, ""]) -> Key[Array, "2"]:
    """Two keys for a call: one for its rows, one for its noise. They depend only on the number of the call."""
    return jax.random.split(jax.random.fold_in(key, call))


def draw_batches(rows: TrainingRows, key: PRNGKeyArray, place: Int[Array, ""], shape: Shape) -> TrainingRows:
    """Draw batches uniformly, with replacement, from rows on the device."""
    index = jax.random.randint(key, shape, 0, len(rows.states))
    batches: TrainingRows = jax.tree.map(lambda column: column[index], rows)
    return batches


def take_batches(rows: TrainingRows, key: PRNGKeyArray, place: Int[Array, ""], shape: Shape) -> TrainingRows:
    """Take the batches at ``place`` from rows that were drawn in advance."""
    batches: TrainingRows = jax.tree.map(lambda column: column[place], rows)
    return batches


@functools.partial(jax.jit, static_argnames=("calls", "shape", "count"))
def draw_row_numbers(key: PRNGKeyArray, *, calls: int, shape: Shape, count: int) -> Int[Array, "calls batches B"]:
    """The row numbers that :func:`draw_batches` draws in the first calls, out of ``count`` rows."""

    def draw(call: Int[Array, ""]) -> Int[Array, "batches B"]:
        return jax.random.randint(split_call_key(key, call)[0], shape, 0, count)

    numbers: Array = jax.vmap(draw)(jnp.arange(calls))
    return numbers


class DeviceSource:
    """All rows on the device; the compiled loop draws batches from them."""

    pick: DrawBatches = staticmethod(draw_batches)
    """How a call takes its batches from a piece."""

    def __init__(self, table: TrainingTable) -> None:
        self.rows = load_rows(table)

    def iterate_pieces(self, key: PRNGKeyArray, calls: int) -> Iterator[Piece]:
        """Yield one piece: all rows for all calls."""
        yield Piece(self.rows, 0, calls)


class FileSource:
    """Rows of a mapped file, read in pieces. The next piece is read while the device works on the current one.

    All pieces have the same shape, so the program is compiled once. The last piece may contain unused calls.
    """

    pick: DrawBatches = staticmethod(take_batches)
    """How a call takes its batches from a piece."""

    def __init__(self, table: TrainingTable, shape: Shape) -> None:
        self.table, self.shape = table, shape
        self.calls = max(1, READ_ROWS // (shape[0] * shape[1]))

    def iterate_pieces(self, key: PRNGKeyArray, calls: int) -> Iterator[Piece]:
        """Yield as many pieces as needed, in order. The caller need not wait for the device between pieces."""
        drawn = -(-calls // self.calls) * self.calls
        index = np.asarray(draw_row_numbers(key, calls=drawn, shape=self.shape, count=len(self.table)))
        for start in range(0, calls, self.calls):
            part = index[start : start + self.calls]
            rows = self.table.read(part.ravel())
            shaped = jax.tree.map(lambda column: column.reshape(*part.shape, *column.shape[1:]), rows)  # noqa: B023
            yield Piece(shaped, start, min(self.calls, calls - start))


def make_source(table: TrainingTable, shape: Shape) -> DeviceSource | FileSource:
    """The source of a table's batches: a :class:`FileSource` for mapped data, else a :class:`DeviceSource`."""
    return FileSource(table, shape) if table.data.mapped else DeviceSource(table)
