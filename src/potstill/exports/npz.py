"""A NumPy archive: the arrays under the names that the distillate's own file gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from potstill.distillate import Distillate
from potstill.exports.papers import papers


def write(distillate: Distillate, path: Path) -> None:
    """Write ``states``, ``actions``, learned ``weights`` if any, normaliser, bounds, and the papers as JSON text."""
    learned: dict[str, Any] = {} if distillate.weights is None else {"weights": distillate.weights}
    with path.open("wb") as file:  # an open file, because savez adds .npz to a name
        np.savez(
            file,
            states=distillate.states,
            actions=distillate.actions,
            **learned,
            state_mean=distillate.normaliser.mean,
            state_scale=distillate.normaliser.scale,
            action_low=distillate.action_bounds.low,
            action_high=distillate.action_bounds.high,
            potstill=np.array(json.dumps(papers(distillate))),
        )
