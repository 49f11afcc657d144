"""Files: atomic writes, regular files only, and one-line errors."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from potstill.errors import PotstillError

StrPath: TypeAlias = str | os.PathLike[str]
"""A path, or a path-like object such as a :class:`~potstill.runtime.run.Run`."""
JsonObject: TypeAlias = dict[str, Any]
"""A JSON object. Its keys depend on the file."""
JsonMapping: TypeAlias = Mapping[str, Any]
"""A JSON object that is only read."""

MOST_DIGITS = 300  # of a whole number: a longer one may be beyond the range of a float
LARGEST_TEXT = 1 << 26  # largest JSON file that is read, in bytes
KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}


def check_regular(path: StrPath) -> int:
    """Return the size of a regular file in bytes.

    Raises:
        PotstillError: there is no such file, or it is not regular, or may not be read. Reading a FIFO or a device
            might never end.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        raise PotstillError(f"{path}: no such file") from None
    except OSError as error:  # such as a loop of symbolic links
        raise PotstillError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:  # a name with a null character
        raise PotstillError(f"{str(path)!r}: no such file ({error})") from None
    if not stat.S_ISREG(found.st_mode):
        kind = KINDS.get(stat.S_IFMT(found.st_mode), "a device")
        raise PotstillError(f"{path} is {kind}: expected a regular file")
    if not os.access(path, os.R_OK):  # parsers would call the file damaged
        raise PotstillError(f"cannot read {path}: {os.strerror(errno.EACCES)}")
    return found.st_size


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to, and move that file to ``path`` at the end.

    ``path`` always holds either the old bytes or the new ones. After an error the new file is deleted.

    Raises:
        PotstillError: the disk is full, or the folder cannot be written to.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        yield partial
        os.replace(partial, path)
    except BaseException as error:
        partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise make_write_error(path, error) from None
        raise


def make_write_error(path: StrPath, error: OSError) -> PotstillError:
    """Return the error for a file or folder that cannot be written."""
    return PotstillError(f"cannot write {path}: {error.strerror or error}")


def write_atomically(path: Path, content: bytes, *, secret: bool = False) -> None:
    """Write ``content`` so that ``path`` always holds either the complete old content or the complete new one.

    Args:
        path: the file.
        content: its bytes.
        secret: whether only the user may read the file, on systems that can forbid it to others.

    Raises:
        PotstillError: the disk is full, or the folder cannot be written to.
    """
    with writing(path) as partial:
        if secret:
            partial.unlink(missing_ok=True)  # an existing file would keep its permissions
        with open(partial, "wb", opener=_open_secretly if secret else None) as file:
            file.write(content)


def _open_secretly(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def write_json(path: Path, content: object, *, secret: bool = False) -> None:
    """Write ``content`` as indented JSON, atomically. If it is ``secret``, only the user may read the file."""
    write_atomically(path, (json.dumps(to_json(content), indent=2) + "\n").encode(), secret=secret)


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


def hash_file(path: StrPath) -> str:
    """Compute the SHA-256 of a file's bytes.

    Raises:
        PotstillError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PotstillError(f"{path}: {error.strerror or error}") from None


def parse_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        ValueError: the text is not JSON, is nested too deeply, or has a whole number that no float can hold.
    """
    try:
        return json.loads(text, parse_int=_parse_int)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _parse_int(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return int(digits)


def read_json(path: Path) -> JsonObject:
    """Read a JSON object.

    Raises:
        PotstillError: the file does not exist, is not regular, is larger than 64 MB, or does not hold a JSON object.
    """
    if not os.path.lexists(path):
        raise PotstillError(f"{path} does not exist")
    size = check_regular(path)
    if size > LARGEST_TEXT:
        raise PotstillError(f"{path} has {size:,} bytes: expected a JSON file of at most {LARGEST_TEXT:,}")
    try:
        content = parse_json(path.read_bytes())
    except (OSError, ValueError) as error:
        raise PotstillError(f"{path} is not readable JSON: {error}") from None
    if not isinstance(content, dict):
        raise PotstillError(f"{path} holds {type(content).__name__}: expected a JSON object")
    return content


def read_json_lines(path: Path) -> list[JsonObject]:
    """Read a file with one JSON object per line. An incomplete last line, left by a killed process, is dropped.

    Raises:
        PotstillError: the file does not exist or is not regular, or another line is not a JSON object.
    """
    check_regular(path)
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise PotstillError(f"{path}: {error.strerror or error}") from None
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            record = parse_json(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            records.append(record)
        elif number < len(lines):
            raise PotstillError(f"{path}: line {number} is not a JSON object")
    return records
