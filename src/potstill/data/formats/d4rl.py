"""Read HDF5 files in D4RL's layout by the rule of D4RL's ``qlearning_dataset``, and write them.

Keys: ``observations``, ``actions``, ``rewards``, ``terminals`` and, usually, ``timeouts``. The next observation of a
row is the following row's observation. Rows that time out have no next observation and are dropped, as is the last
row.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from potstill.data.checks import as_columns, check_type_and_shape
from potstill.data.files import Group, find_dataset, open_hdf5, read_array
from potstill.data.formats.layouts import make_transitions, missing_column, ordered_rows
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError

MANTISSA_BITS = 23  # of a float32
REQUIRED = ("observations", "actions", "rewards", "terminals")
CHECKED_ROWS = 4096  # rows whose order is checked, if a file also has next_observations
LOCOMOTION = {"hopper": "Hopper-v4", "halfcheetah": "HalfCheetah-v4", "walker2d": "Walker2d-v4"}


class Metadata(NamedTuple):
    """The attributes of a file."""

    name: str
    env_id: str | None
    card: dict[str, object]


def read_d4rl(path: Path, *, env_id: str | None = None, action_scale: float = 1.0) -> Transitions:
    """Read an HDF5 file in D4RL's layout.

    Args:
        path: the file.
        env_id: the environment, if the file's attributes do not have one.
        action_scale: factor for the actions.

    Raises:
        PotstillError: the file is not HDF5 or is truncated, a key is missing, columns are of unequal length, or a
            value is invalid.
    """
    source = str(path)
    with open_hdf5(path) as file:
        missing = [key for key in REQUIRED if key not in file]
        if missing:
            raise missing_column(missing[0], sorted(file), source=source)
        flags = {key: read_array(file, key, path) for key in ("terminals", "timeouts") if key in file}
        if "timeouts" not in flags and "episode_terminals" in file:  # d3rlpy 1's name for time-outs
            flags["timeouts"] = read_array(file, "episode_terminals", path)
        tables = {key: find_dataset(file, key, path) for key in REQUIRED if key != "terminals"}
        for key, table in tables.items():
            check_type_and_shape(key, table, source=source)
        columns = tables | as_columns(flags, source=source)
        metadata = read_metadata(file, path)
        check_order(file, path)
        return make_transitions(
            columns,
            ordered_rows(columns, source=source),
            source=source,
            name=metadata.name,
            env_id=metadata.env_id or env_id,
            card=metadata.card,
            action_scale=action_scale,
        )


def read_d4rl_name(name: str, *, download: bool = False, action_scale: float = 1.0) -> Transitions:
    """Read a dataset such as ``hopper-medium-v2`` from D4RL's own cache.

    Args:
        name: D4RL's name of the dataset.
        download: must be false: only D4RL itself downloads its files.
        action_scale: factor for the actions.

    Raises:
        PotstillError: the file does not exist, or :func:`read_d4rl` raises.
    """
    assert not download
    return read_d4rl(d4rl_path(name), env_id=d4rl_environment(name), action_scale=action_scale)


def check_order(file: Group, path: Path) -> None:
    """Check that ``next_observations`` of a file, if it has any, are the following rows' observations.

    Raises:
        PotstillError: most of them are not. D4RL's rule would then pair the wrong rows.
    """
    if "next_observations" not in file:
        return
    head = {key: file[key][:CHECKED_ROWS] for key in ("observations", "next_observations", "terminals")}
    if head["next_observations"].shape != head["observations"].shape or len(head["observations"]) < 2:
        return
    same = np.isclose(head["next_observations"][:-1], head["observations"][1:], rtol=1e-3).all(axis=1)
    inside = head["terminals"][:-1].reshape(len(same)) == 0
    if inside.any() and (same & inside).sum() < 0.5 * inside.sum():
        row = np.flatnonzero(inside & ~same)[0]
        raise PotstillError(
            f"{path}: row {row}'s next_observations differ from row {row + 1}'s observations, but in D4RL's layout "
            "they are equal: save such pairs as .npz or .parquet"
        )


def read_metadata(file: Group, path: Path) -> Metadata:
    """Read name, environment and card from a file's attributes. The name defaults to the file's.

    Raises:
        PotstillError: the attribute ``card`` is not a JSON object.
    """
    attributes = {key: value for key, value in file.attrs.items() if isinstance(value, str)}
    name, env_id = attributes.get("name", path.stem), attributes.get("env_id")
    if "card" not in attributes:
        return Metadata(name, env_id, {key: value for key, value in attributes.items() if key == "source"})
    try:
        return Metadata(name, env_id, dict(json.loads(attributes["card"])))
    except (ValueError, TypeError):
        raise PotstillError(f"{path}: its attribute 'card' is not a JSON object") from None


def d4rl_path(name: str) -> Path:
    """The file of a dataset such as ``hopper-medium-v2`` in D4RL's own cache.

    Raises:
        PotstillError: there is no such file. The message names the folder.
    """
    folder = Path(os.environ.get("D4RL_DATASET_DIR", Path.home() / ".d4rl" / "datasets"))
    stem, _, version = name.rpartition("-v")
    files = [f"{stem.replace('-', '_')}-v{version}.hdf5", f"{name}.hdf5"]
    found = [folder / file for file in files if (folder / file).is_file()]
    if not found:
        raise PotstillError(
            f"d4rl:{name}: no file {files[0]} in D4RL's folder {folder}; set D4RL_DATASET_DIR to use another folder, "
            "or give the path of a file"
        )
    return found[0]


def d4rl_environment(name: str) -> str | None:
    """The environment of a locomotion dataset: Gymnasium's ``-v4``, which has the physics of D4RL's files.

    >>> d4rl_environment("hopper-medium-replay-v2")
    'Hopper-v4'
    """
    return LOCOMOTION.get(name.split("-", maxsplit=1)[0])


def round_mantissa(column: np.ndarray, bits: int) -> np.ndarray:
    """Round float32 numbers to ``bits`` bits of mantissa, to nearest even. Other types are returned unchanged.

    The trailing zero bits compress well. The relative error is at most 2^−(bits + 1).

    >>> round_mantissa(np.array([1.0 + 2**-10, 3.0], np.float32), 9).tolist()
    [1.0, 3.0]
    """
    if column.dtype != np.float32 or bits >= MANTISSA_BITS:
        return column
    drop = MANTISSA_BITS - bits
    integers = column.view(np.uint32)
    half = np.uint32((1 << (drop - 1)) - 1) + ((integers >> np.uint32(drop)) & np.uint32(1))
    return ((integers + half) & np.uint32(~((1 << drop) - 1) & 0xFFFFFFFF)).view(np.float32)


def write_d4rl(
    path: Path, columns: Mapping[str, np.ndarray], *, env_id: str | None, card: Mapping[str, object]
) -> None:
    """Write rows as an HDF5 file in D4RL's layout, atomically: float32, shuffled and compressed.

    Args:
        path: the file to make or replace.
        columns: the four required keys and ``timeouts``, with rows in order.
        env_id: Gymnasium id of the environment, stored as an attribute.
        card: where the data come from, stored as JSON in an attribute.
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
