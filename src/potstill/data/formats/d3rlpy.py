"""d3rlpy's replay buffers, as ``ReplayBuffer.dump`` writes them (d3rlpy 2): an HDF5 file of episodes.

Keys: ``observations_0``, ``actions_0``, ``rewards_0``, ``terminated_0`` and so on, and ``num_episodes``.
An episode has as many observations as actions, so the last row of one that did not terminate has no next
observation and is dropped. A terminated row's next observation, which nothing reads, is the following row's,
as in D4RL; the very last row repeats its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from potstill.data.checks import as_columns, check_rows
from potstill.data.files import open_hdf5, read_array
from potstill.data.formats.layouts import join_episodes, make_transitions, qlearning_rows
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError

COLUMNS = ("observations", "actions", "rewards")


def read_d3rlpy(path: Path, *, action_scale: float = 1.0) -> Transitions:
    """Read a d3rlpy replay buffer; ``action_scale`` multiplies the actions.

    Raises:
        PotstillError: damaged, an episode missing or of unequal rows, discrete actions, or bad values.
    """
    with open_hdf5(path) as file:
        count = read_array(file, "num_episodes", path)
        if count.shape or count.dtype.kind not in "iu" or not 0 < count <= len(file):
            raise PotstillError(f"{path}: num_episodes is not the number of its episodes")
        parts = [_read_episode(file, number, path) for number in range(int(count))]
    columns = join_episodes(parts, source=str(path))
    padded = {key: np.append(values, values[-1:], axis=0) for key, values in columns.items()}
    rows = qlearning_rows(padded, source=str(path))
    return make_transitions(columns, rows, source=str(path), name=path.stem, env_id=None, action_scale=action_scale)


def _read_episode(file: Any, number: int, path: Path) -> dict[str, np.ndarray]:
    source = f"{path}, episode {number}"
    raw = {key: read_array(file, f"{key}_{number}", path) for key in COLUMNS}
    flag = read_array(file, f"terminated_{number}", path).reshape(-1)
    columns = as_columns({**raw, "terminals": flag}, source=source)
    terminated = columns.pop("terminals")
    check_rows(columns, source=source)
    if len(terminated) != 1 or not len(columns["rewards"]):
        raise PotstillError(f"{source}: one flag 'terminated' and at least one row are needed")
    last = np.arange(len(columns["rewards"])) == len(columns["rewards"]) - 1
    return {**columns, "terminals": last & terminated, "timeouts": last & ~terminated}
