"""``.npz`` files: plain NumPy archives with named columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.data.files import reading
from potstill.data.layouts import column_names, from_arrays
from potstill.errors import PotstillError
from potstill.types import Transitions


def read_npz(path: Path) -> Transitions:
    """Read an ``.npz`` archive in any layout of :mod:`potstill.data.layouts`.

    An ``env_id`` string is read if present. Object arrays are refused: nothing is unpickled.

    Raises:
        PotstillError: not an archive, a column missing, unequal rows, or bad values.
    """
    with reading(path, "an .npz archive"), np.load(path, allow_pickle=False) as archive:
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise PotstillError(f"{path}: one bare array, not an .npz archive of named ones")
        names = column_names(archive.files, source=str(path))
        raw = {column: archive[name] for column, name in names.items()}
        env_id = str(archive["env_id"]) if "env_id" in archive.files else None
    return from_arrays(raw, source=str(path), name=path.stem, env_id=env_id)
