"""The metadata that every export contains."""

from __future__ import annotations

from collections.abc import Mapping

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


def describe_model(metadata: Mapping[str, object]) -> str:
    """Describe what the students of a distillate imitate."""
    mixture = metadata.get("mixture")
    if isinstance(mixture, Mapping):
        told = "; the last components of the state tell it the task" if mixture.get("task_input") else ""
        return f"the teachers of the {len(mixture['sources'])} distillates that were merged{told}"
    return "the teacher that was trained on all of that dataset" if metadata.get("teacher") else "that dataset"


def describe_sources(metadata: Mapping[str, object]) -> dict[str, str]:
    """Describe each distillate of which a mixture was made, by a label; nothing for any other distillate."""
    mixture = metadata.get("mixture")
    sources = mixture["sources"] if isinstance(mixture, Mapping) else ()
    texts = (f"{one.get('name')}, {one.get('pairs')} pairs, SHA-256 `{one.get('sha256')}`" for one in sources)
    return {f"Source {i}": text for i, text in enumerate(texts)}
