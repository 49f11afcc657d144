"""Write an export: check the distillate, write to a temporary folder, then move the result to the path."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from potstill.data.bounds import DiscreteActions
from potstill.data.checks import check_finite
from potstill.distillate import Distillate
from potstill.errors import PotstillError, name_option
from potstill.exports.base import Content, ExportFormat, Format
from potstill.exports.registry import EXPORT_FORMATS
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import StrPath, make_write_error


@check_arguments
def write_export(distillate: Distillate, path: StrPath, form: ExportFormat, *, force: bool = False) -> Path:
    """Write a distillate in a format. The export is written completely or not at all.

    Args:
        distillate: the distillate to write.
        path: the file or folder to make.
        form: the format, such as ``EXPORT_FORMATS["npz"]``.
        force: replace an earlier export. In a folder, only the files of the export are replaced.

    Returns:
        ``path``.

    Raises:
        PotstillError: the library of the format is missing, the path exists or cannot be written, the pairs are not
            finite, or the format cannot hold their weights or actions.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> import potstill
        >>> from potstill.exports import EXPORT_FORMATS, write_export
        >>> distillate = potstill.load("hopper-medium-replay")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.load(write_export(distillate, f"{folder}/hopper", EXPORT_FORMATS["npz"]))["states"].shape
        (256, 11)
    """
    path = Path(path)
    form.check_installed()
    for column in ("states", "actions"):
        check_finite(column, getattr(distillate, column), source=str(path))
    if form.steps_only:
        name = next((name for name, known in EXPORT_FORMATS.items() if known is form), "this format")
        _check_steps(distillate, path, name)
    check_target(path, force=force)
    write_complete(form, distillate, path)
    return path


def check_target(path: Path, *, force: bool, is_file: bool = False) -> None:
    """Raise unless an export can be written to ``path``. Commands call this before they compute anything.

    Args:
        path: the file or folder to make.
        force: whether an earlier export is replaced.
        is_file: whether the format makes a file.
    """
    if os.path.islink(os.path.realpath(path)):
        raise PotstillError(f"cannot write {path}: it is a loop of links")
    if is_file and path.is_dir():
        raise PotstillError(f"{path} is a folder, but this format makes a file: choose another path")
    if (path.is_file() or (path.is_dir() and any(path.iterdir()))) and not force:
        raise PotstillError(f"{path} exists: choose another path, or {name_option('force', True)} to replace it")
    parent = next(place for place in Path(os.path.realpath(path)).parents if os.path.lexists(place))
    try:
        tempfile.TemporaryDirectory(prefix=".export-", dir=parent).cleanup()
    except OSError as error:
        raise make_write_error(path, error) from None


def write_complete(form: Format[Content], content: Content, path: Path) -> None:
    """Write in a format into a temporary folder beside the target, then move the result."""
    target = Path(os.path.realpath(path))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=target.parent) as folder:
            written = Path(folder) / target.name
            form.write(content, written)
            _move(written, target)
    except OSError as error:
        raise make_write_error(path, error) from None


def _check_steps(distillate: Distillate, path: Path, name: str) -> None:
    """Raise if the pairs have weights, soft labels, or actions outside the bounds: environment steps have none."""
    if distillate.weights is not None:
        raise PotstillError(f"{path}: {name} cannot hold the learned weights of pairs: export to npz or parquet")
    bounds = distillate.action_bounds
    soft = 0 if not isinstance(bounds, DiscreteActions) else int((~bounds.is_hard(distillate.actions)).sum())
    if soft:
        raise PotstillError(
            f"{path}: {soft} of {len(distillate)} pairs have probabilities of several actions, which {name} cannot "
            f"hold: export to npz or parquet, or distil with {name_option('labels', 'fixed')}"
        )
    if outside := distillate.beyond_bounds:
        raise PotstillError(
            f"{path}: {outside} of {len(distillate)} pairs have actions outside the action bounds, which readers of "
            f"{name} would clip: export to npz or parquet, or distil with {name_option('action_limit', 1)}"
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
