"""Write an export: check the distillate, write to a temporary folder, then move the result to the path."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from potstill.data.bounds import DiscreteActions
from potstill.data.checks import check_finite
from potstill.distillate import Distillate, load
from potstill.errors import PotstillError
from potstill.exports.base import Content, Format
from potstill.exports.registry import EXPORT_FORMATS, resolve_format
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import StrPath


@check_arguments
def export(
    distillate: Distillate | StrPath,
    path: StrPath,
    format: str | None = None,
    *,
    force: bool = False,
) -> Path:
    """Write ``distillate`` in a format of another library. The export is written completely or not at all.

    ===========  ==========================================================================
    ``npz``      NumPy archive with the arrays of the distillate
    ``d4rl``     HDF5 in D4RL's layout; every row is an episode that terminates
    ``parquet``  one file if ``path`` ends in .parquet, else a folder with a dataset card
    ``minari``   folder of a Minari dataset; its name ends in -v0 and is the dataset's id
    ===========  ==========================================================================

    Every format also holds the normaliser, the action bounds, the recipe and the metadata, as JSON under
    ``potstill`` (``card`` in HDF5). Only ``npz`` and ``parquet`` can hold learned weights of pairs and actions
    outside the action bounds, or the probabilities of discrete actions. The other formats hold the numbers of discrete
    actions, if each pair has a single one.

    Args:
        distillate: the distillate to write, or anything that :func:`potstill.load` accepts.
        path: the file or folder to make.
        format: a name from the table, or of a format that another package registers. The default is the format with
            the suffix of ``path``.
        force: replace an earlier export. In a folder, only the files of the export are replaced.

    Returns:
        ``path``.

    Raises:
        PotstillError: the format is unknown, its library is missing, the path exists or cannot be written, the
            pairs are not finite, or the format cannot hold their weights or actions.

    >>> import tempfile
    >>> import numpy as np
    >>> import potstill
    >>> distillate = potstill.load("hopper-medium-replay")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.load(potstill.export(distillate, f"{folder}/hopper.npz"))["states"].shape
    (256, 11)
    """
    path = Path(path)
    name = resolve_format(path, format)
    EXPORT_FORMATS[name].check_installed()
    if not isinstance(distillate, Distillate):
        distillate = load(distillate if isinstance(distillate, str) else Path(distillate))
    for column in ("states", "actions"):
        check_finite(column, getattr(distillate, column), source=str(path))
    if EXPORT_FORMATS[name].steps_only:
        _check_steps(distillate, path, name)
    check_replaceable(path, force=force)
    write_complete(EXPORT_FORMATS[name], distillate, path)
    return path


def check_replaceable(path: Path, *, force: bool) -> None:
    """Raise if there is a file or a folder with files at ``path``, unless ``force``."""
    if (path.is_file() or (path.is_dir() and any(path.iterdir()))) and not force:
        raise PotstillError(f"{path} exists: choose another path, or --force to replace it")


def write_complete(form: Format[Content], content: Content, path: Path) -> None:
    """Write in a format into a temporary folder beside the target, then move the result."""
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
            written = Path(folder) / target.name
            form.write(content, written)
            _move(written, target)
    except OSError as error:
        raise PotstillError(f"cannot write {path}: {error.strerror or error}") from None


def _check_steps(distillate: Distillate, path: Path, name: str) -> None:
    """Raise if the pairs have weights, soft labels, or actions outside the bounds: environment steps have none."""
    if distillate.weights is not None:
        raise PotstillError(f"{path}: {name} cannot hold the learned weights of pairs: export to npz or parquet")
    bounds = distillate.action_bounds
    soft = 0 if not isinstance(bounds, DiscreteActions) else int((~bounds.is_hard(distillate.actions)).sum())
    if soft:
        raise PotstillError(
            f"{path}: {soft} of {len(distillate)} pairs have probabilities of several actions, which {name} cannot "
            "hold: export to npz or parquet, or distil with --labels fixed"
        )
    if outside := distillate.beyond_bounds:
        raise PotstillError(
            f"{path}: {outside} of {len(distillate)} pairs have actions outside the action bounds, which readers of "
            f"{name} would clip: export to npz or parquet, or distil with --action-limit 1"
        )


def _move(written: Path, target: Path) -> None:
    """Move an export to its path. In a folder that exists, replace the files of an earlier export one by one."""
    if target.exists() and written.is_dir() != target.is_dir():
        found, needed = ("a folder", "a file") if target.is_dir() else ("a file", "a folder")
        raise PotstillError(f"{target} is {found}, but this format makes {needed}: choose another path")
    if written.is_file() or not target.exists():
        os.replace(written, target)
        return
    files = [file.relative_to(written) for file in sorted(written.rglob("*")) if file.is_file()]
    if any(target.iterdir()) and not all((target / file).is_file() for file in files):
        raise PotstillError(f"{target} contains files that are not an export in this format: choose another path")
    for file in files:
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        os.replace(written / file, target / file)
