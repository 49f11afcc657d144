"""``.npz`` files: NumPy archives with named columns."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from potstill.data.files import reading
from potstill.data.formats.layouts import from_arrays, match_columns
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError


def read_npz(path: Path, *, action_scale: float = 1.0) -> Transitions:
    """Read an ``.npz`` archive in any layout of :mod:`potstill.data.formats.layouts`.

    A string ``env_id`` in the archive names the environment. Object arrays are refused: nothing is unpickled.

    Args:
        path: the file.
        action_scale: factor for the actions.

    Raises:
        PotstillError: the file is not an archive, a column is missing, columns are of unequal length, or a value is
            invalid.
    """
    if not zipfile.is_zipfile(path):
        raise PotstillError(f"{path}: truncated, damaged or not an .npz archive")
    with reading(path, "an .npz archive"), path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        names = match_columns(archive.files, source=str(path))
        raw = {column: archive[name] for column, name in names.items()}
        env_id = str(archive["env_id"]) if "env_id" in archive.files else None
    return from_arrays(raw, source=str(path), name=path.stem, env_id=env_id, action_scale=action_scale)
