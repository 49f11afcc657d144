"""Artefact files: arrays and metadata in one ``.safetensors`` file.

The metadata name the kind of artefact and the version of its format. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TypeAlias

import numpy as np

from potstill.errors import PotstillError
from potstill.runtime.files import JsonObject, StrPath, write_atomically

FORMAT_VERSION = 1
Arrays: TypeAlias = dict[str, np.ndarray]


def save(path: StrPath, kind: str, arrays: Arrays, metadata: JsonObject) -> Path:
    """Write ``arrays`` and ``metadata`` as an artefact of ``kind``, atomically.

    Equal content gives identical bytes.

    Args:
        path: the file to write; missing parent folders are made.
        kind: the kind of artefact: ``"distillate"``, ``"teacher"``, ``"policy"``, ``"checkpoint"`` or ``"world"``.
        arrays: arrays by name. Every value must be finite.
        metadata: values that :mod:`json` can write.

    Returns:
        ``path``.

    Raises:
        PotstillError: an array holds NaN or infinity, or the file cannot be written.
    """
    from safetensors.numpy import save as to_bytes

    path = Path(path)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise PotstillError(f"{path}: array '{name}' is not finite, nothing was written")
    # A single entry: safetensors writes several in an order that changes from run to run.
    content = {"format": kind, "format_version": FORMAT_VERSION, "metadata": metadata}
    header = {"potstill": json.dumps(content, sort_keys=True)}
    contiguous = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, to_bytes(contiguous, metadata=header))
    except OSError as error:
        raise PotstillError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def load(path: StrPath, kind: str) -> tuple[Arrays, JsonObject]:
    """Read the arrays and the metadata of an artefact of ``kind``.

    Raises:
        PotstillError: the file does not exist, is damaged, holds another kind of artefact, or has a format version
            that this release cannot read.
    """
    header, arrays = _read(Path(path))
    found = header.get("format")
    if found != kind:
        raise PotstillError(f"{path}: expected a {kind}, found {found or 'a file that potstill did not write'}")
    version = header.get("format_version")
    if version != FORMAT_VERSION:
        raise PotstillError(
            f"{path} has format version {version}, but this potstill reads version {FORMAT_VERSION}: upgrade potstill"
        )
    metadata = header.get("metadata")
    if not isinstance(metadata, dict):
        raise PotstillError(f"{path}: damaged metadata")
    return arrays, metadata


def kind_of(path: StrPath) -> str | None:
    """The kind of artefact that a file holds, or ``None`` if potstill did not write it."""
    return _read(Path(path))[0].get("format")


def _read(path: Path) -> tuple[JsonObject, Arrays]:
    """Read the header (empty if potstill did not write the file) and the arrays."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise PotstillError(f"{path}: no such file")
    try:
        with safe_open(str(path), framework="numpy") as file:
            text = (file.metadata() or {}).get("potstill", "{}")
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError, ValueError) as error:
        raise PotstillError(f"{path}: damaged or not a safetensors file ({error})") from None
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":  # such as bfloat16, in which NumPy cannot find NaN
            raise PotstillError(f"{path}: array '{name}' holds {array.dtype}, which potstill does not write")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise PotstillError(f"{path}: damaged, array '{name}' is not finite")
    try:
        header = json.loads(text)
    except ValueError:
        raise PotstillError(f"{path}: damaged metadata") from None
    return header if isinstance(header, dict) else {}, arrays


def file_hash(path: StrPath) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def require_array(arrays: Arrays, name: str, path: StrPath) -> np.ndarray:
    """Return ``arrays[name]``.

    Raises:
        PotstillError: the file ``path``, from which the arrays come, has no such array.
    """
    if name not in arrays:
        raise PotstillError(f"{path}: no array '{name}'")
    return arrays[name]
