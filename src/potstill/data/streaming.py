"""D4RL's HDF5 files that are too large to read at once: into potstill's own layout, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from potstill.data.checks import as_columns, check_finite, check_rows, resolve_bounds
from potstill.data.files import open_hdf5, read_array, reading
from potstill.data.formats.d4rl import REQUIRED, check_order, papers_of
from potstill.data.formats.layouts import dropped_rows
from potstill.data.mapped import write_mapped

LARGE_BYTES = 1 << 30  # of its columns, uncompressed
ROWS_AT_ONCE = 1 << 18


def spooled(source: Path | str, folder: Path) -> Path | str:
    """What to load instead of ``source``: a large D4RL file's copy in ``folder``, or ``source`` itself.

    Raises:
        PotstillError: a fault of the file; rows are counted from the one that the line names.
    """
    path = Path(source)
    if path.suffix.lower() not in (".hdf5", ".h5") or not path.is_file() or not is_large(path):
        return source
    folder.mkdir(parents=True)
    copy_d4rl(path, folder)
    return folder


def is_large(path: Path) -> bool:
    """Whether an HDF5 file has D4RL's rows in order, and more of them than are read at once."""
    import h5py

    with open_hdf5(path) as file:
        columns = [file.get(key) for key in REQUIRED]
        if "num_episodes" in file or not all(isinstance(column, h5py.Dataset) and column.ndim for column in columns):
            return False  # d3rlpy's or Minari's; what is wrong with others their reader says
        same = len({len(column) for column in columns}) == 1
        return same and sum(column.size * column.dtype.itemsize for column in columns) > LARGE_BYTES


def copy_d4rl(path: Path, folder: Path) -> None:
    """Write the transitions that :func:`~potstill.data.formats.d4rl.read_d4rl` would give into ``folder``."""
    with open_hdf5(path) as file:
        flags = {key: read_array(file, key, path) for key in ("terminals", "timeouts") if key in file}
        columns = as_columns(flags, source=str(path))
        check_rows(columns, source=str(path))
        check_order(file, path)
        dropped, ends = dropped_rows(columns, source=str(path))
        keep = np.delete(np.arange(len(columns["terminals"])), dropped)
        name, env_id, card = papers_of(file, path)
        empty = as_columns({key: file[key][:0] for key in ("observations", "actions")}, source=str(path))
        bounds = resolve_bounds(env_id, empty, source=str(path))
        sizes: dict[str, Any] = {"state_size": empty["observations"].shape[1], "bounds": bounds}
        parts = _parts(file, path, keep, ends)
        write_mapped(folder, parts, len(keep), **sizes, name=name, env_id=env_id, card=card)


def _parts(
    file: Any, path: Path, keep: Int[np.ndarray, " M"], ends: dict[str, np.ndarray]
) -> Iterator[dict[str, np.ndarray]]:
    """The kept rows and the observations after them."""
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
