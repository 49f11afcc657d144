"""d3rlpy's replay buffers, as ``ReplayBuffer.dump`` of d3rlpy 2 writes them: an HDF5 file of episodes.

Keys: ``num_episodes``, and ``observations_0``, ``actions_0``, ``rewards_0``, ``terminated_0`` and so on. An episode has
as many observations as actions. If it did not terminate, its last row has no next observation and is dropped. The
next observation of a terminating row is never used. As in D4RL, it is the following row's observation, or the row's own
observation at the end of the file.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.data.checks import as_column, check_equal_rows
from potstill.data.columns import Chosen
from potstill.data.files import Column, Group, read_array
from potstill.data.formats.groups import find_group_columns, join_episodes
from potstill.data.log import Log
from potstill.errors import PotstillError, name_option

COLUMNS = ("observations", "actions", "rewards")


def read_d3rlpy(file: Group, path: Path, chosen: Chosen) -> Log:
    """Find the columns of a d3rlpy replay buffer.

    Args:
        file: the open file.
        path: its path.
        chosen: must be empty.

    Raises:
        PotstillError: the file is damaged, an episode is missing, or its columns are of unequal length.
    """
    if chosen:
        raise PotstillError(f"{path}: {name_option('columns')}: the columns of d3rlpy's replay buffers are fixed")
    count = read_array(file, "num_episodes", path)
    if count.shape or count.dtype.kind not in "iu" or not 0 < count <= len(file):
        raise PotstillError(f"{path}: num_episodes is not the number of episodes in the file")
    numbers = range(int(count))
    columns = join_episodes([_find_columns(file, number, path) for number in numbers], source=str(path))
    columns["terminations"] = terminations = np.asarray(columns["ends"]).copy()
    terminations[terminations] = [_read_terminated(file, number, path) for number in numbers]
    return Log(columns, str(path), path.stem)


def _find_columns(file: Group, number: int, path: Path) -> dict[str, Column]:
    source = f"{path}, episode {number}"
    columns = find_group_columns(file, {key: [f"{key}_{number}"] for key in COLUMNS}, path, source=source)
    check_equal_rows(columns, source=source)
    if not len(columns["actions"]):
        raise PotstillError(f"{source}: an episode must have at least one row and one flag 'terminated'")
    return columns


def _read_terminated(file: Group, number: int, path: Path) -> bool:
    source = f"{path}, episode {number}"
    flag = read_array(file, f"terminated_{number}", path).reshape(-1)
    flags = as_column("terminations", flag, source=source)
    if len(flags) != 1:
        raise PotstillError(f"{source}: an episode must have at least one row and one flag 'terminated'")
    return bool(flags[0])
