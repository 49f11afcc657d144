"""``potstill export``: a distillate as another library reads it."""

from __future__ import annotations

from pathlib import Path

from potstill import exports
from potstill.config import ExportConfig
from potstill.config.settings import configured


@configured(ExportConfig)
def export(config: ExportConfig) -> Path:
    """Write ``config.distillate`` to ``config.path``: see :func:`potstill.export`, which is this in Python.

    Returns:
        The file or folder.

    Raises:
        PotstillError: no distillate, or whatever :func:`potstill.export` refuses.
    """
    path = exports.export(config.distillate, config.path, config.format, force=config.force)
    print(path)
    return path
