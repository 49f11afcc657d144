"""Parquet files with one step per row, such as those of pandas, Polars or Hugging Face's ``datasets``.

Observations and actions are either one column of lists of equal length (or of numbers, for a single component), or
numbered columns such as ``observation_0``, ``observation.0`` or ``observations[0]``. The fields of a structure have
names such as ``next.reward``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from potstill.data.columns import TABLES, Chosen, match_columns
from potstill.data.files import allow, reading
from potstill.data.formats.parquet_footer import count_values
from potstill.data.formats.tables import SPACE, log_of_columns
from potstill.data.log import Log
from potstill.errors import PotstillError, make_missing_extra_error
from potstill.runtime.files import parse_json

if TYPE_CHECKING:
    from pyarrow import Schema, Table
    from pyarrow.parquet import FileMetaData, ParquetFile

NUMBER = 8  # largest size of a number in memory, in bytes


def require_pyarrow() -> ModuleType:
    """Import PyArrow.

    Raises:
        PotstillError: PyArrow is not installed. The message contains the command that installs it.
    """
    try:
        import pyarrow.dataset
        import pyarrow.parquet
    except ImportError:
        raise make_missing_extra_error("pyarrow", "arrow") from None
    module: ModuleType = pyarrow
    return module


def read_parquet(path: Path, chosen: Chosen) -> Log:
    """Read a Parquet file. A column ``env_id`` with one value names the environment.

    Args:
        path: the file.
        chosen: columns that the user chose.

    Raises:
        PotstillError: PyArrow is not installed, the file is damaged, or a column is missing.
    """
    return read_parquet_files([path], chosen, path)


def read_parquet_files(files: Sequence[Path], chosen: Chosen, path: Path) -> Log:
    """Read Parquet files with equal columns, one after the other. Columns are those of :func:`read_parquet`."""
    arrow, source = require_pyarrow(), str(path)
    tables: list[Table] = []
    found: Chosen = {}
    wanted: list[str] = []
    for part in files:
        # Checksums are compared if the file has them.
        with (
            reading(part, "a Parquet file"),
            arrow.parquet.ParquetFile(part, page_checksum_verification=True) as file,
        ):
            names = list(_list_leaves(file.schema_arrow))
            if not tables:
                found = match_columns([name for name in names if name != "env_id"], chosen, source=source)
                wanted = [column for columns in found.values() for column in columns]
                wanted = list(dict.fromkeys([*wanted, *(["env_id"] if "env_id" in names else [])]))
            allow_columns(part, file.metadata, wanted)
            table = _read_table(arrow, part, file, wanted)
        _check_same(table, (tables or [table])[0], part, files[0])
        _check_vectors(table, [name for role in TABLES for name in found.get(role, ())], source)
        tables.append(table)
    with reading(path, "a Parquet file"):
        table = arrow.concat_tables(tables)
    stated = _read_stated(table, source)

    def read(name: str) -> np.ndarray:
        with reading(path, "a Parquet file"):
            return to_array(table, name, source=source)

    return log_of_columns(
        read,
        found,
        chosen,
        source=source,
        name=path.stem,
        stated=stated,
    )


def _read_table(arrow: ModuleType, part: Path, file: ParquetFile, wanted: Sequence[str]) -> Table:
    """Read columns. Text that a file holds once and repeats is decoded after a check of its size."""
    schema = file.metadata.schema
    leaves = [schema.column(i) for i in range(len(schema))]
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY" and leaf.path in wanted]
    if not texts:
        return _expand_dictionaries(flatten(file.read(columns=wanted)))
    with arrow.parquet.ParquetFile(part, page_checksum_verification=True, read_dictionary=texts) as again:
        return _expand_dictionaries(flatten(again.read(columns=wanted)))


def _expand_dictionaries(table: Table) -> Table:
    """Replace the columns that are numbers of values in a dictionary by these values.

    Raises:
        PotstillError: the values are too long for the size of the file.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for index, field in enumerate(table.schema):
        if not pa.types.is_dictionary(field.type):
            continue
        if not pa.types.is_primitive(field.type.value_type):
            for chunk in table[field.name].chunks:
                lengths = pc.take(pc.binary_length(chunk.dictionary), chunk.indices)
                allow(pc.sum(lengths).as_py() or 0, f"'{field.name}'")
        table = table.set_column(index, field.name, table[field.name].cast(field.type.value_type))
    return table


def _check_same(table: Table, first: Table, part: Path, file: Path) -> None:
    """Raise unless a file has the columns of the first file, with the same types."""
    kinds = dict(zip(table.schema.names, table.schema.types, strict=True))
    for field in first.schema:
        found = kinds.get(field.name)
        if found != field.type:
            has = f"has no column '{field.name}'" if found is None else f"'{field.name}' holds {found}"
            raise PotstillError(f"{part}: {has}, expected {field.type} as in {file.name}")


def _check_vectors(table: Table, names: Sequence[str], source: str) -> None:
    """Raise if columns hold images: bytes, or lists of lists."""
    import pyarrow as pa

    for name in names:
        kind = table.schema.field(name).type
        inner = getattr(kind, "value_type", None)
        nested = inner is not None and hasattr(inner, "value_type")
        if nested or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
            raise PotstillError(
                f"{source}: column '{name}' holds {kind}: images and stacks in Parquet are not read; write arrays to "
                "HDF5 or .npz"
            )


def allow_columns(file: Path, metadata: FileMetaData, names: Sequence[str] | None = None) -> None:
    """Count the numbers in some or all columns of a Parquet file before memory is allocated for them.

    Args:
        file: the file.
        metadata: its metadata, of which only the schema is read: see :mod:`potstill.data.formats.parquet_footer`.
        names: names of columns; ``None`` for all.

    Raises:
        PotstillError: the numbers are too many for the size of the file.
        ValueError: the footer of the file is damaged.
    """
    starts = ("",) if names is None else tuple(f"{name}." for name in names)
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    for counts in count_values(file):
        for path, count in zip(paths, counts, strict=True):
            if f"{path}.".startswith(starts):
                allow(NUMBER * count, f"'{path}'")


def _list_leaves(schema: Schema) -> Iterator[str]:
    """List the names of columns, and of the fields of structures."""
    import pyarrow as pa

    def walk(name: str, kind: Any) -> Iterator[str]:
        if not pa.types.is_struct(kind):
            yield name
            return
        for i in range(kind.num_fields):
            yield from walk(f"{name}.{kind.field(i).name}", kind.field(i).type)

    for field in schema:
        yield from walk(field.name, field.type)


def flatten(table: Table) -> Table:
    """Replace structures by their fields."""
    import pyarrow as pa

    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def _read_stated(table: Table, source: str) -> dict[str, object]:
    """Read the environment, from a column with one value, and the action bounds, from the metadata of the file."""
    stated: dict[str, object] = {}
    if "env_id" in table.column_names:
        ids = table["env_id"].unique().to_pylist()
        if len(ids) != 1:
            raise PotstillError(f"{source}: column env_id holds {len(ids)} ids, expected one")
        stated["env_id"] = None if ids[0] is None else str(ids[0])
    for key in SPACE:
        text = (table.schema.metadata or {}).get(key.encode())
        if text is not None:
            try:
                stated[key] = parse_json(text)
            except ValueError:
                raise PotstillError(f"{source}: metadata '{key}': expected numbers as JSON") from None
    return stated


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
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    values = column.to_numpy(zero_copy_only=False)
    return values if width is None else values.reshape(-1, width) if width else np.zeros((len(table), 0))
