"""Find all faults of a dataset that its reader refuses. The reader itself reports only the first."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from potstill.data.checks import BOUND_TOLERANCE, as_columns, resolve_bounds, scaling_advice
from potstill.data.formats.layouts import REQUIRED, SYNONYMS
from potstill.errors import PotstillError
from potstill.reports.dataset import column_ranges
from potstill.reports.schema import RefusedDataset
from potstill.reports.text import join_names


def refused_statistics(path: Path, refusal: str, action_scale: float = 1.0) -> RefusedDataset | None:
    """Find all faults of a file that its reader refused with the message ``refusal``.

    Returns:
        The faults and the ranges of the columns; ``None`` if no column can be read.
    """
    raw, env_id = raw_columns(path)
    if not raw:
        return None
    if "actions" in raw and raw["actions"].dtype.kind == "f":
        raw["actions"] = raw["actions"] * np.float32(action_scale)
    faults, columns = find_faults(raw, env_id)
    return {
        "kind": "refused dataset",
        "name": path.stem,
        "env_id": env_id,
        "rows": max(map(len, columns.values()), default=0),
        "refusal": refusal,
        "faults": faults or [refusal],
        "columns": [found for key, column in columns.items() for found in column_ranges(key, column)],
    }


def raw_columns(path: Path) -> tuple[dict[str, np.ndarray], str | None]:
    """Read the columns of an ``.hdf5`` or ``.npz`` file and its environment; no columns if it cannot be read."""
    try:
        if path.suffix in (".hdf5", ".h5"):
            import h5py

            with h5py.File(path, "r") as file:
                found = _find_columns(file)
                env_id = file.attrs["env_id"] if isinstance(file.attrs.get("env_id"), str) else None
        elif path.suffix == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                found = _find_columns(archive)
                env_id = str(archive["env_id"]) if "env_id" in archive.files else None
        else:
            return {}, None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):  # the message of the reader names the fault
        return {}, None
    return found, env_id


def _find_columns(holder: Mapping[str, object]) -> dict[str, np.ndarray]:
    """The known columns that a file holds, under any of their names."""
    names = {column: next((n for n in (column, *others) if n in holder), None) for column, others in SYNONYMS.items()}
    return {column: np.asarray(holder[name]) for column, name in names.items() if name is not None}


def find_faults(raw: dict[str, np.ndarray], env_id: str | None) -> tuple[list[str], dict[str, np.ndarray]]:
    """Find all faults of raw columns; return them with the columns that can be read as numbers."""
    faults = [f"no column '{key}'" for key in REQUIRED if key not in raw]
    columns: dict[str, np.ndarray] = {}
    for key, values in raw.items():
        with np.errstate(over="ignore"):  # values too large for float32 become infinite and are reported below
            single = values.astype(np.float32) if values.dtype.kind == "f" else values
        try:
            columns |= as_columns({key: single}, source="its columns")
        except PotstillError as error:
            faults.append(str(error).removeprefix("its columns: "))
    rows = {key: len(column) for key, column in columns.items()}
    if len(set(rows.values())) > 1:
        faults.append(
            "the columns have different numbers of rows: "
            + ", ".join(f"{key} {count:,}" for key, count in rows.items())
        )
    for key, column in columns.items():
        bad = ~np.isfinite(column if column.ndim > 1 else column[:, None])
        if bad.any():
            where = [f"{key}[{index}]" for index in np.flatnonzero(bad.any(axis=0))] if column.ndim > 1 else [key]
            faults.append(
                f"{join_names(where)}: {bad.sum():,} values are NaN or infinite in {bad.any(axis=1).sum():,} of "
                f"{len(column):,} rows, the first in row {int(np.argmax(bad.any(axis=1)))}: repair or remove these rows"
            )
    if "observations" in columns and "actions" in columns:
        faults += _find_bound_faults(columns, env_id)
    return faults, columns


def _find_bound_faults(columns: dict[str, np.ndarray], env_id: str | None) -> list[str]:
    try:
        bounds = resolve_bounds(env_id, columns, source="its columns")
    except PotstillError as error:
        return [str(error).removeprefix("its columns: ")]
    actions = columns["actions"]
    low, high = bounds.low, bounds.high
    outside = (actions < low - BOUND_TOLERANCE) | (actions > high + BOUND_TOLERANCE)
    if not outside.any():
        return []
    where = np.flatnonzero(outside.any(axis=0))
    finite = actions[:, where][np.isfinite(actions[:, where])]
    whose = f"the bounds of {env_id} are" if env_id else "the data do not name an environment, so the bounds are"
    return [
        f"{join_names([f'actions[{index}]' for index in where])} lie in [{finite.min():.4g}, {finite.max():.4g}], but "
        f"{whose} [{low[where].min():g}, {high[where].max():g}]: {outside.any(axis=1).sum():,} of {len(actions):,} "
        f"rows are outside: {scaling_advice(actions, bounds)}"
    ]
