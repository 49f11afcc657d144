"""The export formats of distillates by name, and the choice of a format by the suffix of a path."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from potstill.errors import PotstillError
from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.exports.base import ExportFormat, Format

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
"""The export formats by name. Other packages add a format by an entry point in the group ``potstill.exports``."""


def resolve_format(path: Path, name: str | None, formats: Registry[Any] = EXPORT_FORMATS) -> str:
    """Return ``name`` if it is given, else the name of the format that has the suffix of ``path``.

    Raises:
        PotstillError: the name is unknown, or no format has the suffix.

    >>> resolve_format(Path("pairs.h5"), None)
    'd4rl'
    """
    if name is not None:
        formats[name]  # raises if the name is unknown
        return name
    found: Mapping[str, Format[Any]] = {known: formats[known] for known in formats}
    for known, form in found.items():
        if path.suffix in form.suffixes:
            return known
    suffixes = [suffix for form in found.values() for suffix in form.suffixes]
    raise PotstillError(
        f"{path}: no {formats.kind} has the suffix '{path.suffix}': use one of {', '.join(suffixes)}, or name the "
        f"format ({', '.join(formats)})"
    )
