"""Folders: potstill's own mapped layout, or a Minari dataset."""

from __future__ import annotations

from pathlib import Path

from potstill.data.formats.minari import read_minari
from potstill.data.mapped import HEADER, read_mapped
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError


def read_folder(path: Path, *, action_scale: float = 1.0) -> Transitions:
    """Map a folder that ``potstill convert`` wrote, or read a Minari dataset.

    Args:
        path: the folder.
        action_scale: factor for the actions; it must be 1 for a mapped dataset.

    Raises:
        PotstillError: the folder is neither of these, is damaged, or has invalid values.
    """
    if not (path / HEADER).is_file():
        return read_minari(path, action_scale=action_scale)
    if action_scale != 1.0:
        raise PotstillError(f"{path}: actions of a mapped dataset cannot be scaled: scale them before you convert it")
    return read_mapped(path)
