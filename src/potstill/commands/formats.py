"""The choice of a format by its name or by the suffix of a path, for the commands that export."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from potstill.errors import PotstillError
from potstill.exports.base import Format
from potstill.runtime.registry import Registry

AnyFormat = TypeVar("AnyFormat", bound=Format[Any])


def find_format(path: Path, name: str | None, formats: Registry[AnyFormat]) -> AnyFormat:
    """Return the format called ``name`` or, without a name, the one that has the suffix of ``path``.

    Raises:
        PotstillError: the name is unknown, or no format has the suffix.

    >>> from potstill.exports import EXPORT_FORMATS
    >>> find_format(Path("pairs.h5"), None, EXPORT_FORMATS) is EXPORT_FORMATS["d4rl"]
    True
    """
    if name is not None:
        return formats[name]
    for form in formats.values():
        if path.suffix in form.suffixes:
            return form
    suffixes = [suffix for form in formats.values() for suffix in form.suffixes]
    raise PotstillError(
        f"{path}: no {formats.kind} has the suffix '{path.suffix}': use one of {', '.join(suffixes)}, or name the "
        f"format ({', '.join(formats)})"
    )
