"""From the argument that names a dataset to :class:`~potstill.types.Transitions`."""

from __future__ import annotations

from pathlib import Path

from potstill.bundled import BUNDLED, bundled_names
from potstill.data.d4rl import read_d4rl
from potstill.data.npz import read_npz
from potstill.errors import PotstillError, unknown
from potstill.types import Transitions

READERS = {".hdf5": read_d4rl, ".h5": read_d4rl, ".npz": read_npz}


def load_dataset(name: str | Path) -> Transitions:
    """Load a bundled dataset by name, or a ``.hdf5`` (D4RL layout) or ``.npz`` file by path.

    Raises:
        PotstillError: unknown name, no such file, unknown suffix, or any fault of the file's content.

    >>> data = load_dataset("hopper-medium-replay")
    >>> data.env_id, data.state_size, data.action_size
    ('Hopper-v5', 11, 3)
    """
    path = Path(name)
    if str(name) in bundled_names():
        return read_d4rl(BUNDLED / f"{name}.hdf5")
    if path.suffix not in READERS and not path.exists():
        raise unknown("dataset", str(name), bundled_names())
    if not path.is_file():
        raise PotstillError(f"{path}: no such file")
    if path.suffix not in READERS:
        raise PotstillError(f"{path}: cannot read '{path.suffix}' files, only {', '.join(READERS)}")
    return READERS[path.suffix](path)
