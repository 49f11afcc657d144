"""Arrays in memory: a mapping from names to arrays, or a replay buffer of stable-baselines3."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Protocol, runtime_checkable

import numpy as np

from potstill.data.columns import Chosen, match_columns
from potstill.data.formats.lanes import STATE, read_buffer_columns
from potstill.data.formats.tables import SPACE, log_of_columns
from potstill.data.log import Log
from potstill.errors import PotstillError


@runtime_checkable
class ReplayBuffer(Protocol):
    """A replay buffer of stable-baselines3, whose arrays are attributes."""

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    dones: np.ndarray
    pos: int
    full: bool


def read_arrays(arrays: Mapping[str, object], chosen: Chosen, *, source: str = "arrays") -> Log:
    """Make a log of arrays by name. The arrays are copied.

    ``env_id``, ``action_low`` and ``action_high`` name the environment and the action bounds. The entries of nested
    mappings have names such as ``observations.position``.

    Args:
        arrays: arrays, or anything that NumPy can convert.
        chosen: columns that the user chose.
        source: name of the data in error messages.

    Raises:
        PotstillError: a column is missing, or cannot be converted to an array, or has masked values.
    """
    if arrays.get("optimize_memory_usage"):
        return read_buffer(SimpleNamespace(**arrays), chosen)
    stated = {key: arrays[key] for key in ("env_id", *SPACE, *STATE) if arrays.get(key) is not None}
    flat = _flatten(arrays)
    return log_of_columns(
        lambda name: _to_array(flat[name], name, source),
        match_columns(flat.keys() - stated.keys(), chosen, source=source),
        chosen,
        source=source,
        name="arrays",
        stated=stated,
    )


def read_buffer(buffer: object, chosen: Chosen) -> Log:
    """Make a log of a replay buffer of stable-baselines3, with the bounds of its action space."""
    arrays, stated = read_buffer_columns(buffer)
    return read_arrays({**arrays, **stated}, chosen, source="the replay buffer")


def _flatten(arrays: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in arrays.items():
        inner = isinstance(value, Mapping)
        flat |= _flatten(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}  # type: ignore[arg-type]
    return flat


def _to_array(value: object, name: str, source: str) -> np.ndarray:
    if isinstance(value, np.ma.MaskedArray):
        masked = np.argwhere(np.ma.getmaskarray(value))
        if len(masked):
            where = f"row {masked[0][0]}" + (f", component {masked[0][1]}" if value.ndim == 2 else "")
            raise PotstillError(
                f"{source}: '{name}', {where}, is masked ({len(masked)} such values): repair or remove them"
            )
    try:
        # A copy: the dataset must not change when its source does. It never contains images themselves.
        return value if isinstance(value, np.ndarray) and value.ndim > 2 else np.array(value)
    except (
        ValueError,
        TypeError,
        OverflowError,
        RuntimeError,
    ) as error:  # RuntimeError: a PyTorch tensor that requires a gradient
        raise PotstillError(f"{source}: '{name}' is not an array: {error}") from None
