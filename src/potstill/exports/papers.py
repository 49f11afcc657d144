"""What every export says of its pairs beside the pairs themselves."""

from __future__ import annotations

from typing import Any

from potstill.distillate import Distillate
from potstill.runtime.run_folder import to_json

NOTE = (
    "Distilled pairs, not trajectories: every row is an episode of its own, of one step. "
    "There are no rewards and no next states."
)


def papers(distillate: Distillate) -> dict[str, Any]:
    """All but the pairs, in plain values: normaliser, action bounds, recipe and metadata."""
    return to_json(
        {
            "note": NOTE,
            "env_id": distillate.env_id,
            "pairs": len(distillate),
            "state_mean": distillate.normaliser.mean,
            "state_scale": distillate.normaliser.scale,
            "action_low": distillate.action_bounds.low,
            "action_high": distillate.action_bounds.high,
            "recipe": distillate.recipe,
            "metadata": distillate.metadata,
        }
    )
