"""d3rlpy's replay buffers, as ``ReplayBuffer.dump`` of d3rlpy 2 writes them: an HDF5 file of episodes.

Keys: ``num_episodes``, and ``observations_0``, ``actions_0``, ``rewards_0``, ``terminated_0`` and so on. An episode has
as many observations as actions. If it did not terminate, its last row has no next observation and is dropped. The
next observation of a terminated row is never used; as in D4RL, it is the following row's observation. In the last row
of the file, it is the row's own observation.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.data.checks import as_columns, check_equal_rows
from potstill.data.files import Group, open_hdf5, read_array
from potstill.data.formats.layouts import join_episodes, make_transitions
from potstill.data.formats.qlearning import qlearning_rows
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError

COLUMNS = ("observations", "actions", "rewards")


def read_d3rlpy(path: Path, *, action_scale: float = 1.0) -> Transitions:
    """Read a d3rlpy replay buffer.

    Args:
        path: the file.
        action_scale: factor for the actions.

    Raises:
        PotstillError: the file is damaged, an episode is missing, its columns are of unequal length, actions are
            discrete, or a value is invalid.
    """
    with open_hdf5(path) as file:
        count = read_array(file, "num_episodes", path)
        if count.shape or count.dtype.kind not in "iu" or not 0 < count <= len(file):
            raise PotstillError(f"{path}: num_episodes is not the number of episodes in the file")
        parts = [_read_episode(file, number, path) for number in range(int(count))]
    columns = join_episodes(parts, source=str(path))
    padded = {key: np.append(values, values[-1:], axis=0) for key, values in columns.items()}
    rows = qlearning_rows(padded, source=str(path))
    return make_transitions(columns, rows, source=str(path), name=path.stem, env_id=None, action_scale=action_scale)


def _read_episode(file: Group, number: int, path: Path) -> dict[str, np.ndarray]:
    source = f"{path}, episode {number}"
    raw = {key: read_array(file, f"{key}_{number}", path) for key in COLUMNS}
    flag = read_array(file, f"terminated_{number}", path).reshape(-1)
    columns = as_columns({**raw, "terminals": flag}, source=source)
    terminated = columns.pop("terminals")
    check_equal_rows(columns, source=source)
    if len(terminated) != 1 or not len(columns["rewards"]):
        raise PotstillError(f"{source}: an episode must have at least one row and one flag 'terminated'")
    last = np.arange(len(columns["rewards"])) == len(columns["rewards"]) - 1
    return {**columns, "terminals": last & terminated, "timeouts": last & ~terminated}
