"""Read HDF5 files with named columns, such as those of D4RL, d3rlpy 1 and tianshou, and write D4RL's layout.

D4RL's keys: ``observations``, ``actions``, ``rewards``, ``terminals`` and, usually, ``timeouts``. The next observation
of a row is the following row's observation, by the rule of D4RL's ``qlearning_dataset``, unless the file has
``next_observations``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from potstill.data.columns import Chosen, match_columns
from potstill.data.files import Group, find_dataset, find_user_folder, list_datasets, open_hdf5, read_attribute
from potstill.data.formats.tables import SPACE, as_text, log_of_columns
from potstill.data.log import Log
from potstill.errors import PotstillError
from potstill.runtime.files import parse_json, writing

MANTISSA_BITS = 23  # mantissa of a float32
REQUIRED = ("observations", "actions", "rewards", "terminals")
LOCOMOTION = {"hopper": "Hopper-v4", "halfcheetah": "HalfCheetah-v4", "walker2d": "Walker2d-v4"}


def read_d4rl(file: Group, path: Path, chosen: Chosen) -> Log:
    """Find the named columns of an HDF5 file. They are read when they are indexed, while the file is open.

    The attributes, or datasets, ``env_id``, ``action_low`` and ``action_high`` name the environment and the bounds.

    Args:
        file: the open file.
        path: its path.
        chosen: columns that the user chose; names of columns in groups are such as ``infos/qpos``.

    Raises:
        PotstillError: a column is missing, or an attribute is damaged.
    """
    source, names = str(path), list_datasets(file)
    known = [key for key in ("env_id", *SPACE) if key in names]
    stated: dict[str, object] = {key: find_dataset(file, key, path)[()] for key in known}
    stated |= {key: value for key in ("env_id", *SPACE) if (value := read_attribute(file, key)) is not None}
    return log_of_columns(
        lambda name: find_dataset(file, name, path),
        match_columns([name for name in names if name not in known], chosen, source=source),
        chosen,
        source=source,
        name=as_text(read_attribute(file, "name"), f"{source}: its attribute 'name'") or path.stem,
        stated=stated,
        card=_read_card(file, path),
    )


@contextmanager
def read_d4rl_name(name: str, chosen: Chosen, *, download: bool = False) -> Iterator[Log]:
    """Open a dataset such as ``hopper-medium-v2`` in D4RL's own cache.

    Args:
        name: D4RL's name of the dataset.
        chosen: columns that the user chose.
        download: must be false: only D4RL itself downloads its files.

    Raises:
        PotstillError: the file does not exist, or :func:`read_d4rl` raises.
    """
    assert not download
    path = find_d4rl_path(name)
    with open_hdf5(path) as file:
        log = read_d4rl(file, path, chosen)
        yield replace(log, env_id=log.env_id or find_d4rl_environment(name))


def _read_card(file: Group, path: Path) -> dict[str, object]:
    """Read the attribute ``card``, or else ``source``.

    Raises:
        PotstillError: the attribute ``card`` is not a JSON object.
    """
    card = read_attribute(file, "card")
    if card is None:
        source = as_text(read_attribute(file, "source"), f"{path}: its attribute 'source'")
        return {} if source is None else {"source": source}
    try:
        return dict(parse_json(as_text(card, "card") or ""))
    except (ValueError, TypeError, PotstillError):
        raise PotstillError(f"{path}: its attribute 'card' is not a JSON object") from None


def find_d4rl_path(name: str) -> Path:
    """Find the file of a dataset such as ``hopper-medium-v2`` in D4RL's own cache.

    Raises:
        PotstillError: there is no such file. The message contains the folder.
    """
    folder = find_user_folder("D4RL_DATASET_DIR", ".d4rl", "datasets")
    stem, _, version = name.rpartition("-v")
    files = [f"{stem.replace('-', '_')}-v{version}.hdf5", f"{name}.hdf5"]
    found = [folder / file for file in files if (folder / file).is_file()]
    if not found:
        raise PotstillError(
            f"d4rl:{name}: no file {files[0]} in D4RL's folder {folder}; set D4RL_DATASET_DIR to use another folder, "
            "or give the path of a file"
        )
    return found[0]


def find_d4rl_environment(name: str) -> str | None:
    """Find the environment of a locomotion dataset: Gymnasium's ``-v4``, which has the physics of D4RL's files.

    >>> find_d4rl_environment("hopper-medium-replay-v2")
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
    path: Path,
    columns: Mapping[str, np.ndarray],
    *,
    env_id: str | None,
    card: Mapping[str, object],
    action_count: int | None = None,
) -> None:
    """Write rows as an HDF5 file in D4RL's layout, atomically: shuffled, compressed, float32 except discrete actions.

    Args:
        path: the file to make or replace.
        columns: the four required keys and ``timeouts``, with rows in order.
        env_id: Gymnasium id of the environment, stored as an attribute.
        card: the origin of the data, stored as JSON in an attribute.
        action_count: the number of actions of a finite set, stored as an attribute. The column of actions holds their
            numbers.
    """
    import h5py

    with writing(path) as partial, h5py.File(partial, "w", track_order=True) as file:
        for key in (*REQUIRED, "timeouts"):
            data = columns[key]
            numbers = key == "actions" and action_count is not None
            dtype = np.bool_ if key in ("terminals", "timeouts") else np.int64 if numbers else np.float32
            file.create_dataset(key, data=data.astype(dtype), compression="gzip", compression_opts=9, shuffle=True)
        if env_id is not None:
            file.attrs["env_id"] = env_id
        if action_count is not None:
            file.attrs["action_count"] = action_count
        file.attrs["card"] = json.dumps(card)
