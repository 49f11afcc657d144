"""D4RL-style HDF5 files: read by the rule of D4RL's ``qlearning_dataset``, and written.

Keys: ``observations``, ``actions``, ``rewards``, ``terminals`` and, usually, ``timeouts``. Next
observations are the next row; the rows that time out have none and are dropped, as is the last row.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data.checks import as_columns, check_kind
from potstill.data.files import dataset_in, open_hdf5, read_array
from potstill.data.formats.layouts import make_transitions, missing_column, ordered_rows
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError

MANTISSA_BITS = 23  # of a float32
REQUIRED = ("observations", "actions", "rewards", "terminals")
SEEN = 4096  # rows whose order is looked at, where a file has next_observations as well
LOCOMOTION = {"hopper": "Hopper-v4", "halfcheetah": "HalfCheetah-v4", "walker2d": "Walker2d-v4"}


def read_d4rl(path: Path, *, env_id: str | None = None, action_scale: float = 1.0) -> Transitions:
    """Read a D4RL-style HDF5 file into :class:`Transitions`.

    Args:
        path: the file.
        env_id: the environment, for a file whose attributes name none.
        action_scale: what the actions are multiplied by.

    Raises:
        PotstillError: not HDF5, truncated, a key missing, unequal rows, or bad values.
    """
    with open_hdf5(path) as file:
        missing = [key for key in REQUIRED if key not in file]
        if missing:
            raise missing_column(missing[0], sorted(file), source=str(path))
        flags = {key: read_array(file, key, path) for key in ("terminals", "timeouts") if key in file}
        if "timeouts" not in flags and "episode_terminals" in file:  # as d3rlpy 1 wrote them
            flags["timeouts"] = read_array(file, "episode_terminals", path)
        tables = {key: dataset_in(file, key, path) for key in REQUIRED if key != "terminals"}
        for key, table in tables.items():
            check_kind(key, table, source=str(path))
        columns = tables | as_columns(flags, source=str(path))
        name, env, card = papers_of(file, path)
        check_order(file, path)
        return make_transitions(
            columns,
            ordered_rows(columns, source=str(path)),
            source=str(path),
            name=name,
            env_id=env or env_id,
            card=card,
            action_scale=action_scale,
        )


def check_order(file: Any, path: Path) -> None:
    """Refuse a file whose own ``next_observations`` are not the following rows, as D4RL's rule assumes."""
    if "next_observations" not in file:
        return
    head = {key: file[key][:SEEN] for key in ("observations", "next_observations", "terminals")}
    if head["next_observations"].shape != head["observations"].shape or len(head["observations"]) < 2:
        return
    same = np.isclose(head["next_observations"][:-1], head["observations"][1:], rtol=1e-3).all(axis=1)
    inside = head["terminals"][:-1].reshape(len(same)) == 0
    if inside.any() and (same & inside).sum() < 0.5 * inside.sum():
        row = np.flatnonzero(inside & ~same)[0]
        raise PotstillError(
            f"{path}: row {row}'s next_observations are not row {row + 1}'s observations, as in D4RL's files: "
            "give such pairs as .npz or .parquet"
        )


def papers_of(file: Any, path: Path) -> tuple[str, str | None, dict[str, Any]]:
    """The name, the environment and the card in a file's attributes."""
    attributes = {key: value for key, value in file.attrs.items() if isinstance(value, str)}
    name, env_id = attributes.get("name", path.stem), attributes.get("env_id")
    if "card" not in attributes:
        return name, env_id, {key: value for key, value in attributes.items() if key == "source"}
    try:
        return name, env_id, dict(json.loads(attributes["card"]))
    except (ValueError, TypeError):
        raise PotstillError(f"{path}: its attribute 'card' is not a JSON object") from None


def d4rl_path(name: str) -> Path:
    """The file of a dataset such as ``hopper-medium-v2`` in D4RL's own cache, which D4RL has filled.

    Raises:
        PotstillError: there is no such file; the line says where it was looked for.
    """
    folder = Path(os.environ.get("D4RL_DATASET_DIR", Path.home() / ".d4rl" / "datasets"))
    stem, _, version = name.rpartition("-v")
    files = [f"{stem.replace('-', '_')}-v{version}.hdf5", f"{name}.hdf5"]
    found = [folder / file for file in files if (folder / file).is_file()]
    if not found:
        raise PotstillError(
            f"d4rl:{name}: no file {files[0]} in {folder}, where D4RL keeps its files "
            "(another folder: set D4RL_DATASET_DIR; a file of your own: give its path)"
        )
    return found[0]


def d4rl_environment(name: str) -> str | None:
    """The environment of a locomotion dataset: Gymnasium's ``-v4``, whose physics D4RL's files share.

    >>> d4rl_environment("hopper-medium-replay-v2")
    'Hopper-v4'
    """
    return LOCOMOTION.get(name.split("-", maxsplit=1)[0])


def round_mantissa(column: np.ndarray, bits: int) -> np.ndarray:
    """Round float32 numbers to ``bits`` bits of mantissa, to nearest; other columns pass unchanged.

    The zeros that are left compress well. The relative error is at most 2^−(bits + 1).

    >>> round_mantissa(np.array([1.0 + 2**-10, 3.0], np.float32), 9).tolist()
    [1.0, 3.0]
    """
    if column.dtype != np.float32 or bits >= MANTISSA_BITS:
        return column
    drop = MANTISSA_BITS - bits
    whole = column.view(np.uint32)
    half = np.uint32((1 << (drop - 1)) - 1) + ((whole >> np.uint32(drop)) & np.uint32(1))
    return ((whole + half) & np.uint32(~((1 << drop) - 1) & 0xFFFFFFFF)).view(np.float32)


def write_d4rl(path: Path, columns: dict[str, np.ndarray], *, env_id: str | None, card: dict[str, Any]) -> None:
    """Write raw rows as a D4RL-style HDF5 file, atomically; float32, shuffled and compressed.

    Args:
        path: the file to make or replace.
        columns: the four required keys and ``timeouts``, rows in order.
        env_id: the environment's Gymnasium id, kept as an attribute.
        card: what made the data; kept as JSON in an attribute.
    """
    import h5py

    partial = path.with_name(path.name + ".partial")
    with h5py.File(partial, "w", track_order=True) as file:
        for key in (*REQUIRED, "timeouts"):
            data = columns[key]
            dtype = np.bool_ if key in ("terminals", "timeouts") else np.float32
            file.create_dataset(key, data=data.astype(dtype), compression="gzip", compression_opts=9, shuffle=True)
        if env_id is not None:
            file.attrs["env_id"] = env_id
        file.attrs["card"] = json.dumps(card)
    os.replace(partial, path)
