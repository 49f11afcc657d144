"""``potstill export``: write a distillate in the format of another library."""

from __future__ import annotations

from pathlib import Path

from potstill.commands.formats import find_format
from potstill.config import ExportConfig
from potstill.distillate import Distillate, load
from potstill.exports.registry import EXPORT_FORMATS
from potstill.exports.writing import write_export
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
    form = find_format(path, format, EXPORT_FORMATS)
    source = distillate if isinstance(distillate, Distillate) else load(distillate)
    return write_export(source, path, form, force=force)


def run_export(config: ExportConfig) -> Path:
    """Run the command: :func:`export`, with its options in a config."""
    path = export(config.distillate, config.path, config.format, force=config.force)
    print(path)
    return path
