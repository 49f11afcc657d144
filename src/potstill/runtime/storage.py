"""Arrays and metadata in one ``.safetensors`` file: the shape of every artefact potstill writes.

Nothing is ever unpickled. The metadata say what kind of artefact a file is and in which version.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from potstill.errors import PotstillError
from potstill.runtime.run_folder import write_atomically

FORMAT_VERSION = 1


def save(path: Path | str, kind: str, arrays: dict[str, np.ndarray], metadata: dict[str, Any]) -> Path:
    """Write ``arrays`` and JSON-able ``metadata`` as an artefact of ``kind``, atomically.

    The same content gives the same bytes. An array may not be empty or hold NaN or infinity.
    """
    from safetensors.numpy import save as to_bytes

    path = Path(path)
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise PotstillError(f"{path}: array '{name}' is not finite, nothing was written")
    # One entry only: safetensors writes several in an order that changes from run to run.
    papers = {"format": kind, "format_version": FORMAT_VERSION, "metadata": metadata}
    header = {"potstill": json.dumps(papers, sort_keys=True)}
    contiguous = {name: np.asarray(arrays[name], order="C") for name in sorted(arrays)}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, to_bytes(contiguous, metadata=header))
    except OSError as error:
        raise PotstillError(f"cannot write {path}: {error.strerror or error}") from None
    return path


def load(path: Path | str, kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read an artefact of ``kind``: its arrays and its metadata.

    Raises:
        PotstillError: no such file, damaged, another kind, or a format version this release lacks.
    """
    papers, arrays = _read(Path(path))
    found = papers.get("format")
    if found != kind:
        raise PotstillError(f"{path}: not a {kind} but {found or 'a file that potstill did not write'}")
    version = papers.get("format_version")
    if version != FORMAT_VERSION:
        raise PotstillError(f"{path}: format version {version}, this potstill reads {FORMAT_VERSION}: upgrade potstill")
    metadata = papers.get("metadata")
    if not isinstance(metadata, dict):
        raise PotstillError(f"{path}: damaged metadata")
    return arrays, metadata


def kind_of(path: Path | str) -> str | None:
    """The kind of artefact a file says it is, or ``None`` if it is no artefact of ours."""
    return _read(Path(path))[0].get("format")


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The artefact's papers (empty if the file has none of ours) and its arrays."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise PotstillError(f"{path}: no such file")
    try:
        with safe_open(str(path), framework="numpy") as file:
            header = (file.metadata() or {}).get("potstill", "{}")
            arrays = {name: file.get_tensor(name) for name in sorted(file.keys())}
    except (SafetensorError, OSError, ValueError) as error:
        raise PotstillError(f"{path}: damaged or not a safetensors file ({error})") from None
    for name, array in arrays.items():
        if array.dtype.kind not in "fiub":  # bfloat16, say, which NumPy does not search for NaN
            raise PotstillError(f"{path}: array '{name}' holds {array.dtype}, which potstill does not write")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise PotstillError(f"{path}: damaged, array '{name}' is not finite")
    try:
        papers = json.loads(header)
    except ValueError:
        raise PotstillError(f"{path}: damaged metadata") from None
    return papers if isinstance(papers, dict) else {}, arrays


def file_hash(path: Path | str) -> str:
    """SHA-256 of a file's bytes."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def need(arrays: dict[str, np.ndarray], name: str, path: Path | str) -> np.ndarray:
    """``arrays[name]``, or one line that says the file lacks it."""
    if name not in arrays:
        raise PotstillError(f"{path}: lacks the array '{name}'")
    return arrays[name]
