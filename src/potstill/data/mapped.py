"""potstill's own layout: a dataset in a folder whose rows are memory-mapped, for data larger than memory.

``rows.npy`` is a NumPy file of M records, one a transition, that ``numpy.load(path, mmap_mode="r")`` maps
too. A random row then lies in one page of the file, or two, where a file for each column would ask for six:
that counts where the file is larger than the memory that could cache it. ``dataset.json`` holds
everything else and is written last: without it the folder is no dataset.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data.blocks import blocks
from potstill.data.bounds import ActionBounds
from potstill.data.files import reading
from potstill.data.transitions import COLUMNS, Normaliser, Transitions
from potstill.errors import PotstillError
from potstill.runtime.run_folder import read_json, write_json

HEADER, ROWS = "dataset.json", "rows.npy"
FORMAT, FORMAT_VERSION = "dataset", 1
MOST_ROWS = 2**31 - 1  # row numbers are drawn as 32-bit integers


def record_type(state_size: int, action_size: int) -> np.dtype[Any]:
    """The type of a row: little-endian float32 and flags, padded so that every number is aligned.

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
    parts: Iterable[dict[str, np.ndarray]],
    rows: int,
    *,
    state_size: int,
    bounds: ActionBounds,
    name: str,
    env_id: str | None = None,
    card: dict[str, Any] | None = None,
) -> Transitions:
    """Write a dataset of ``rows`` rows into an existing folder, a part after the other, and map it.

    Args:
        folder: where ``rows.npy`` and, once the rows have passed every check, ``dataset.json`` go.
        parts: the six columns of some rows each, in order, together ``rows`` rows.
        rows: M.
        state_size: S.
        bounds: lowest and highest actions.
        name: the dataset's name.
        env_id: the environment's Gymnasium id, if there is one.
        card: where the data come from.

    Raises:
        PotstillError: no space or permission, or rows that are no valid transitions.
    """
    kind = record_type(state_size, len(bounds))
    check_count(rows, str(folder))
    try:
        with (folder / ROWS).open("wb") as file:
            shape = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (rows,)}
            np.lib.format.write_array_header_1_0(file, shape)
            for part in parts:
                records = np.zeros(len(part["rewards"]), kind)
                for column in COLUMNS:
                    records[column] = part[column]
                file.write(records.data)
    except OSError as error:
        raise PotstillError(f"cannot write {folder / ROWS}: {error.strerror or error}") from None
    papers: dict[str, Any] = {"name": name, "env_id": env_id, "card": card or {}}
    data = _transitions(folder, kind, rows, {**papers, "action_bounds": bounds})
    header = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "rows": rows,
        "state_size": state_size,
        "action_size": len(bounds),
        **papers,
        "action_low": bounds.low,
        "action_high": bounds.high,
        "state_mean": data.normaliser.mean,
        "state_scale": data.normaliser.scale,
        "sha256": data.content_hash,
        "potstill": version("potstill"),
    }
    write_json(folder / HEADER, header)
    return data


def read_mapped(folder: Path) -> Transitions:
    """Map the dataset in ``folder``; its rows pass every check, some at a time.

    The hash and the standardisation are the header's: ``potstill inspect`` computes them anew.

    Raises:
        PotstillError: a header that is damaged or of another version, a file of rows that is missing,
            truncated or of other columns, or bad values.
    """
    path = folder / HEADER
    header = read_json(path)
    if header.get("format") != FORMAT:
        raise PotstillError(f"{path}: not a dataset's header but {header.get('format') or 'one that is not known'}")
    if header.get("format_version") != FORMAT_VERSION:
        raise PotstillError(
            f"{path}: format version {header.get('format_version')}, this potstill reads {FORMAT_VERSION}: "
            "upgrade potstill, or convert the data anew"
        )
    rows, states, actions = (_number(header, key, path) for key in ("rows", "state_size", "action_size"))
    check_count(rows, str(path))
    low, high = (_numbers(header, key, actions, path) for key in ("action_low", "action_high"))
    mean, scale = (_numbers(header, key, states, path) for key in ("state_mean", "state_scale"))
    if not (low < high).all() or not (scale > 0).all():
        raise PotstillError(f"{path}: action_low is not below action_high, or a state_scale is not positive")
    for key, kinds in {"name": str, "env_id": str | None, "card": dict, "sha256": str}.items():
        if not isinstance(header.get(key), kinds):
            raise PotstillError(f"{path}: its {key} is {json.dumps(header.get(key))[:40]}")
    papers = {key: header[key] for key in ("name", "env_id", "card")}
    data = _transitions(
        folder, record_type(states, actions), rows, {**papers, "action_bounds": ActionBounds(low, high)}
    )
    vars(data)["normaliser"] = Normaliser(mean, scale)  # where cached_property keeps them
    vars(data)["content_hash"] = header["sha256"]
    return data


def check_papers(data: Transitions, folder: Path) -> None:
    """Raise unless the hash and the standardisation in a mapped dataset's header are those of its rows."""
    fresh = Transitions(**{name: getattr(data, name) for name in (*COLUMNS, "action_bounds")})
    for name, found, said in (
        ("sha256", fresh.content_hash, data.content_hash),
        ("state_mean", fresh.normaliser.mean.tolist(), data.normaliser.mean.tolist()),
        ("state_scale", fresh.normaliser.scale.tolist(), data.normaliser.scale.tolist()),
    ):
        if found != said:
            raise PotstillError(f"{folder}: damaged: {ROWS} has {name} {found}, but {HEADER} says {said}")


def check_count(rows: int, source: str) -> None:
    """Raise unless a file may hold that many rows."""
    if not 2 <= rows <= MOST_ROWS:  # rows are read in pairs
        raise PotstillError(f"{source}: {rows} rows, from 2 to {MOST_ROWS:,} are possible")


def _transitions(folder: Path, kind: np.dtype[Any], rows: int, papers: dict[str, Any]) -> Transitions:
    """The mapped columns of ``folder``, checked."""
    path = folder / ROWS
    with reading(path, "a file of rows"):
        records = np.lib.format.open_memmap(path, mode="r")
    if records.dtype != kind:
        found, wanted = (str({n: str(x[n]) for n in x.names} if x.names else x) for x in (records.dtype, kind))
        raise PotstillError(f"{path}: its rows are {found}, but {HEADER} says {wanted}")
    if records.shape != (rows,):
        raise PotstillError(f"{path}: holds {records.shape} rows, but {HEADER} says {rows}")
    for name in ("terminations", "truncations"):
        flags = records[name].view(np.uint8)
        for block in blocks(flags):
            wrong = np.flatnonzero(flags[block] > 1)
            if len(wrong):
                row = block.start + wrong[0]
                raise PotstillError(f"{path}: {flags[row]} in column {name}, row {row}: flags are 0 or 1")
    try:
        return Transitions(**{**papers, **{name: records[name] for name in COLUMNS}})
    except PotstillError as error:
        raise PotstillError(f"{folder}: {str(error).removeprefix(papers['name'] + ': ')}") from None


def _number(header: dict[str, Any], key: str, path: Path) -> int:
    value = header.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise PotstillError(f"{path}: its {key} is {json.dumps(value)[:40]}, a whole number from 1 on is needed")
    return value


def _numbers(header: dict[str, Any], key: str, count: int, path: Path) -> np.ndarray:
    try:
        found = np.asarray(header.get(key), np.float32)
    except (ValueError, TypeError):
        found = np.array(np.nan, np.float32)
    if found.shape != (count,) or not np.isfinite(found).all():
        raise PotstillError(f"{path}: its {key} is not {count} numbers")
    return found
