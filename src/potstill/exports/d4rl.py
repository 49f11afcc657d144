"""HDF5 in D4RL's layout.

Every row terminates and none times out. Readers that pair each row with the next one then do not connect the two,
and readers that drop timed-out rows drop none. (D4RL's own reader always drops the last row.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.data.formats.d4rl import write_d4rl
from potstill.distillate import Distillate
from potstill.exports.base import ExportFormat
from potstill.exports.metadata import export_metadata


def write(distillate: Distillate, path: Path) -> None:
    """Write the pairs as rows with zero rewards, and the metadata as JSON in the attribute ``card``."""
    rows, discrete = len(distillate), distillate.action_bounds.discrete
    columns = {
        "observations": distillate.states,
        "actions": distillate.action_numbers if discrete else distillate.actions,
        "rewards": np.zeros(rows, np.float32),
        "terminals": np.ones(rows, np.bool_),
        "timeouts": np.zeros(rows, np.bool_),
    }
    count = len(distillate.action_bounds) if discrete else None
    write_d4rl(path, columns, env_id=distillate.env_id, card=export_metadata(distillate), action_count=count)


FORMAT = ExportFormat(write, suffixes=(".hdf5", ".h5"), steps_only=True)
