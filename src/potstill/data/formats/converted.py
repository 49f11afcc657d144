"""Folders of ``potstill convert``, whose rows stay on disk."""

from __future__ import annotations

from pathlib import Path

from potstill.data.columns import Chosen
from potstill.data.mapped import read_mapped
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError, name_option


def read_converted(path: Path, chosen: Chosen) -> Transitions:
    """Map a folder that ``potstill convert`` wrote.

    Args:
        path: the folder.
        chosen: must be empty: columns are chosen when a dataset is converted.

    Raises:
        PotstillError: columns are chosen, or the folder is damaged.
    """
    if chosen:
        raise PotstillError(f"{path}: {name_option('columns')}: the columns are chosen when the dataset is converted")
    return read_mapped(path)
