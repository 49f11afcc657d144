"""robomimic's HDF5 files, with a group ``data/demo_0`` and so on for each demonstration.

Each group has ``actions``, usually ``rewards`` and ``dones``, and groups ``obs`` and, usually, ``next_obs`` with
observations by name. ``dones`` mark where an episode should terminate. Actions lie in [−1, 1].
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.data.bounds import ActionBounds
from potstill.data.columns import Chosen, expand_names
from potstill.data.files import Column, Group, find_dataset, list_datasets
from potstill.data.formats.groups import find_group, find_group_columns, join_episodes
from potstill.data.log import Log
from potstill.errors import PotstillError, name_option

ROLES = {"actions": "actions", "rewards": "rewards", "terminations": "dones"}


def read_robomimic(file: Group, path: Path, chosen: Chosen) -> Log:
    """Find the columns of a robomimic file. All observations but images are joined, in alphabetical order.

    Args:
        file: the open file.
        path: its path.
        chosen: columns that the user chose, such as ``observations=obs/object+obs/robot0_eef_pos``.

    Raises:
        PotstillError: there are no demonstrations, an array is missing, or columns are of unequal length.
    """
    data = find_group(file, "data", path)
    names = sorted((name for name in data if name.startswith("demo_")), key=_read_number)
    demos = {name: find_group(data, name, path) for name in names}
    roles, notes = _find_roles(next(iter(demos.values())), chosen, path)
    columns = join_episodes(
        [find_group_columns(demo, roles, path, source=f"{path}, {name}") for name, demo in demos.items()],
        source=str(path),
    )
    notes = (*notes, *_compare_total(data.attrs.get("total"), len(columns["actions"])))
    card: dict[str, object] = {"source": "robomimic", "columns": {k: "+".join(v) for k, v in roles.items()}}
    return Log(columns, str(path), path.stem, bounds=_find_bounds(columns["actions"]), card=card, notes=notes)


def _compare_total(total: object, rows: int) -> list[str]:
    """Note that the file states another number of rows: demonstrations were probably lost in a copy."""
    if not isinstance(total, int | float | np.integer | np.floating) or total == rows:
        return []
    return [f"the attribute total of 'data' is {total:g}, but there are {rows} rows: are demonstrations missing?"]


def _find_bounds(actions: Column) -> ActionBounds | None:
    """Return bounds of ±1 if the actions lie inside, else ``None``: absolute actions may exceed them."""
    values = np.asarray(actions)
    return ActionBounds.unit(values.shape[1]) if np.abs(values).max(initial=0.0) <= 1.0 else None


def _read_number(name: str) -> int:
    digits = name.removeprefix("demo_")
    return int(digits) if digits.isdecimal() else -1


def _find_roles(demo: Group, chosen: Chosen, path: Path) -> tuple[dict[str, list[str]], tuple[str, ...]]:
    """Find the names of each role in a demonstration; return them with a note on observations that are left out."""
    names = sorted(list_datasets(demo))
    roles = {role: [name] for role, name in ROLES.items() if name in names}
    seen = [name for name in names if name.startswith("obs/")]
    flat = [name for name in seen if len(find_dataset(demo, name, path, counted=False).shape) <= 2]
    left = [name for name in seen if name not in flat]
    roles |= {"observations": flat} | {
        role: list(expand_names(parts, names, source=str(path))) for role, parts in chosen.items()
    }
    after = [f"next_{name}" for name in roles["observations"]]
    if "next_observations" not in chosen and all(name in names for name in after):
        roles["next_observations"] = after
    for role in ("observations", "actions"):
        if not roles.get(role):
            example = name_option("columns", f"{role}=NAME+NAME")
            raise PotstillError(f"{path}: no {role} (it has {', '.join(names)}). Name them: {example}")
    note = f"observations with more than one axis are left out: {', '.join(left)}" if left and not chosen else ""
    return {role: parts for role, parts in roles.items() if parts}, (note,) if note else ()
