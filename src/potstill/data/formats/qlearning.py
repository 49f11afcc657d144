"""The rule of D4RL's ``qlearning_dataset``: each row's next observation is the following row's observation.

Rows that time out have no next observation and are dropped, as is the last row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from potstill.data.checks import read_chunks
from potstill.data.files import Column
from potstill.errors import PotstillError

D4RL_LIMIT = 1000  # D4RL's step limit, for files without time-outs


class Rows(NamedTuple):
    """Columns whose rows are transitions."""

    observations: Float[np.ndarray, "M S"]
    actions: Float[np.ndarray, "M A"]
    rewards: Float[np.ndarray, " M"]
    next_observations: Float[np.ndarray, "M S"]
    terminations: Bool[np.ndarray, " M"]
    truncations: Bool[np.ndarray, " M"]
    finite: bool = False
    """Whether the numbers are known to be finite."""


def qlearning_rows(columns: Mapping[str, Column], *, source: str, limit: int = D4RL_LIMIT) -> Rows:
    """Pair each row with the following one, and drop the :func:`dropped_rows`.

    Args:
        columns: flags as arrays, the other columns as arrays or HDF5 datasets.
        source: name of the data in error messages.
        limit: steps after which an episode times out, if there are no ``timeouts``.
    """
    dropped, flags = dropped_rows(columns, source=source, limit=limit)
    (observations, after), (actions, _), (rewards, _) = (
        split_rows(key, columns[key], dropped, source=source) for key in ("observations", "actions", "rewards")
    )
    following = np.empty_like(observations)
    following[:-1] = observations[1:]
    ending = np.diff(dropped, prepend=-1) > 1  # the dropped rows that come after a kept one
    following[(dropped - np.arange(len(dropped)) - 1)[ending]] = after[ending]
    return Rows(observations, actions, rewards, following, flags["terminations"], flags["truncations"], finite=True)


def dropped_rows(
    columns: Mapping[str, Column], *, source: str, limit: int = D4RL_LIMIT
) -> tuple[Int[np.ndarray, " X"], dict[str, Bool[np.ndarray, " M"]]]:
    """Find the rows without a next observation, from ``terminals`` and ``timeouts``.

    Args:
        columns: ``terminals`` and, if there are any, ``timeouts``.
        source: name of the data in error messages.
        limit: steps after which an episode times out, if there are no ``timeouts``.

    Returns:
        The dropped rows, and ``terminations`` and ``truncations`` of the other rows.

    Raises:
        PotstillError: there are fewer than two rows, or all rows are dropped.
    """
    terminals = np.asarray(columns["terminals"])
    timeouts = np.asarray(columns["timeouts"]) if "timeouts" in columns else _count_timeouts(terminals, limit)
    timeouts = timeouts & ~terminals
    if len(terminals) < 2:
        raise PotstillError(f"{source}: {len(terminals)} rows, expected at least 2")
    last = len(terminals) - 1
    dropped = np.append(np.flatnonzero(timeouts[:-1]), last)
    if len(dropped) > last:
        raise PotstillError(f"{source}: every row is a time-out, so no transition is left")
    keep, cut = ~timeouts[:-1], np.append(timeouts[1:-1], True) & ~terminals[:-1]
    return dropped, {"terminations": terminals[:-1][keep], "truncations": cut[keep]}


def split_rows(
    key: str, column: Column, dropped: Int[np.ndarray, " X"], *, source: str
) -> tuple[np.ndarray, np.ndarray]:
    """Read a column as float32; return its kept rows and its ``dropped`` rows, whose indices are in ascending order.

    The column is read, checked and copied chunk by chunk, because the first access to new memory is the slowest part
    of reading a large file.
    """
    kept = gone = np.empty(0)
    end = 0
    for first, chunk in read_chunks(key, column, source=source):
        if not first:
            kept, gone = (
                np.empty((n, *chunk.shape[1:]), np.float32) for n in (len(column) - len(dropped), len(dropped))
            )
        here = slice(*np.searchsorted(dropped, (first, first + len(chunk))))
        gaps = dropped[here] - first
        gone[here] = chunk[gaps]
        for start, stop in zip((0, *(gaps + 1)), (*gaps, len(chunk)), strict=True):
            kept[end : end + stop - start] = chunk[start:stop]
            end += stop - start
    return kept, gone


def _count_timeouts(terminals: Bool[np.ndarray, " M"], limit: int) -> Bool[np.ndarray, " M"]:
    """Mark a time-out every ``limit`` steps after the last end."""
    rows = np.arange(len(terminals))
    starts = np.zeros_like(rows)
    starts[1:] = np.where(terminals[:-1], rows[1:], 0)
    steps: np.ndarray = rows - np.maximum.accumulate(starts) + 1
    timeouts: np.ndarray = steps % limit == 0
    return timeouts
