"""Artefact files: arrays and metadata in one ``.safetensors`` file.

The metadata contain the kind of artefact, the version of its format and a checksum of the content. Nothing is ever
unpickled. The checksum of a distillate is not in the file but in the ``result.json`` of its run folder, as ``sha256``:
the bytes of the file depend only on the pairs and the settings that they were made with.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TypeAlias

import numpy as np

from potstill.errors import PotstillError
from potstill.runtime.files import (
    JsonObject,
    StrPath,
    check_regular,
    hash_file,
    parse_json,
    read_json,
    write_atomically,
)
from potstill.runtime.folder_state import CONFIG, RESULT, is_finished, make_folder

FORMAT_VERSION = 1
UNMARKED = ("distillate",)  # kinds without a checksum in the file
# By command, the artefact whose hash is in the result.
RECORDED = {"distill": "distillate", "merge": "distillate", "teach": "teacher"}
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
    path = Path(path)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise PotstillError(f"{path}: array '{name}' contains NaN or infinity; nothing was written")
    content = pack(kind, arrays, metadata)
    make_folder(path.parent)
    write_atomically(path, content)
    return path


def pack(kind: str, arrays: Arrays, metadata: JsonObject) -> bytes:
    """Return the bytes that :func:`save` writes."""
    from safetensors.numpy import save as to_bytes

    # A single entry: safetensors writes several in an order that changes from run to run.
    content: JsonObject = {"format": kind, "format_version": FORMAT_VERSION, "metadata": metadata}
    if kind not in UNMARKED:
        content["sha256"] = hash_content(arrays, metadata)
    header = {"potstill": json.dumps(content, sort_keys=True)}
    contiguous = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    return to_bytes(contiguous, metadata=header)


def hash_content(arrays: Arrays, metadata: JsonObject) -> str:
    """Compute the SHA-256 over the names, types, shapes and values of arrays, and over metadata."""
    plain = json.loads(json.dumps(metadata))  # all keys are strings, as after reading
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name}{array.shape}{array.dtype.str}".encode() + array.tobytes())
    return digest.hexdigest()


def load(path: StrPath, kind: str) -> tuple[Arrays, JsonObject]:
    """Read the arrays and the metadata of an artefact of ``kind``, and compare them with their checksum.

    Files of version 0.1 and distillates have no checksum. The hash of a run's distillate is in its ``result.json``.

    Raises:
        PotstillError: the file does not exist, is damaged, holds another kind of artefact, or has a format version
            that this release cannot read.
    """
    path = Path(path)
    header, arrays = _read(path)
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
    if "sha256" in header and header["sha256"] != hash_content(arrays, metadata):
        raise PotstillError(f"{path}: damaged, its content does not have the checksum that was saved with it")
    _check_recorded(path, kind)
    return arrays, metadata


def _check_recorded(path: Path, kind: str) -> None:
    """Compare the artefact of a finished run with the hash in the run's ``result.json``."""
    if path.name != f"{kind}.safetensors" or not is_finished(path.parent):
        return
    if RECORDED.get(read_json(path.with_name(CONFIG))["command"]) != kind:
        return
    if read_json(path.with_name(RESULT)).get("sha256", digest := hash_file(path)) != digest:
        raise PotstillError(f"{path}: damaged or replaced, its SHA-256 is not the one in {RESULT} beside it")


def read_kind(path: StrPath) -> str | None:
    """Read the kind of artefact that a file holds, or ``None`` if potstill did not write it. Arrays are not read."""
    return _read(Path(path), only_header=True)[0].get("format")


def read_metadata(path: StrPath, kind: str) -> JsonObject:
    """Read the metadata of an artefact of ``kind``, without its arrays and without comparing checksums.

    Raises:
        PotstillError: the file does not exist, is damaged, or holds another kind of artefact.
    """
    header = _read(Path(path), only_header=True)[0]
    metadata = header.get("metadata")
    if header.get("format") != kind or not isinstance(metadata, dict):
        raise PotstillError(f"{path}: expected a {kind} with metadata")
    return metadata


def read_names(path: StrPath) -> list[str]:
    """Read the names of the arrays of any ``.safetensors`` file. Arrays are not read.

    Raises:
        PotstillError: the file does not exist or is damaged.
    """
    from safetensors import SafetensorError, safe_open

    check_regular(Path(path))
    try:
        with safe_open(str(path), framework="numpy") as file:
            return sorted(file.keys())
    except (SafetensorError, OSError, ValueError) as error:
        raise PotstillError(f"{path}: damaged or not a safetensors file ({error})") from None


def read_arrays(path: StrPath) -> Arrays:
    """Read the arrays of any ``.safetensors`` file, whoever wrote it."""
    return _read(Path(path))[1]


def _read(path: Path, *, only_header: bool = False) -> tuple[JsonObject, Arrays]:
    """Read the header (empty if potstill did not write the file) and the arrays."""
    from safetensors import SafetensorError, safe_open

    check_regular(path)
    try:
        with safe_open(str(path), framework="numpy") as file:
            text = (file.metadata() or {}).get("potstill", "{}")
            arrays = {name: file.get_tensor(name) for name in ([] if only_header else sorted(file.keys()))}
    except (SafetensorError, OSError, ValueError) as error:
        raise PotstillError(f"{path}: damaged or not a safetensors file ({error})") from None
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":  # such as bfloat16, in which NumPy's checks do not find NaN
            raise PotstillError(f"{path}: array '{name}' holds {array.dtype}, which potstill does not write")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise PotstillError(f"{path}: damaged, array '{name}' is not finite")
    try:
        header = parse_json(text)
    except ValueError:
        raise PotstillError(f"{path}: damaged metadata") from None
    return header if isinstance(header, dict) else {}, arrays


def require_array(arrays: Arrays, name: str, path: StrPath) -> np.ndarray:
    """Return ``arrays[name]``.

    Raises:
        PotstillError: the file ``path``, from which the arrays come, has no such array.
    """
    if name not in arrays:
        raise PotstillError(f"{path}: no array '{name}'")
    return arrays[name]
