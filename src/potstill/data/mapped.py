"""potstill's own dataset layout: a folder whose rows are memory-mapped, for data larger than memory.

``rows.npy`` is a NumPy file of M records, one for each transition; ``numpy.load(path, mmap_mode="r")`` maps it. A
random row lies in one or two pages of the file. With a separate file for each of the six columns, it would lie in six
pages, which is slow if the data do not fit into the system's cache. ``dataset.json`` holds everything else. It is
written last, so a folder without it is not a dataset. It has a checksum of the rows and one of itself.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

from potstill.data.blocks import iterate_blocks
from potstill.data.bounds import ActionBounds
from potstill.data.files import reading
from potstill.data.scaling import ARRAYS, NUMBERS, Scaling
from potstill.data.transitions import COLUMNS, Transitions
from potstill.environments.making import find_plain_id
from potstill.environments.observations.encoders import AbsentEncoder
from potstill.errors import PotstillError, make_printable
from potstill.runtime.files import read_json, to_json, write_json

HEADER, ROWS = "dataset.json", "rows.npy"
FORMAT, FORMAT_VERSION = "dataset", 1
MAX_ROWS = 2**31 - 1  # row indices are drawn as 32-bit integers


@dataclass(frozen=True)
class _Layout:
    """The content of a mapped dataset apart from its rows."""

    rows: int
    state_size: int
    bounds: ActionBounds
    name: str
    env_id: str | None
    card: dict[str, object]
    crc32: int | None = None
    """Checksum of the rows; ``None`` in folders of older versions."""

    @property
    def record_type(self) -> np.dtype[np.void]:
        """The type of a row."""
        return record_type(self.state_size, len(self.bounds))


def record_type(state_size: int, action_size: int) -> np.dtype[np.void]:
    """Return the type of a row: little-endian float32 numbers and one-byte flags, padded to aligned numbers.

    >>> record_type(11, 3).itemsize
    108
    """
    return np.dtype(
        [
            ("observations", "<f4", (state_size,)),
            ("actions", "<f4", (action_size,)),
            ("rewards", "<f4"),
            ("next_observations", "<f4", (state_size,)),
            ("terminations", "?"),
            ("truncations", "?"),
        ],
        align=True,
    )


def write_mapped(
    folder: Path,
    parts: Iterable[Mapping[str, np.ndarray]],
    rows: int,
    *,
    state_size: int,
    bounds: ActionBounds,
    name: str,
    env_id: str | None = None,
    card: dict[str, object] | None = None,
) -> Transitions:
    """Write a dataset into an existing folder, part by part, and map it.

    Args:
        folder: the folder for ``rows.npy`` and, after the rows have passed every check, ``dataset.json``.
        parts: each holds the six columns of some rows. The parts are in order; together they have ``rows`` rows.
        rows: M, at least 2.
        state_size: S.
        bounds: the action bounds.
        name: name of the dataset.
        env_id: Gymnasium id of its environment, if there is one.
        card: where the data come from.

    Raises:
        PotstillError: the disk is full, permission is missing, or the rows are not valid transitions.
    """
    _check_count(rows, folder)
    layout = _Layout(rows, state_size, bounds, name, env_id, card or {})
    kind, crc32 = layout.record_type, 0
    try:
        with (folder / ROWS).open("wb") as file:
            shape = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (rows,)}
            np.lib.format.write_array_header_1_0(file, shape)
            for part in parts:
                records = np.zeros(len(part["rewards"]), kind)
                for column in COLUMNS:
                    records[column] = part[column]
                file.write(records.data)
                crc32 = zlib.crc32(records.view(np.uint8).data, crc32)
    except OSError as error:
        raise PotstillError(f"cannot write {folder / ROWS}: {error.strerror or error}") from None
    data = _map_rows(folder, replace(layout, crc32=crc32))
    header: dict[str, object] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "rows": rows,
        "state_size": state_size,
        "action_size": len(bounds),
        "name": name,
        "env_id": env_id,
        "card": layout.card,
        **_make_derived_entries(data),
        "crc32": crc32,
        "potstill": version("potstill"),
    }
    write_json(folder / HEADER, header | {"checksum": _hash_header(header)})
    return data


def read_mapped(folder: Path) -> Transitions:
    """Map the dataset in ``folder``. All rows are checked, block by block.

    The content hash and the normaliser are those of the header; :func:`check_header` compares them with the rows.

    Raises:
        PotstillError: the header is damaged or of another version; the rows are missing, truncated or of another
            layout; or a value is invalid.
    """
    path = folder / HEADER
    header = read_json(path)
    if header.get("format") != FORMAT:
        raise PotstillError(f"{path}: expected the header of a dataset, found {header.get('format') or 'another file'}")
    if header.get("format_version") != FORMAT_VERSION:
        raise PotstillError(
            f"{path} has format version {header.get('format_version')}, but this potstill reads version "
            f"{FORMAT_VERSION}: upgrade potstill, or convert the data again"
        )
    if header.get("checksum", digest := _hash_header(header)) != digest:
        raise PotstillError(f"{path}: damaged, its content does not have the checksum that was saved with it")
    rows, states, actions = (_read_positive(header, key, path) for key in ("rows", "state_size", "action_size"))
    _check_count(rows, path)
    sizes = dict(zip(ARRAYS, (states, states, actions, actions), strict=True))
    sizes |= {NUMBERS: actions} if NUMBERS in header else {}
    scaling = Scaling.from_arrays({key: _read_numbers(header, key, size, path) for key, size in sizes.items()}, path)
    for key, kinds in {"name": str, "env_id": str | None, "card": dict, "sha256": str}.items():
        if not isinstance(header.get(key), kinds):
            raise PotstillError(f"{path}: invalid {key} {json.dumps(header.get(key))[:40]}")
    layout = _Layout(
        rows,
        states,
        scaling.action_bounds,
        make_printable(header["name"]),
        header["env_id"],
        header["card"],
        header.get("crc32"),
    )
    data = _map_rows(folder, layout)
    vars(data)["normaliser"] = scaling.normaliser  # fills the caches of the two cached properties
    vars(data)["content_hash"] = header["sha256"]
    return data


def drop_environment(data: Transitions) -> list[str]:
    """Forget the environment of a dataset from a file if it cannot be used.

    A file must not import a module, and does not contain a Python function that encoded its images.

    Returns:
        A warning if the environment is forgotten.
    """
    try:
        object.__setattr__(data, "env_id", data.env_id and find_plain_id(data.env_id))
        if data.env_id and data.rule is not None and isinstance(data.rule.encoder, AbsentEncoder):
            data.rule.check_encoder()
    except PotstillError as error:
        object.__setattr__(data, "env_id", None)
        return [f"used without an environment: {error}"]
    return []


def check_header(data: Transitions, folder: Path) -> None:
    """Check that the content hash and the normaliser in a mapped dataset's header are those of its rows.

    Raises:
        PotstillError: they differ, because the rows or the header were changed.
    """
    actual = Transitions.of(data.to_columns(), data.action_bounds)
    stored = _make_derived_entries(data)
    for name, found in _make_derived_entries(actual).items():
        if found != stored[name]:
            raise PotstillError(f"{folder}: damaged: {ROWS} has {name} {found}, but {HEADER} has {stored[name]}")


def _make_derived_entries(data: Transitions) -> dict[str, object]:
    """Make the entries of a header that depend on the rows."""
    arrays = Scaling(data.normaliser, data.action_bounds).to_arrays()
    return {"sha256": data.content_hash, **{name: array.tolist() for name, array in arrays.items()}}


def _hash_header(header: Mapping[str, object]) -> str:
    """Compute the SHA-256 of the entries of a header, apart from its checksum."""
    entries = json.loads(json.dumps(to_json(header)))  # the types after reading
    return hashlib.sha256(json.dumps(entries | {"checksum": None}, sort_keys=True).encode()).hexdigest()


def _check_count(rows: int, source: Path) -> None:
    if not 2 <= rows <= MAX_ROWS:  # rows are read in pairs
        raise PotstillError(f"{source}: {rows} rows, expected 2 to {MAX_ROWS:,}")


def _map_rows(folder: Path, layout: _Layout) -> Transitions:
    """Map the columns in ``folder``, and check them."""
    path, kind = folder / ROWS, layout.record_type
    with reading(path, "a file of rows"):
        records = np.lib.format.open_memmap(path, mode="r")
    if records.dtype != kind:
        found, wanted = (str({n: str(x[n]) for n in x.names} if x.names else x) for x in (records.dtype, kind))
        raise PotstillError(f"{path}: rows have the type {found}, but {HEADER} implies {wanted}")
    if records.shape != (layout.rows,):
        raise PotstillError(f"{path} has {records.shape} rows, but {HEADER} has {layout.rows}")
    crc32, flags = 0, {name: records[name].view(np.uint8) for name in ("terminations", "truncations")}
    for block in iterate_blocks(records):
        crc32 = zlib.crc32(records[block].view(np.uint8).data, crc32)
        for name, column in flags.items():
            wrong = np.flatnonzero(column[block] > 1)
            if len(wrong):
                row = block.start + wrong[0]
                raise PotstillError(f"{path}: {column[row]} in column {name}, row {row}: expected 0 or 1")
    if layout.crc32 not in (None, crc32):
        raise PotstillError(f"{path}: damaged, its rows do not have the checksum in {HEADER}")
    columns = {name: records[name] for name in COLUMNS}
    try:
        return Transitions.of(columns, layout.bounds, name=layout.name, env_id=layout.env_id, card=layout.card)
    except PotstillError as error:
        raise PotstillError(f"{folder}: {str(error).removeprefix(layout.name + ': ')}") from None


def _read_positive(header: Mapping[str, object], key: str, path: Path) -> int:
    value = header.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise PotstillError(f"{path}: {key} is {json.dumps(value)[:40]}, expected a positive integer")
    return value


def _read_numbers(header: Mapping[str, object], key: str, count: int, path: Path) -> np.ndarray:
    try:
        found = np.asarray(header.get(key), np.float32)
    except (ValueError, TypeError):
        found = np.array(np.nan, np.float32)
    if found.shape != (count,) or not np.isfinite(found).all():
        raise PotstillError(f"{path}: {key} is not a list of {count} finite numbers")
    return found
