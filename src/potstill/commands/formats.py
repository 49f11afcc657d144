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
        PotstillError: the name is unknown, no format has the suffix, or only another format has it.

    >>> from potstill.exports import EXPORT_FORMATS
    >>> find_format(Path("pairs.h5"), None, EXPORT_FORMATS) is EXPORT_FORMATS["d4rl"]
    True
    """
    if name is not None:
        return _check_suffix(path, name, formats)
    for form in formats.values():
        if path.suffix in form.suffixes:
            return form
    suffixes = [suffix for form in formats.values() for suffix in form.suffixes]
    raise PotstillError(
        f"{path}: no {formats.kind} has the suffix '{path.suffix}': use one of {', '.join(suffixes)}, or name the "
        f"format ({', '.join(formats)})"
    )


def _check_suffix(path: Path, name: str, formats: Registry[AnyFormat]) -> AnyFormat:
    """Return a format by its name. Raise if the path has the suffix of another format."""
    form = formats[name]
    if form.suffixes and path.suffix not in form.suffixes:
        others = [known for known, other in formats.items() if path.suffix in other.suffixes]
        if others:
            raise PotstillError(
                f"{path}: the suffix '{path.suffix}' is that of {' and '.join(others)}, not of {name}: choose a path "
                f"with {' or '.join(form.suffixes)}, or leave out the format"
            )
    return form
