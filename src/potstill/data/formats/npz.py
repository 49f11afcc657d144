"""``.npz`` files: NumPy archives with named columns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from potstill.data.archives import open_npz
from potstill.data.columns import Chosen, match_columns
from potstill.data.formats.imitation import AS_TERMINATIONS, NAMES, log_of_archive
from potstill.data.formats.lanes import STATE
from potstill.data.formats.tables import SPACE, log_of_columns
from potstill.data.log import Log


@contextmanager
def read_npz(path: Path, chosen: Chosen) -> Iterator[Log]:
    """Open an ``.npz`` archive with named columns, or trajectories of the library imitation.

    Arrays with more than two axes, such as images, are read when they are indexed.

    ``env_id``, ``action_low`` and ``action_high`` in the archive name the environment and the action bounds. Object
    arrays are refused: nothing is unpickled.

    Args:
        path: the file.
        chosen: columns that the user chose.

    Raises:
        PotstillError: the file is not an archive, a column is missing, or an array cannot be read.
    """
    with open_npz(path) as archive:
        if archive.keys() >= NAMES and chosen in ({}, AS_TERMINATIONS):
            yield log_of_archive(archive, chosen, source=str(path), name=path.stem)
            return
        known = {key: archive[key] for key in ("env_id", *SPACE, *STATE) if key in archive}
        yield log_of_columns(
            archive.find_column,
            match_columns(archive.keys() - known.keys(), chosen, source=str(path)),
            chosen,
            source=str(path),
            name=path.stem,
            stated=known,
        )
