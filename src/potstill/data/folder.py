"""A folder: potstill's own layout or a Minari dataset, which its files tell."""

from __future__ import annotations

from pathlib import Path

from potstill.data.mapped import HEADER, read_mapped
from potstill.data.minari import read_minari
from potstill.types import Transitions


def read_folder(path: Path) -> Transitions:
    """Map a folder of ``potstill convert``, or read one of Minari.

    Raises:
        PotstillError: neither, damaged, or bad values.
    """
    return read_mapped(path) if (path / HEADER).is_file() else read_minari(path)
