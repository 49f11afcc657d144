"""Data frames of pandas or Polars, and Arrow tables, in memory."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from potstill.data.columns import Chosen, match_columns
from potstill.data.formats.tables import log_of_columns
from potstill.data.log import Log
from potstill.errors import PotstillError


@runtime_checkable
class DataFrame(Protocol):
    """A data frame of pandas or Polars, or an Arrow table."""

    @property
    def columns(self) -> Iterable[object]:
        """The columns, or their names."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and of columns."""
        ...

    def __getitem__(self, key: object, /) -> object:
        """Return a column by its name."""
        ...


SOURCE = "the data frame"
UNSORTED = "the index is not in ascending order: rows are read in the order of the frame, not of the index"


def read_frame(frame: object, chosen: Chosen) -> Log:
    """Make a log of a data frame. Columns have the same forms as in a Parquet file.

    As in the Parquet files of pandas, a named index is a column. The names of a column with several levels are joined
    by dots: ``("next", "reward")`` is ``next.reward``.

    Args:
        frame: a data frame of pandas or Polars, or an Arrow table.
        chosen: columns that the user chose.

    Raises:
        PotstillError: a column is missing or occurs twice, or has empty cells or lists of different lengths.
    """
    table = cast(DataFrame, frame)
    names, notes = _name_columns(table), []
    index: Any = getattr(table, "index", None)
    if getattr(index, "names", None) is not None:
        levels = {str(name): place for place, name in enumerate(index.names) if name is not None}
        names = {name: functools.partial(index.get_level_values, place) for name, place in levels.items()} | names
        notes = [UNSORTED] if _is_shuffled(index) else []
    log = log_of_columns(
        lambda name: _to_array(np.array(names[name]()), name),
        match_columns(names, chosen, source=SOURCE),
        chosen,
        source=SOURCE,
        name="frame",
        stated={"env_id": _read_env_id(names["env_id"]())} if "env_id" in names else {},
    )
    return dataclasses.replace(log, notes=(*log.notes, *notes))


def _name_columns(table: DataFrame) -> dict[str, Callable[[], object]]:
    """Return a function for each column that reads it, by the name of the column as text."""
    found: dict[str, Callable[[], object]] = {}
    for name in getattr(table, "column_names", None) or table.columns:
        text = ".".join(str(part) for part in name if part != "") if isinstance(name, tuple) else str(name)
        if text in found:
            raise PotstillError(f"{SOURCE}: two columns are named '{text}': expected different names")
        found[text] = functools.partial(table.__getitem__, name)
    return found


def _read_env_id(column: object) -> object:
    """Read the environment from a column with one value, as in a Parquet file."""
    ids = set(np.array(column).tolist())
    if len(ids) != 1:
        raise PotstillError(f"{SOURCE}: column env_id holds {len(ids)} ids, expected one")
    return ids.pop()


def _is_shuffled(index: Any) -> bool:
    """Whether an index of different numbers or times does not ascend, as after shuffling. Others need not ascend."""
    return index.nlevels == 1 and index.dtype.kind in "iufM" and index.is_unique and not index.is_monotonic_increasing


def _to_array(values: np.ndarray, name: str) -> np.ndarray:
    """Convert a column to an array of numbers. Objects must be numbers, or lists of equal length."""
    if values.dtype != object:
        return values
    cells = values.tolist()
    if all(isinstance(cell, int | float | Decimal) for cell in cells):
        with contextlib.suppress(OverflowError):
            return values.astype(np.float64)
    try:
        parts = [np.asarray(value) for value in cells]
        stacked = np.stack(parts)
    except (ValueError, TypeError):
        raise PotstillError(f"{SOURCE}: column '{name}' holds lists of different lengths") from None
    if stacked.dtype == object:
        row = next(row for row, part in enumerate(parts) if part.dtype == object)
        raise PotstillError(f"{SOURCE}: column '{name}', row {row} is {str(cells[row])[:20]}, expected a number")
    if stacked.dtype.kind == "U" and not all(isinstance(cell, str) for cell in cells):
        row = next(row for row, cell in enumerate(cells) if not isinstance(cell, str))
        raise PotstillError(f"{SOURCE}: column '{name}', row {row} is {str(cells[row])[:20]}, expected text")
    return stacked
