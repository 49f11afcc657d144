"""tianshou's replay buffers, as ``ReplayBuffer.save_hdf5`` writes them.

The group ``_meta`` has the columns ``obs``, ``act``, ``rew``, ``terminated``, ``truncated``, ``done`` and, usually,
``obs_next``. A buffer has a part for each environment, and each part is a ring buffer. Files with the same columns
outside a group are read like other files with named columns.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from potstill.data.columns import Chosen, match_columns
from potstill.data.files import Column, Group, find_dataset, list_datasets, read_array, read_attribute
from potstill.data.formats.groups import find_group
from potstill.data.formats.tables import log_of_columns
from potstill.data.log import Log
from potstill.errors import PotstillError


def read_tianshou(file: Group, path: Path, chosen: Chosen) -> Log:
    """Read a replay buffer of tianshou.

    Args:
        file: the open file.
        path: its path.
        chosen: columns that the user chose.

    Raises:
        PotstillError: a column is missing, or the indices of the ring buffers are damaged.
    """
    group, parts = find_group(file, "_meta", path), _find_parts(file, path)
    rows = np.concatenate([start + order for start, order in parts])
    last = np.cumsum([len(order) for _, order in parts]) - 1

    def read(name: str) -> Column:
        array = np.asarray(find_dataset(group, name, path))
        if not array.ndim or not len(rows) or rows.max() >= len(array):
            raise PotstillError(f"{path}: '{name}' has shape {array.shape}, but the buffer has {len(rows)} rows")
        return np.asarray(array[rows])

    found = match_columns(list_datasets(group), chosen, source=str(path))
    log = log_of_columns(read, found, chosen, source=str(path), name=path.stem)
    ends: dict[str, Column] = {"ends": np.isin(np.arange(len(rows)), last)}
    return replace(log, columns={**log.columns, **ends}, card={"source": "tianshou", **log.card})


def _find_parts(file: Group, path: Path) -> list[tuple[int, np.ndarray]]:
    """Find the first row of each part, and the offsets of its rows in the order of time."""
    last = read_array(file, "last_index", path).reshape(-1)
    single = "_offset" not in file
    offsets = np.zeros(1, int) if single else read_array(file, "_offset", path).reshape(-1)
    lengths = (
        np.array([_read_whole_number(file, "_size", path)])
        if single
        else read_array(file, "_lengths", path).reshape(-1)
    )
    capacities = np.diff(offsets, append=_read_whole_number(file, "maxsize", path))
    whole = all(array.dtype.kind in "iu" for array in (last, offsets, lengths))
    if (
        not whole
        or not len(last) == len(offsets) == len(lengths)
        or (lengths > capacities).any()
        or (lengths < 0).any()
    ):
        raise PotstillError(f"{path}: damaged, the indices of its ring buffers do not match")
    found = []
    for place, offset, length, capacity in zip(last, offsets, lengths, capacities, strict=True):
        first = int(place - offset) + 1 if length == capacity else 0
        found.append((int(offset), (first + np.arange(int(length))) % max(int(capacity), 1)))
    return found


def _read_whole_number(file: Group, name: str, path: Path) -> int:
    value = np.asarray(read_attribute(file, name))
    if value.ndim or value.dtype.kind not in "iu":
        raise PotstillError(f"{path}: its attribute '{name}' is not a whole number")
    return int(value)
