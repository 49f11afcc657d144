"""``.hdf5`` and ``.h5`` files: the keys show which project wrote a file."""

from __future__ import annotations

from pathlib import Path

from potstill.data.files import open_hdf5
from potstill.data.formats.d3rlpy import read_d3rlpy
from potstill.data.formats.d4rl import read_d4rl
from potstill.data.formats.minari import read_minari
from potstill.data.transitions import Transitions


def read_hdf5(path: Path, *, action_scale: float = 1.0) -> Transitions:
    """Read a file in D4RL's layout, a d3rlpy replay buffer, or Minari's ``main_data.hdf5``.

    Args:
        path: the file.
        action_scale: factor for the actions.

    Raises:
        PotstillError: the file is damaged, or its content is invalid.
    """
    with open_hdf5(path) as file:
        d3rlpy, minari = "num_episodes" in file, "episode_0" in file
    if d3rlpy:
        return read_d3rlpy(path, action_scale=action_scale)
    if minari:
        return read_minari(path.parent, action_scale=action_scale)
    return read_d4rl(path, action_scale=action_scale)
