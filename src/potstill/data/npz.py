"""``.npz`` files: plain NumPy archives with named columns."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data.checks import as_columns, resolve_bounds
from potstill.data.d4rl import qlearning_rows
from potstill.errors import PotstillError
from potstill.types import Transitions

ALIASES = {"terminals": "terminations", "timeouts": "truncations"}
PAIRED = ("observations", "actions", "rewards", "next_observations", "terminations")
ROWS = ("observations", "actions", "rewards", "terminals")


def read_npz(path: Path) -> Transitions:
    """Read an ``.npz`` archive in either of two layouts.

    With ``next_observations``: one transition a row, with ``terminations`` (or ``terminals``) and, if
    there, ``truncations`` (or ``timeouts``). Without: rows in order, paired as in a D4RL file.
    An ``env_id`` string is read if present. Object arrays are refused: nothing is unpickled.

    Raises:
        PotstillError: not an archive, a column missing, unequal rows, or bad values.
    """
    if not zipfile.is_zipfile(path):
        raise PotstillError(f"{path}: damaged or not an .npz archive")
    try:
        with np.load(path, allow_pickle=False) as archive:
            raw = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, KeyError) as error:
        why = "object arrays are not read" if "pickle" in str(error) else "damaged or not an .npz archive"
        raise PotstillError(f"{path}: {why}") from None
    env_id = str(raw.pop("env_id")) if "env_id" in raw else None
    paired = "next_observations" in raw
    wanted = PAIRED if paired else ROWS
    for old, new in ALIASES.items():
        if paired and old in raw:
            raw[new] = raw.pop(old)
        elif not paired and new in raw:
            raw[old] = raw.pop(new)
    missing = [key for key in wanted if key not in raw]
    if missing:
        raise PotstillError(f"{path}: no array '{missing[0]}' (it has {', '.join(sorted(raw))})")
    optional = ["truncations"] if paired else ["timeouts"]
    columns = as_columns({k: raw[k] for k in (*wanted, *optional) if k in raw}, source=str(path))
    low, high = resolve_bounds(env_id, columns, source=str(path))
    if paired:
        columns.setdefault("truncations", _broken(columns))
    else:
        columns = qlearning_rows(columns, source=str(path))
    papers: dict[str, Any] = {"action_low": low, "action_high": high, "name": path.stem, "env_id": env_id}
    return Transitions(**{**columns, **papers})


def _broken(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Rows whose next state is not the next row's state: where an episode must have been cut."""
    follows = np.all(columns["next_observations"][:-1] == columns["observations"][1:], axis=1)
    return np.append(~follows, True) & ~columns["terminations"]
