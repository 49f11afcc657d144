"""The metadata that every export contains."""

from __future__ import annotations

from potstill.distillate import Distillate
from potstill.runtime.files import JsonObject, to_json

NOTE = (
    "These are distilled pairs, not trajectories: each row is an episode of one step. "
    "There are no rewards and no next states."
)


def export_metadata(distillate: Distillate) -> JsonObject:
    """Return the normaliser, action bounds, recipe and metadata of a distillate as JSON values."""
    content: JsonObject = to_json(
        {
            "note": NOTE,
            "env_id": distillate.env_id,
            "pairs": len(distillate),
            **distillate.scaling.to_arrays(),
            "recipe": distillate.recipe.to_metadata(),
            "metadata": distillate.metadata,
        }
    )
    return content
