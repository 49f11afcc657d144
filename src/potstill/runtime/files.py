"""JSON files: atomic writes, and one-line errors for files that cannot be read."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from potstill.errors import PotstillError

StrPath: TypeAlias = str | os.PathLike[str]
"""A path, or an object that has one, such as a :class:`~potstill.runtime.run.Run`."""
JsonObject: TypeAlias = dict[str, Any]
"""A JSON object. Its keys depend on the file."""
JsonMapping: TypeAlias = Mapping[str, Any]
"""A JSON object that is only read."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write ``content`` so that ``path`` always holds either the complete old content or the complete new one."""
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def write_json(path: Path, content: object) -> None:
    """Write ``content`` as indented JSON, atomically."""
    write_atomically(path, (json.dumps(to_json(content), indent=2) + "\n").encode())


def to_json(value: Any) -> Any:
    """Convert dataclasses, mappings, paths and NumPy values to types that :mod:`json` can write."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(k): to_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(v) for v in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    return value


def read_json(path: Path) -> JsonObject:
    """Read a JSON object.

    Raises:
        PotstillError: the file does not exist, cannot be read, or holds something other than a JSON object.
    """
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise PotstillError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise PotstillError(f"{path} is not readable JSON: {error}") from None
    if not isinstance(content, dict):
        raise PotstillError(f"{path} holds {type(content).__name__}, not a JSON object")
    return content


def read_json_lines(path: Path) -> list[JsonObject]:
    """Read a file with one JSON object per line.

    Raises:
        PotstillError: the file does not exist, or a line is not a JSON object.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise PotstillError(f"{path}: {error.strerror or error}") from None
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if not isinstance(record, dict):
            raise PotstillError(f"{path}: line {number} is not a JSON object")
        records.append(record)
    return records
