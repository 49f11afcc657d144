"""The choice of a format by its name or by the suffix of a path, for the commands that export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError
from potstill.exports.base import Format
from potstill.runtime.registry import Registry


def resolve_format(path: Path, name: str | None, formats: Registry[Any]) -> str:
    """Return ``name`` if it is given, else the name of the format that has the suffix of ``path``.

    Raises:
        PotstillError: the name is unknown, or no format has the suffix.

    >>> from potstill.exports import EXPORT_FORMATS
    >>> resolve_format(Path("pairs.h5"), None, EXPORT_FORMATS)
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
