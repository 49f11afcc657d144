"""Parquet files, as pandas, Polars or Hugging Face's ``datasets`` write them, with one transition per row.

Observations and actions are either one column of lists of equal length (or of numbers, for a single component), or
numbered columns such as ``observation_0``, ``observation.0`` or ``observations[0]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from potstill.data.checks import TABLES
from potstill.data.files import reading
from potstill.data.formats.layouts import SYNONYMS, from_arrays, match_columns
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError, missing_extra

if TYPE_CHECKING:
    from pyarrow import Table

NUMBERED = re.compile(r"(.+?)(?:[._](\d+)|\[(\d+)\])")
KNOWN = {name for column, synonyms in SYNONYMS.items() for name in (column, *synonyms)}


def require_pyarrow() -> ModuleType:
    """Import PyArrow.

    Raises:
        PotstillError: it is not installed. The message gives the command that installs it.
    """
    try:
        import pyarrow.dataset
        import pyarrow.parquet
    except ImportError:
        raise missing_extra("pyarrow", "arrow") from None
    module: ModuleType = pyarrow
    return module


def read_parquet(path: Path, *, action_scale: float = 1.0) -> Transitions:
    """Read a Parquet file: pairs or rows in order, depending on its columns.

    A column ``env_id`` with one value names the environment.

    Args:
        path: the file.
        action_scale: factor for the actions.

    Raises:
        PotstillError: PyArrow is not installed, the file is damaged, a column is missing, or a value is invalid.
    """
    arrow, source = require_pyarrow(), str(path)
    with reading(path, "a Parquet file"), arrow.parquet.ParquetFile(path) as file:
        numbered = numbered_columns(file.schema_arrow.names, source=source)
        names = match_columns({*numbered, *file.schema_arrow.names}, source=source)
        wanted = [part for name in names.values() for part in numbered.get(name, [name])]
        has_env = "env_id" in file.schema_arrow.names
        table = file.read(columns=[*wanted, *(["env_id"] if has_env else [])])
        env_ids = table["env_id"].unique().to_pylist() if has_env else [None]
    if len(env_ids) != 1:
        raise PotstillError(f"{source}: column env_id holds {len(env_ids)} ids, expected one")
    raw = {}
    for column, name in names.items():
        parts = [to_array(table, part, source=source) for part in numbered.get(name, [name])]
        if name in numbered and any(part.ndim != 1 for part in parts):
            raise PotstillError(f"{source}: column '{numbered[name][0]}' holds lists, expected plain numbers")
        flat = parts[0] if name not in numbered else np.stack(parts, axis=1)
        raw[column] = flat[:, None] if column in TABLES and flat.ndim == 1 else flat
    env_id = None if env_ids[0] is None else str(env_ids[0])
    return from_arrays(raw, source=source, name=path.stem, env_id=env_id, action_scale=action_scale)


def numbered_columns(names: Iterable[str], *, source: str) -> dict[str, list[str]]:
    """Group numbered columns by their name, each in order.

    Raises:
        PotstillError: numbers are missing or occur twice.

    Example:
        >>> numbered_columns(["obs_1", "obs_0", "action.0", "info_7"], source="a file")
        {'obs': ['obs_0', 'obs_1'], 'action': ['action.0']}
    """
    found: dict[str, dict[int, str]] = {}
    for name in names:
        match = NUMBERED.fullmatch(name)
        if match and match[1] in KNOWN:
            numbers = found.setdefault(match[1], {})
            if numbers.setdefault(int(match[2] or match[3]), name) != name:
                raise PotstillError(f"{source}: has both '{numbers[int(match[2] or match[3])]}' and '{name}'")
    for name, numbers in found.items():
        if sorted(numbers) != list(range(len(numbers))) or name in names:
            raise PotstillError(f"{source}: columns of '{name}' are numbered {sorted(numbers)}: expected 0, 1, 2, …")
    return {name: [numbers[index] for index in sorted(numbers)] for name, numbers in found.items()}


def to_array(table: Table, name: str, *, source: str) -> np.ndarray:
    """Convert a column of an Arrow table to an array: [M] for plain values, [M, n] for lists of length n.

    Raises:
        PotstillError: cells are empty, or lists have unequal lengths.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    column, width = table[name].combine_chunks(), None
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    if pa.types.is_fixed_size_list(column.type) or pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        lengths = pc.unique(pc.list_value_length(column)).to_pylist()
        if len(lengths) > 1 and None not in lengths:
            raise PotstillError(f"{source}: column '{name}' holds lists of {lengths[0]} and of {lengths[1]} numbers")
        width = lengths[0] if lengths else 0
        nulls, column = column.null_count, column.flatten()
        if nulls + column.null_count:
            raise PotstillError(f"{source}: column '{name}' has empty cells, expected numbers")
    elif column.null_count:
        row = int(np.flatnonzero(np.asarray(column.is_null()))[0])
        raise PotstillError(f"{source}: column '{name}', row {row} is empty, expected a number")
    values = column.to_numpy(zero_copy_only=False)
    return values if width is None else values.reshape(-1, width) if width else np.zeros((len(table), 0))
