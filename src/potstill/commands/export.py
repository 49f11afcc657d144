"""``potstill export``: write a distillate in the format of another library."""

from __future__ import annotations

from pathlib import Path

from potstill import exports
from potstill.config import ExportConfig
from potstill.config.settings import takes_options


@takes_options(ExportConfig)
def export(config: ExportConfig) -> Path:
    """Write ``config.distillate`` to ``config.path``, as :func:`potstill.export` does in Python.

    Returns:
        The file or folder.

    Raises:
        PotstillError: the distillate does not exist, or :func:`potstill.export` refuses it.
    """
    path = exports.export(config.distillate, config.path, config.format, force=config.force)
    print(path)
    return path
