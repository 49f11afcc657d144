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

from potstill.data.checks import as_columns, resolve_bounds
from potstill.errors import PotstillError
from potstill.types import Transitions

MANTISSA_BITS = 23  # of a float32
REQUIRED = ("observations", "actions", "rewards", "terminals")


def read_d4rl(path: Path) -> Transitions:
    """Read a D4RL-style HDF5 file into :class:`Transitions`.

    Raises:
        PotstillError: not HDF5, truncated, a key missing, unequal rows, or bad values.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            missing = [key for key in REQUIRED if key not in file]
            if missing:
                raise PotstillError(f"{path}: no key '{missing[0]}' (it has {', '.join(sorted(file))})")
            raw = {key: np.asarray(file[key]) for key in (*REQUIRED, "timeouts") if key in file}
            attributes = {key: value for key, value in file.attrs.items() if isinstance(value, str)}
    except OSError as error:
        what = "truncated" if "truncated" in str(error) else "damaged or not an HDF5 file"
        raise PotstillError(f"{path}: {what}") from None
    columns = as_columns(raw, source=str(path))
    env_id = attributes.get("env_id")
    low, high = resolve_bounds(env_id, columns, source=str(path))
    return Transitions(
        **qlearning_rows(columns, source=str(path)),
        action_low=low,
        action_high=high,
        name=attributes.get("name", path.stem),
        env_id=env_id,
        card=_card(attributes, path),
    )


def _card(attributes: dict[str, str], path: Path) -> dict[str, Any]:
    if "card" not in attributes:
        return {key: value for key, value in attributes.items() if key == "source"}
    try:
        return dict(json.loads(attributes["card"]))
    except ValueError:
        raise PotstillError(f"{path}: its attribute 'card' is not JSON") from None


def qlearning_rows(columns: dict[str, np.ndarray], *, source: str, limit: int = 1000) -> dict[str, np.ndarray]:
    """Pair each row with the next one and drop the rows that have no next one.

    Without ``timeouts`` a counter of ``limit`` steps since the last end decides where one is.
    """
    terminals = columns["terminals"]
    timeouts = columns.get("timeouts")
    if timeouts is None:
        timeouts = _counted_timeouts(terminals, limit)
    timeouts = timeouts & ~terminals
    if len(terminals) < 2:
        raise PotstillError(f"{source}: {len(terminals)} rows, at least 2 are needed")
    keep = np.flatnonzero(~timeouts[:-1])
    if not len(keep):
        raise PotstillError(f"{source}: every row is a time-out, nothing is left")
    truncations = (timeouts[keep + 1] | (keep + 1 == len(terminals) - 1)) & ~terminals[keep]
    return {
        "observations": columns["observations"][keep],
        "actions": columns["actions"][keep],
        "rewards": columns["rewards"][keep],
        "next_observations": columns["observations"][keep + 1],
        "terminations": terminals[keep],
        "truncations": truncations,
    }


def _counted_timeouts(terminals: np.ndarray, limit: int) -> np.ndarray:
    timeouts = np.zeros_like(terminals)
    count = 0
    for row, terminal in enumerate(terminals):
        count += 1
        timeouts[row] = count == limit
        if terminal or count == limit:
            count = 0
    return timeouts


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
