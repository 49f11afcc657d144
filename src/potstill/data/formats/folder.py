"""A folder: potstill's own layout or a Minari dataset, which its files tell."""

from __future__ import annotations

from pathlib import Path

from potstill.data.formats.minari import read_minari
from potstill.data.mapped import HEADER, read_mapped
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError


def read_folder(path: Path, *, action_scale: float = 1.0) -> Transitions:
    """Map a folder of ``potstill convert``, or read one of Minari.

    Args:
        path: the folder.
        action_scale: what the actions are multiplied by; a mapped file's are as they are.

    Raises:
        PotstillError: neither, damaged, or bad values.
    """
    if not (path / HEADER).is_file():
        return read_minari(path, action_scale=action_scale)
    if action_scale != 1.0:
        raise PotstillError(
            f"{path}: the actions of a mapped dataset are not scaled: scale them before it is converted"
        )
    return read_mapped(path)
