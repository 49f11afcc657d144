"""Read folders. A file in a folder shows which project wrote it."""

from __future__ import annotations

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
    for shown_by in FOLDERS:
        if (path / shown_by).is_file():
            return FOLDERS[shown_by](path, chosen)
    files = sorted(path.glob("*.parquet"), key=lambda file: split_numbers(file.name))
    if files:
        return read_parquet_files(files, chosen, path)
    raise PotstillError(
        f"{path} is a folder, but not a dataset: it has none of {', '.join(FOLDERS)}, as potstill convert, LeRobot, "
        "Minari and imitation write them, and no .parquet files"
    )
