"""Read ``.hdf5`` and ``.h5`` files. The keys of a file show which project wrote it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from potstill.data.columns import Chosen
from potstill.data.files import Group, open_hdf5
from potstill.data.formats.d4rl import read_d4rl
from potstill.data.log import Log
from potstill.runtime.registry import Registry


class Hdf5Reader(Protocol):
    """Reads an open HDF5 file."""

    def __call__(self, file: Group, path: Path, chosen: Chosen) -> Log:
        """Find the columns of ``file``, at ``path``, with those that the user chose."""
        ...


# The key is a dataset or group that identifies the layout. Other packages add layouts by entry points of the group.
LAYOUTS: Registry[Hdf5Reader] = Registry(
    "layout of an HDF5 file",
    "potstill.hdf5",
    {
        "num_episodes": "potstill.data.formats.d3rlpy:read_d3rlpy",
        "episode_0": "potstill.data.formats.minari:read_minari_file",
        "data/demo_0": "potstill.data.formats.robomimic:read_robomimic",
        "_meta": "potstill.data.formats.tianshou:read_tianshou",
        "observations": "potstill.data.formats.d4rl:read_d4rl",
    },
)


@contextmanager
def read_hdf5(path: Path, chosen: Chosen) -> Iterator[Log]:
    """Open a file of d3rlpy, Minari, robomimic or tianshou, or one with named columns such as D4RL's.

    Args:
        path: the file.
        chosen: columns that the user chose.

    Raises:
        PotstillError: the file is damaged, or its content is invalid.
    """
    with open_hdf5(path) as file:
        names = set(file)
        found = next((key for key in LAYOUTS if _has(file, names, key)), None)
        yield read_d4rl(file, path, chosen) if found is None else LAYOUTS[found](file, path, chosen)


def _has(file: Group, names: Collection[str], key: str) -> bool:
    """Whether a file, with ``names``, has a key. ``episode_0`` matches every number."""
    parent, _, name = key.rpartition("/")
    group = names if not parent else file.get(parent) if parent in names else None
    if not isinstance(group, Collection):  # no group, but nothing or a dataset
        return False
    if name in group or not name.endswith("_0"):
        return name in group
    numbered = re.compile(re.escape(name[:-1]) + r"\d+")
    return any(map(numbered.fullmatch, group))
