"""The export formats by name, and the choice of one by the suffix of a path."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from potstill.errors import PotstillError
from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.exports.base import ExportFormat

EXPORT_FORMATS: Registry[ExportFormat] = Registry(
    "export format",
    "potstill.exports",
    {
        "npz": "potstill.exports.npz:FORMAT",
        "d4rl": "potstill.exports.d4rl:FORMAT",
        "parquet": "potstill.exports.parquet:FORMAT",
        "minari": "potstill.exports.minari:FORMAT",
    },
)
"""Other packages add a format by an entry point in the group ``potstill.exports``."""


def resolve_format(path: Path, name: str | None) -> str:
    """Return ``name`` if it is given, else the name of the format with the suffix of ``path``.

    Raises:
        PotstillError: the name is unknown, or no format has the suffix.

    >>> resolve_format(Path("pairs.h5"), None)
    'd4rl'
    """
    if name is not None:
        EXPORT_FORMATS[name]  # raises if the name is unknown
        return name
    for known in EXPORT_FORMATS:
        if path.suffix in EXPORT_FORMATS[known].suffixes:
            return known
    suffixes = [suffix for known in EXPORT_FORMATS for suffix in EXPORT_FORMATS[known].suffixes]
    raise PotstillError(
        f"{path}: no export format has the suffix '{path.suffix}': use one of {', '.join(suffixes)}, or name the "
        f"format ({', '.join(EXPORT_FORMATS)})"
    )
