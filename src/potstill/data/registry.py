"""From the argument that names a dataset to :class:`~potstill.data.transitions.Transitions`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from potstill.bundled import BUNDLED, bundled_names
from potstill.data.checks import suspicions
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError, PotstillWarning, unknown

READERS = {
    ".hdf5": ("hdf5", "read_hdf5"),
    ".h5": ("hdf5", "read_hdf5"),
    ".npz": ("npz", "read_npz"),
    ".parquet": ("parquet", "read_parquet"),
    "folder": ("folder", "read_folder"),
}


def load_dataset(
    source: str | Path | Mapping[str, Any] | Transitions, *, download: bool = False, action_scale: float = 1.0
) -> Transitions:
    """Load a dataset from whatever names or holds it.

    Args:
        source: a bundled name; ``minari:ID`` (in Minari's root) or ``d4rl:NAME`` (in D4RL's cache); a path to
            a ``.hdf5``, ``.h5`` (D4RL, d3rlpy), ``.npz`` or ``.parquet`` file or to the folder of
            ``potstill convert``, whose rows stay on disk, or of a Minari dataset;
            a mapping of arrays, with the names and layouts of an ``.npz``; or Transitions, returned as they are.
        download: where a ``minari:ID`` is not there, let Minari's own client fetch it.
        action_scale: what the actions are multiplied by, for data in another unit than their environment's.

    Raises:
        PotstillError: unknown name, no such file, unknown suffix, or any fault of the content.

    Warns:
        PotstillWarning: for content that is suspicious, see :func:`~potstill.data.checks.suspicions`.

    >>> data = load_dataset("hopper-medium-replay")
    >>> data.env_id, data.state_size, data.action_size
    ('Hopper-v5', 11, 3)
    """
    if not 0.0 < action_scale < np.inf:
        raise PotstillError(f"--action-scale {action_scale}: a number above 0 is needed")
    if download and not str(source).startswith("minari:"):
        raise PotstillError("--download: only minari:ID can be downloaded")
    if isinstance(source, Transitions):
        if action_scale != 1.0:
            raise PotstillError("Transitions are taken as they are: scale their actions before they are built")
        return source
    if isinstance(source, Mapping):
        data = _from_mapping(source, action_scale)
    elif isinstance(source, str | os.PathLike):
        data = _from_name(Path(source).as_posix(), download, action_scale)
    else:
        raise PotstillError(
            f"a dataset of type {type(source).__name__}: a name, a path, a mapping of arrays or Transitions is needed"
        )
    for line in suspicions(data):
        warnings.warn(f"{data.name}: {line}", PotstillWarning, stacklevel=2)
    return data


def _from_mapping(arrays: Mapping[str, Any], action_scale: float) -> Transitions:
    from potstill.data.formats.layouts import column_names, from_arrays

    names, raw = column_names([str(name) for name in arrays], source="arrays"), {}
    for column, name in names.items():
        try:
            raw[column] = np.array(arrays[name])  # a copy: the dataset does not change when its source does
        except (ValueError, TypeError, OverflowError) as error:
            raise PotstillError(f"arrays: '{name}' is no array: {error}") from None
    env_id = None if arrays.get("env_id") is None else str(arrays["env_id"])
    return from_arrays(raw, source="arrays", name="arrays", env_id=env_id, action_scale=action_scale)


def _from_name(name: str, download: bool, action_scale: float) -> Transitions:
    from potstill.data.formats.d4rl import d4rl_environment, d4rl_path, read_d4rl
    from potstill.data.formats.minari import minari_path, read_minari

    scheme, _, rest = name.partition(":")
    if name in bundled_names():
        return read_d4rl(BUNDLED / f"{name}.hdf5", action_scale=action_scale)
    if scheme in ("minari", "d4rl") and not rest:
        raise PotstillError(
            f"{scheme}: a name is missing, as in minari:mujoco/hopper/medium-v0 or d4rl:hopper-medium-v2"
        )
    if scheme == "minari":
        return read_minari(minari_path(rest, download=download), action_scale=action_scale)
    if scheme == "d4rl":
        return read_d4rl(d4rl_path(rest), env_id=d4rl_environment(rest), action_scale=action_scale)
    suffix = "folder" if os.path.isdir(name) else Path(name).suffix.lower()
    if suffix not in READERS and not os.path.exists(name):
        raise PotstillError(f"{unknown('dataset', name, bundled_names())}; or minari:ID, d4rl:NAME, or a path")
    if suffix not in READERS:
        raise PotstillError(f"{name}: cannot read '{suffix}' files, only {', '.join(s for s in READERS if '.' in s)}")
    if suffix != "folder" and not os.path.isfile(name):
        raise PotstillError(f"{name}: no such file")
    module, function = READERS[suffix]
    return getattr(import_module(f"potstill.data.formats.{module}"), function)(Path(name), action_scale=action_scale)
