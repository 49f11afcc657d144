"""Read folders. A file in a folder shows which project wrote it."""

from __future__ import annotations

import errno
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from potstill.data.columns import Chosen, split_numbers
from potstill.data.formats.parquet import read_parquet_files
from potstill.data.log import Log
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError
from potstill.runtime.registry import Registry


class FolderReader(Protocol):
    """Reads a folder."""

    def __call__(self, path: Path, chosen: Chosen) -> Log | Transitions | AbstractContextManager[Log]:
        """Read ``path`` with the columns that the user chose."""
        ...


FILES = (".hdf5", ".h5", ".npz", ".csv", ".tsv")  # suffixes of datasets

# The key is a file that identifies the layout. Other packages add layouts by entry points of the group.
FOLDERS: Registry[FolderReader] = Registry(
    "layout of a folder",
    "potstill.folders",
    {
        "dataset.json": "potstill.data.formats.converted:read_converted",
        "meta/info.json": "potstill.data.formats.lerobot:read_lerobot",
        "data/metadata.json": "potstill.data.formats.minari:read_minari",
        "metadata.json": "potstill.data.formats.minari:read_minari",
        "state.json": "potstill.data.formats.imitation:read_trajectories",
    },
)


def read_folder(path: Path, chosen: Chosen) -> Log | Transitions | AbstractContextManager[Log]:
    """Read a folder of ``potstill convert``, LeRobot, Minari or imitation, or a folder of Parquet files.

    Args:
        path: the folder.
        chosen: columns that the user chose.

    Raises:
        PotstillError: the folder is of another kind, is damaged, or has invalid values.
    """
    if not os.access(path, os.R_OK | os.X_OK):
        raise PotstillError(f"cannot read {path}: {os.strerror(errno.EACCES)}")
    for shown_by in FOLDERS:
        if (path / shown_by).is_file():
            return FOLDERS[shown_by](path, chosen)
    files = sorted(path.glob("*.parquet"), key=lambda file: split_numbers(file.name))
    if files:
        return read_parquet_files(files, chosen, path)
    raise PotstillError(
        f"{path} is a folder, but not a dataset: it has none of {', '.join(FOLDERS)}, as potstill convert, LeRobot, "
        f"Minari and imitation write them, and no .parquet files{_name_dataset(path)}"
    )


def _name_dataset(path: Path) -> str:
    """Name the dataset that a folder belongs to, or a data file in it; empty text if there is none."""
    if any((path.parent / shown_by).is_file() for shown_by in FOLDERS):
        return f". It is a part of the dataset {path.parent}"
    files = sorted(file.name for file in path.iterdir() if file.suffix.lower() in FILES)
    return f". Name one of its files, such as {path / files[0]}" if files else ""
