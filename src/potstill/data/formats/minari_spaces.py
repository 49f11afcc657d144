"""The spaces of observations and actions in the metadata of Minari datasets."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.data.bounds import ActionBounds, DiscreteActions
from potstill.errors import PotstillError, name_option
from potstill.runtime.files import JsonMapping


def read_whole_number(metadata: JsonMapping, key: str) -> int:
    """Read a whole number in the metadata.

    Raises:
        PotstillError: the value is something else.
    """
    value = metadata[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise PotstillError(f"{key} is {str(value)[:40]}, expected a whole number")
    return value


def check_space(space: JsonMapping, path: Path) -> None:
    """Check that actions are a one-dimensional box, or a finite set numbered from 0.

    Raises:
        PotstillError: the space is something else.
    """
    kind = space.get("type", "Box")
    if kind == "Discrete":
        if space.get("start", 0) != 0:
            raise PotstillError(f"{path} has actions numbered from {space['start']}: expected numbers from 0")
        return
    if kind != "Box" or len(space.get("shape", [1])) != 1:
        raise PotstillError(f"{path}: actions of space {kind}{space.get('shape', '')}: expected a one-dimensional Box")


def list_observations(space: JsonMapping, path: Path, name: str = "observations") -> tuple[str, ...]:
    """List the arrays of an observation: the boxes of nested dictionaries, in alphabetical order of their keys.

    Raises:
        PotstillError: a space in it is not a box.
    """
    kind = space.get("type", "Box")
    if kind == "Dict" and isinstance(space.get("subspaces"), dict) and space["subspaces"]:
        inner = sorted(space["subspaces"].items())
        return tuple(found for key, part in inner for found in list_observations(part, path, f"{name}/{key}"))
    if kind != "Box":
        raise PotstillError(
            f"{path}: {name} of space {kind}: expected a Box or a Dict of boxes. Choose parts: "
            f"{name_option('columns', 'observations=observations/NAME+observations/NAME')}"
        )
    return (name,)


def read_bounds(space: JsonMapping) -> ActionBounds | None:
    """Read the bounds of an action space, or its finite set; ``None`` if the bounds are infinite."""
    if not space:
        return None
    if space.get("type") == "Discrete":
        return DiscreteActions(read_whole_number(space, "n"))
    low, high = (np.broadcast_to(np.array(space[key], np.float32), space["shape"]) for key in ("low", "high"))
    return ActionBounds(low, high) if np.isfinite([low, high]).all() else None
