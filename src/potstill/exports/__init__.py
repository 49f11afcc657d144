"""Exports: a distillate as other libraries read data. A format's module, and its library, load on first use."""

from __future__ import annotations

import os
import tempfile
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from potstill.data.checks import check_finite
from potstill.distillate import Distillate, load
from potstill.errors import PotstillError, missing_extra, unknown

SUFFIXES = {".npz": "npz", ".hdf5": "d4rl", ".h5": "d4rl", ".parquet": "parquet"}
FORMATS = {"npz": None, "d4rl": None, "parquet": ("pyarrow", "arrow"), "minari": ("minari", "minari")}
"""By name, the package that each one needs and the extra that brings it."""
OF_ROLL_OUTS = ("d4rl", "minari")
"""Formats whose readers know no weight of a row, and of no action that the environment would not take."""


def export(
    distillate: Distillate | Path | str, path: Path | str, format: str | None = None, *, force: bool = False
) -> Path:
    """Write ``distillate`` in a format of another library, whole or not at all.

    ===========  ==========================================================================
    ``npz``      NumPy archive with the distillate's own arrays
    ``d4rl``     HDF5 in D4RL's layout, every row an episode that terminates
    ``parquet``  one file where ``path`` ends in .parquet, else a folder with a dataset card
    ``minari``   folder of a Minari dataset; its name, which ends in -v0, is the dataset's id
    ===========  ==========================================================================

    Each also holds, as JSON under ``potstill`` (``card`` in HDF5), the normaliser, the action bounds, the
    recipe and the metadata. Learned weights of pairs, and actions beyond the bounds, go into ``npz`` and
    ``parquet`` only.

    Args:
        distillate: what to write, or whatever :func:`potstill.load` takes.
        path: the file or folder to make.
        format: one of the names above. Default: by the suffix of ``path``.
        force: replace an earlier export. Of a folder only the files that the export writes are replaced.

    Returns:
        ``path``.

    Raises:
        PotstillError: an unknown format, a library that is missing, a path that exists or cannot be
            written, pairs that are not finite, or learned weights or actions that the format cannot carry.

    >>> import tempfile
    >>> import numpy as np
    >>> import potstill
    >>> distillate = potstill.load("hopper-medium-replay")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.load(potstill.export(distillate, f"{folder}/hopper.npz"))["states"].shape
    (256, 11)
    """
    path = Path(path)
    name = _format_of(path, format)
    needed = FORMATS[name]
    if needed is not None and find_spec(needed[0]) is None:
        raise missing_extra(*needed)
    if not isinstance(distillate, Distillate):
        distillate = load(distillate)
    for column in ("states", "actions"):
        check_finite(column, getattr(distillate, column), source=str(path))
    if name in OF_ROLL_OUTS:
        _check_rows(distillate, path, name)
    if (path.is_file() or (path.is_dir() and any(path.iterdir()))) and not force:
        raise PotstillError(f"{path} exists: choose another path, or --force to replace it")
    place = path.resolve()
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=place.parent) as folder:
            fresh = Path(folder) / place.name
            import_module(f"potstill.exports.{name}").write(distillate, fresh)
            _put(fresh, place)
    except OSError as error:
        raise PotstillError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def _format_of(path: Path, format: str | None) -> str:
    if format is None and path.suffix not in SUFFIXES:
        raise PotstillError(
            f"{path}: no format ends in '{path.suffix}': end it in {', '.join(SUFFIXES)}, or name the format, "
            f"one of {', '.join(FORMATS)}"
        )
    name = SUFFIXES[path.suffix] if format is None else format
    if name not in FORMATS:
        raise unknown("format", name, FORMATS)
    return name


def _check_rows(distillate: Distillate, path: Path, name: str) -> None:
    """Raise if pairs are more than the rows of a roll-out can be."""
    if distillate.weights is not None:
        raise PotstillError(f"{path}: {name} has no place for the learned weights of pairs: export to npz or parquet")
    if beyond := distillate.beyond_bounds:
        raise PotstillError(
            f"{path}: {beyond} of {len(distillate)} pairs ask for actions beyond the environment's bounds, which "
            f"readers of {name} would clip: export to npz or parquet, or distil with --action-limit 1"
        )


def _put(fresh: Path, place: Path) -> None:
    """Move what was written to its place; in a folder that exists, file by file over an earlier export."""
    if place.exists() and fresh.is_dir() != place.is_dir():
        is_, needed = ("a folder", "a file") if place.is_dir() else ("a file", "a folder")
        raise PotstillError(f"{place} is {is_}, this format makes {needed}: choose another path")
    if fresh.is_file() or not place.exists():
        os.replace(fresh, place)
        return
    files = [file.relative_to(fresh) for file in sorted(fresh.rglob("*")) if file.is_file()]
    if any(place.iterdir()) and not all((place / file).is_file() for file in files):
        raise PotstillError(f"{place} holds other things than an export in this format: choose another path")
    for file in files:
        (place / file).parent.mkdir(parents=True, exist_ok=True)
        os.replace(fresh / file, place / file)
