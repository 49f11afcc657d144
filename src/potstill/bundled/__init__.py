"""Internal: the datasets inside the package.

Each dataset NAME has these files:

- ``NAME.hdf5``: the rows, with the dataset's card;
- ``NAME.teacher.safetensors``: a teacher, and ``NAME.teacher.json``: settings and results of its training;
- ``NAME.world.safetensors``: a world model, and ``NAME.world.json``: settings and results of its training;
- ``NAME.bc.json``: returns of behavioural cloning on all rows;
- ``NAME.distillate.safetensors``: the distillate that ``potstill distill NAME --states data`` makes.
"""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from potstill.errors import PotstillError

BUNDLED = Path(__file__).parent


def list_bundled_names() -> list[str]:
    """List the names of the bundled datasets."""
    return sorted(path.stem for path in BUNDLED.glob("*.hdf5"))


def find_artefact_path(path: os.PathLike[str] | str, kind: str) -> Path:
    """Find the file of an artefact: that of a bundled dataset, that in a run folder, or ``path`` itself.

    Args:
        path: the name of a bundled dataset, a run folder or a file.
        kind: the kind of artefact, such as ``"teacher"``.

    Raises:
        PotstillError: there is no such file, and the path is almost the name of a bundled dataset.

    >>> find_artefact_path("hopper-medium-replay", "teacher").name, str(find_artefact_path("a.safetensors", "teacher"))
    ('hopper-medium-replay.teacher.safetensors', 'a.safetensors')
    """
    bundled = BUNDLED / f"{os.fspath(path)}.{kind}.safetensors"
    if bundled.is_file():
        return bundled
    names = list_bundled_names()
    near = difflib.get_close_matches(os.fspath(path), names, n=1, cutoff=0.8)
    if near and os.fspath(path) not in names and not Path(path).exists():
        raise PotstillError(f"{path}: no such file; did you mean the bundled '{near[0]}'?")
    return Path(path) / f"{kind}.safetensors" if Path(path).is_dir() else Path(path)
