"""Data frames of pandas or Polars, and Arrow tables, in memory."""

from __future__ import annotations

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
    def columns(self) -> Any:
        """The columns, or their names."""
        ...

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of rows and of columns."""
        ...

    def __getitem__(self, key: Any, /) -> Any:
        """Return a column by its name."""
        ...


def read_frame(frame: object, chosen: Chosen) -> Log:
    """Make a log of a data frame. Columns have the same forms as in a Parquet file.

    Args:
        frame: a data frame of pandas or Polars, or an Arrow table.
        chosen: columns that the user chose.

    Raises:
        PotstillError: a column is missing, or has empty cells or lists of different lengths.
    """
    table, source = cast(Any, frame), "the data frame"
    names = {str(name): name for name in getattr(table, "column_names", None) or table.columns}
    return log_of_columns(
        lambda name: _to_array(np.array(table[names[name]]), name),
        match_columns(names, chosen, source=source),
        chosen,
        source=source,
        name="frame",
    )


def _to_array(values: np.ndarray, name: str) -> np.ndarray:
    """Convert a column to an array of numbers. Objects must be numbers, or lists of equal length."""
    if values.dtype != object:
        return values
    try:
        stacked = np.stack([np.asarray(value) for value in values.tolist()])
    except (ValueError, TypeError):
        raise PotstillError(f"the data frame: column '{name}' holds lists of different lengths") from None
    if stacked.dtype == object:
        row = next((row for row, value in enumerate(values.tolist()) if not np.isscalar(value)), 0)
        raise PotstillError(f"the data frame: column '{name}', row {row} is {str(values[row])[:20]}, expected a number")
    return stacked
