"""A NumPy archive with the same array names as the distillate's own file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from potstill.distillate import Distillate
from potstill.exports.base import ExportFormat
from potstill.exports.metadata import export_metadata
from potstill.runtime.files import JsonObject


def write(distillate: Distillate, path: Path) -> None:
    """Write states, actions, any learned weights, normaliser and bounds; metadata as JSON under ``potstill``."""
    weights = {} if distillate.weights is None else {"weights": distillate.weights}
    arrays: JsonObject = {
        "states": distillate.states,
        "actions": distillate.actions,
        **weights,
        **distillate.scaling.to_arrays(),
        "potstill": np.array(json.dumps(export_metadata(distillate))),
    }
    with path.open("wb") as file:  # an open file, because savez adds .npz to a name
        np.savez(file, **arrays)


FORMAT = ExportFormat(write, suffixes=(".npz",))
