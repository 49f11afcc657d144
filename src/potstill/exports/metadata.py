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


def describe_source(distillate: Distillate) -> dict[str, str]:
    """Describe what a distillate was made with, as facts by their labels."""
    metadata, privacy = distillate.metadata, distillate.metadata.get("privacy")
    return {
        "Environment": distillate.env_id or "none",
        **({} if distillate.rule is None else {"States": distillate.rule.describe()}),
        "Dataset": _describe_origin(metadata["dataset"]),
        "Teacher": _describe_origin(metadata["teacher"]) if metadata.get("teacher") else "none",
        "Objective": metadata["objective"],
        "Weighting": metadata.get("weighting", "not recorded"),
        "Solver": metadata["solver"],
        "Student recipe": metadata["recipe"],
        **({"Privacy": join_lines(privacy.get("statement"))} if isinstance(privacy, Mapping) else {}),
        "potstill": metadata["potstill"],
        **describe_sources(metadata),
    }


def find_name(source: object) -> str:
    """Find the name of a dataset or a teacher."""
    if isinstance(source, dict):
        source = source.get("name") or source.get("algorithm") or "unnamed"
    return join_lines(source)


def _describe_origin(source: object) -> str:
    """Describe a dataset or a teacher: its name, its number of rows or updates, and its hash."""
    words = [find_name(source)]
    if isinstance(source, dict):
        words += [f"{source[key]:,} {key}" for key in ("rows", "updates") if isinstance(source.get(key), int)]
        words += [f"SHA-256 `{source['sha256']}`"] if "sha256" in source else []
    return ", ".join(words)


def join_lines(text: object) -> str:
    """Join the lines of a text."""
    return " ".join(str(text).split())
