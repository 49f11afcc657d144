"""HDF5 in D4RL's layout.

Every row terminates and none times out: readers that pair a row with the next one then know that nothing
follows it, and readers that drop rows that time out drop none. (D4RL's own rule always loses the last row.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.data.formats.d4rl import write_d4rl
from potstill.distillate import Distillate
from potstill.exports.papers import papers


def write(distillate: Distillate, path: Path) -> None:
    """Write rows with rewards of zero; the papers are JSON in the attribute ``card``."""
    rows = len(distillate)
    columns = {
        "observations": distillate.states,
        "actions": distillate.actions,
        "rewards": np.zeros(rows, np.float32),
        "terminals": np.ones(rows, np.bool_),
        "timeouts": np.zeros(rows, np.bool_),
    }
    write_d4rl(path, columns, env_id=distillate.env_id, card=papers(distillate))
