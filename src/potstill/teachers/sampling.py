"""Where the batches of a training come from: rows on the device, or rows of a mapped file read ahead of it.

Both draw the same row numbers from the same keys, so that the same data give the same teacher.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray

from potstill.teachers.rows import Rows, Table, on_device

READ_ROWS = 8192  # rows that are read at once, while the device works on as many

Shape = tuple[int, int]  # batches in a call of an algorithm's update, and rows in a batch


def keys_of(key: PRNGKeyArray, call: Any) -> Any:
    """The keys of a call's rows and of its noise; they depend on its number alone."""
    return jax.random.split(jax.random.fold_in(key, call))


def drawn(rows: Rows, key: PRNGKeyArray, place: Any, shape: Shape) -> Rows:
    """Batches of rows on the device, drawn uniformly with replacement."""
    index = jax.random.randint(key, shape, 0, len(rows.states))
    return jax.tree.map(lambda column: column[index], rows)


def in_turn(rows: Rows, key: PRNGKeyArray, place: Any, shape: Shape) -> Rows:
    """Batches that were drawn before: the ones at ``place``."""
    return jax.tree.map(lambda column: column[place], rows)


@functools.partial(jax.jit, static_argnames=("calls", "shape", "count"))
def draw_ahead(key: PRNGKeyArray, *, calls: int, shape: Shape, count: int) -> Int[Array, "calls batches B"]:
    """The row numbers that :func:`drawn` draws in the first calls, of ``count`` rows."""
    one = lambda call: jax.random.randint(keys_of(key, call)[0], shape, 0, count)  # noqa: E731
    return jax.vmap(one)(jnp.arange(calls))


class Resident:
    """All rows on the device; the compiled loop draws from them itself.

    ``pick`` is how a call finds its batches in a piece, here and in :class:`Ahead`.
    """

    pick = staticmethod(drawn)

    def __init__(self, table: Table) -> None:
        self.rows = on_device(table)

    def pieces(self, key: PRNGKeyArray, calls: int) -> Iterator[tuple[Rows, int, int]]:
        """One piece: all rows for all calls."""
        yield self.rows, 0, calls


class Ahead:
    """Rows of a mapped file, some thousand at a time: the next are read while the device works on the last.

    A piece has always the same shape, so that one program serves all; the last of its calls may be unused.
    """

    pick = staticmethod(in_turn)

    def __init__(self, table: Table, shape: Shape) -> None:
        self.table, self.shape = table, shape
        self.calls = max(1, READ_ROWS // (shape[0] * shape[1]))

    def pieces(self, key: PRNGKeyArray, calls: int) -> Iterator[tuple[Rows, int, int]]:
        """As many pieces as it takes, in turn; the device need not be waited for between two."""
        whole = -(-calls // self.calls) * self.calls
        index = np.asarray(draw_ahead(key, calls=whole, shape=self.shape, count=len(self.table)))
        for start in range(0, calls, self.calls):
            part = index[start : start + self.calls]
            rows = self.table.at(part.ravel())
            shaped = jax.tree.map(lambda column: column.reshape(*part.shape, *column.shape[1:]), rows)  # noqa: B023
            yield shaped, start, min(self.calls, calls - start)


def source_of(table: Table, shape: Shape) -> Resident | Ahead:
    """Where the rows of a table are read from: a file that its data map, or else the device."""
    return Ahead(table, shape) if table.data.mapped else Resident(table)
