"""Load a dataset from a name, a path or arrays."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from potstill.bundled import BUNDLED, bundled_names
from potstill.data.formats.layouts import from_arrays, match_columns
from potstill.data.suspicions import find_suspicions
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError, PotstillWarning, unknown_name
from potstill.runtime.arguments import check_arguments
from potstill.runtime.registry import Registry


class FileReader(Protocol):
    """Reads the dataset at a path."""

    def __call__(self, path: Path, *, action_scale: float) -> Transitions:
        """Read ``path`` and multiply its actions by ``action_scale``."""
        ...


class NameReader(Protocol):
    """Reads the dataset that another project stores under a name."""

    def __call__(self, name: str, *, download: bool, action_scale: float) -> Transitions:
        """Read the dataset called ``name``, after a download if needed; multiply its actions by ``action_scale``."""
        ...


# Each data format is a module in potstill.data.formats and a line here. The key is the suffix of its files or the
# scheme of its names. Other packages add formats by entry points of the same groups. A format is imported on first use.
FORMATS: Registry[FileReader] = Registry(
    "data format",
    "potstill.formats",
    {
        ".hdf5": "potstill.data.formats.hdf5:read_hdf5",
        ".h5": "potstill.data.formats.hdf5:read_hdf5",
        ".npz": "potstill.data.formats.npz:read_npz",
        ".parquet": "potstill.data.formats.parquet:read_parquet",
        "folder": "potstill.data.formats.folder:read_folder",
    },
)
SCHEMES: Registry[NameReader] = Registry(
    "dataset scheme",
    "potstill.schemes",
    {
        "minari": "potstill.data.formats.minari:read_minari_name",
        "d4rl": "potstill.data.formats.d4rl:read_d4rl_name",
    },
)


@check_arguments
def load_dataset(
    source: str | os.PathLike[str] | Mapping[str, object] | Transitions,
    *,
    download: bool = False,
    action_scale: float = 1.0,
) -> Transitions:
    """Load a dataset.

    Args:
        source: one of

            - the name of a bundled dataset;
            - ``minari:ID``, a dataset in Minari's folder, or ``d4rl:NAME``, a dataset in D4RL's cache;
            - the path of an ``.hdf5`` or ``.h5`` file (of D4RL, d3rlpy or Minari), an ``.npz`` or ``.parquet`` file,
              a folder of ``potstill convert`` (its rows stay on disk), or the folder of a Minari dataset;
            - a mapping of arrays, with the names and layouts of an ``.npz`` file;
            - :class:`~potstill.data.transitions.Transitions`, which are returned unchanged.
        download: let Minari's own client download a ``minari:ID`` that is not in Minari's folder.
        action_scale: factor for the actions, if their unit is not that of the environment.

    Raises:
        PotstillError: the name is unknown, the file is missing, its format is unknown, or its content is invalid.

    Warns:
        PotstillWarning: the content is suspicious, see :func:`~potstill.data.suspicions.find_suspicions`.

    Example:
        >>> data = load_dataset("hopper-medium-replay")
        >>> data.env_id, data.state_size, data.action_size
        ('Hopper-v5', 11, 3)
    """
    if not 0.0 < action_scale < np.inf:
        raise PotstillError(f"--action-scale {action_scale}: expected a number above 0")
    if download and not str(source).startswith("minari:"):
        raise PotstillError("--download: only minari:ID can be downloaded")
    if isinstance(source, Transitions):
        if action_scale != 1.0:
            raise PotstillError(
                "--action-scale: Transitions are used unchanged; scale the actions before you make them"
            )
        return source
    if isinstance(source, Mapping):
        data = _load_mapping(source, action_scale)
    else:
        data = _load_name(Path(source).as_posix(), download, action_scale)
    for line in find_suspicions(data):
        warnings.warn(f"{data.name}: {line}", PotstillWarning, stacklevel=3)  # the caller, outside check_arguments
    return data


def _load_mapping(arrays: Mapping[str, object], action_scale: float) -> Transitions:
    names, raw = match_columns([str(name) for name in arrays], source="arrays"), {}
    for column, name in names.items():
        try:
            raw[column] = np.array(arrays[name])  # a copy: the dataset must not change when its source does
        except (ValueError, TypeError, OverflowError) as error:
            raise PotstillError(f"arrays: '{name}' is not an array: {error}") from None
    env_id = None if arrays.get("env_id") is None else str(arrays["env_id"])
    return from_arrays(raw, source="arrays", name="arrays", env_id=env_id, action_scale=action_scale)


def _load_name(name: str, download: bool, action_scale: float) -> Transitions:
    scheme, colon, rest = name.partition(":")
    if name in bundled_names():
        return FORMATS[".hdf5"](BUNDLED / f"{name}.hdf5", action_scale=action_scale)
    if colon and scheme in SCHEMES:
        if not rest:
            raise PotstillError(
                f"{scheme}: expected a name after the colon, as in minari:mujoco/hopper/medium-v0 or "
                "d4rl:hopper-medium-v2"
            )
        return SCHEMES[scheme](rest, download=download, action_scale=action_scale)
    suffix = "folder" if os.path.isdir(name) else Path(name).suffix.lower()
    if suffix not in FORMATS and not os.path.exists(name):
        raise PotstillError(f"{unknown_name('dataset', name, bundled_names())}; or minari:ID, d4rl:NAME, or a path")
    if suffix not in FORMATS:
        raise PotstillError(f"{name}: cannot read '{suffix}' files, only {', '.join(s for s in FORMATS if '.' in s)}")
    if suffix != "folder" and not os.path.isfile(name):
        raise PotstillError(f"{name}: no such file")
    return FORMATS[suffix](Path(name), action_scale=action_scale)
