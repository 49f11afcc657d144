"""Copy D4RL's HDF5 files that are too large to read at once into potstill's own layout, piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int

from potstill.data.checks import as_columns, check_equal_rows, check_finite, resolve_bounds
from potstill.data.files import Group, open_hdf5, read_array, reading
from potstill.data.formats.d4rl import REQUIRED, check_order, read_metadata
from potstill.data.formats.qlearning import dropped_rows
from potstill.data.mapped import write_mapped
from potstill.runtime.files import StrPath

LARGE_BYTES = 1 << 30  # uncompressed size of the columns above which a file is copied piece by piece
ROWS_AT_ONCE = 1 << 18


def copy_if_large(source: StrPath, folder: Path) -> StrPath:
    """Copy ``source`` into ``folder`` if it is a large D4RL file.

    Returns:
        The source to load: ``folder`` after a copy, else ``source``.

    Raises:
        PotstillError: the file is invalid. The message gives the first row of the piece, and the row of the fault
            relative to it.
    """
    path = Path(source)
    if path.suffix.lower() not in (".hdf5", ".h5") or not path.is_file() or not is_large(path):
        return source
    folder.mkdir(parents=True)
    copy_d4rl(path, folder)
    return folder


def is_large(path: Path) -> bool:
    """Whether an HDF5 file has D4RL's layout and is too large to read at once."""
    import h5py

    with open_hdf5(path) as file:
        found = [file.get(key) for key in REQUIRED]
        columns = [column for column in found if isinstance(column, h5py.Dataset) and column.ndim]
        if "num_episodes" in file or len(columns) < len(found):
            return False  # d3rlpy's or Minari's layout, or a fault that the reader will report
        same = len({len(column) for column in columns}) == 1
        return same and bool(sum(column.size * column.dtype.itemsize for column in columns) > LARGE_BYTES)


def copy_d4rl(path: Path, folder: Path) -> None:
    """Write the transitions that :func:`~potstill.data.formats.d4rl.read_d4rl` would return into ``folder``."""
    source = str(path)
    with open_hdf5(path) as file:
        flags = {key: read_array(file, key, path) for key in ("terminals", "timeouts") if key in file}
        columns = as_columns(flags, source=source)
        check_equal_rows(columns, source=source)
        check_order(file, path)
        dropped, ends = dropped_rows(columns, source=source)
        keep = np.delete(np.arange(len(columns["terminals"])), dropped)
        metadata = read_metadata(file, path)
        empty = as_columns({key: file[key][:0] for key in ("observations", "actions")}, source=source)
        write_mapped(
            folder,
            _read_pieces(file, path, keep, ends),
            len(keep),
            state_size=empty["observations"].shape[1],
            bounds=resolve_bounds(metadata.env_id, empty, source=source),
            name=metadata.name,
            env_id=metadata.env_id,
            card=metadata.card,
        )


def _read_pieces(
    file: Group, path: Path, keep: Int[np.ndarray, " M"], ends: dict[str, np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """Read the kept rows and their next observations, piece by piece."""
    for start in range(0, len(keep), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        first, beyond = int(keep[part][0]), int(keep[part][-1]) + 2
        source = f"{path}, rows from {first} on"
        with reading(path, "an HDF5 file"):
            raw = {key: np.asarray(file[key][first:beyond]) for key in ("observations", "actions", "rewards")}
        columns = as_columns(raw, source=source)
        for key, column in columns.items():
            check_finite(key, column, source=source)
        rows = keep[part] - first
        yield {
            **{key: column[rows] for key, column in columns.items()},
            "next_observations": columns["observations"][rows + 1],
            **{key: flags[part] for key, flags in ends.items()},
        }
