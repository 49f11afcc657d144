"""HDF5 files with a group for each episode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from potstill.data.checks import check_type_and_shape
from potstill.data.columns import GROUPS, TABLES, find_keys
from potstill.data.files import Column, Group, find_dataset
from potstill.data.joined import Joined, SideBySide
from potstill.errors import PotstillError


def find_group(holder: Group, name: str, path: Path) -> Group:
    """Return the group ``name`` of an HDF5 file or group.

    Raises:
        PotstillError: the group is missing, or ``name`` is not a group.
    """
    group = holder.get(name)
    if not isinstance(group, Group):
        raise PotstillError(f"{path}: the group '{name}' is missing")
    return group


def find_group_columns(
    group: Group, roles: Mapping[str, Sequence[str]], path: Path, *, source: str
) -> dict[str, Column]:
    """Find the columns of one episode by role. Nothing is read.

    Args:
        group: the arrays of the episode, which may be in nested groups.
        roles: the names of the arrays for each role; several are joined side by side.
        path: the file.
        source: the file and the episode, for error messages.

    Raises:
        PotstillError: an array is missing, or has a wrong type or shape.
    """
    found: dict[str, Column] = {}
    for role, names in roles.items():
        parts = {name: find_dataset(group, name, path) for name in names}
        column = next(iter(parts.values()))
        named = role in GROUPS and (len(column.shape) != 2 or bool(find_keys(names, role)))
        if len(parts) > 1 or named or (role in TABLES and len(column.shape) == 1):
            column = SideBySide(parts, source=source)
        check_type_and_shape(role, column, source=source)
        found[role] = column
    return found


def join_episodes(episodes: Iterable[Mapping[str, Column]], *, source: str) -> dict[str, Column]:
    """Join the columns of all episodes, and mark the last row of each as its end.

    Raises:
        PotstillError: there are no episodes, or their columns differ in shape.
    """
    parts = list(episodes)
    if not parts:
        raise PotstillError(f"{source}: no episodes")
    if len({part["actions"].dtype.kind in "iub" for part in parts}) > 1:  # joining them would convert all to floats
        raise PotstillError(f"{source}: actions are integers in some episodes, and decimal numbers in others")
    joined: dict[str, Column] = {role: Joined([part[role] for part in parts], role, source=source) for role in parts[0]}
    joined["ends"] = ends = np.zeros(len(joined["actions"]), np.bool_)
    ends[np.cumsum([len(part["actions"]) for part in parts]) - 1] = True
    return joined
