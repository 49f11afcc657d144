"""Find all faults of a dataset that its reader refuses. The reader itself reports only the first."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container
from pathlib import Path

import numpy as np

from potstill.data.archives import open_npz
from potstill.data.bounds import describe_remedies
from potstill.data.checks import as_column, widen_bounds
from potstill.data.columns import REQUIRED, SYNONYMS
from potstill.data.discrete import fit_actions
from potstill.data.files import open_hdf5, read_array, read_attribute
from potstill.data.log import NO_ENVIRONMENT
from potstill.data.registry import ReadOptions
from potstill.data.transitions import COLUMNS
from potstill.data.units import Units, find_environment_bounds, mark_outside
from potstill.environments.making import find_plain_id
from potstill.errors import PotstillError
from potstill.reports.dataset import find_column_ranges
from potstill.reports.schema import RefusedDataset
from potstill.reports.text import join_names


def summarise_refused(path: Path, refusal: str, options: ReadOptions | None = None) -> RefusedDataset | None:
    """Find all faults of a file that its reader refused with the message ``refusal``.

    Returns:
        The faults and the ranges of the columns; ``None`` if no column can be read.
    """
    options = options or ReadOptions.of()
    if options.chosen:
        return None
    raw, env_id = read_raw_columns(path)
    if not raw:
        return None
    usable = None if options.env_id == NO_ENVIRONMENT else options.env_id
    if options.env_id is None and env_id is not None:
        with contextlib.suppress(PotstillError):  # the file must not choose a module that is imported
            usable = find_plain_id(env_id)
    env_id = env_id if options.env_id is None else options.env_id
    faults, columns = find_faults(raw, usable, options.units)
    return {
        "kind": "refused dataset",
        "name": path.stem,
        "env_id": env_id,
        "rows": max(map(len, columns.values()), default=0),
        "refusal": refusal,
        "faults": faults or [refusal],
        "columns": [
            found for key, column in columns.items() if column.size for found in find_column_ranges(key, column)
        ],
    }


def read_raw_columns(path: Path) -> tuple[dict[str, np.ndarray], str | None]:
    """Read the columns of an ``.hdf5`` or ``.npz`` file and its environment; no columns if it cannot be read.

    The files are opened by the functions of the readers, so content that readers refuse as unsafe is not read.
    """
    try:
        if path.suffix in (".hdf5", ".h5"):
            with open_hdf5(path) as file:
                env_id = read_attribute(file, "env_id")
                return _find_columns(file, lambda name: read_array(file, name, path)), _keep_text(env_id)
        if path.suffix == ".npz":
            with open_npz(path) as archive:
                env_id = str(archive["env_id"]) if "env_id" in archive else None
                return _find_columns(archive, archive.__getitem__), env_id
    except PotstillError:  # the message of the reader states the fault
        return {}, None
    return {}, None


def _keep_text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _find_columns(names: Container[str], read: Callable[[str], np.ndarray]) -> dict[str, np.ndarray]:
    """Read the known columns of a file, under any of their names."""
    found = {role: next((name for name in (role, *SYNONYMS[role]) if name in names), None) for role in COLUMNS}
    return {role: read(name) for role, name in found.items() if name is not None}


def find_faults(
    raw: dict[str, np.ndarray], env_id: str | None, units: Units
) -> tuple[list[str], dict[str, np.ndarray]]:
    """Find all faults of raw columns; return them with the columns that can be read as numbers."""
    faults = [f"no column '{key}'" for key in REQUIRED if key not in raw]
    columns: dict[str, np.ndarray] = {}
    for key, values in raw.items():
        with np.errstate(over="ignore"):  # values too large for float32 become infinite and are reported below
            single = values.astype(np.float32) if values.dtype.kind == "f" else values
        try:
            columns[key] = as_column(key, single, source="its columns")
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
        integers = raw["actions"].dtype.kind in "iub"
        faults += _find_bound_faults(columns, env_id, units, integers=integers)
    return faults, columns


def _find_bound_faults(
    columns: dict[str, np.ndarray], env_id: str | None, units: Units, *, integers: bool
) -> list[str]:
    actions, size = columns["actions"], columns["observations"].shape[1]
    finite = np.where(np.isfinite(actions), actions, np.nan)
    if not np.isfinite(actions).any(axis=0).all():
        return []
    low, high = np.nanmin(finite, axis=0), np.nanmax(finite, axis=0)
    try:
        known = None if env_id is None else find_environment_bounds(env_id, size, len(low), source="its columns")
        fit = fit_actions(
            low,
            high,
            units,
            rows=len(actions),
            stated=None,
            environment=known,
            env_id=env_id,
            unit=False,
            integers=integers,
            source="its columns",
        )
    except PotstillError as error:
        return [str(error).removeprefix("its columns: ")]
    if fit.inside:
        return []
    bounds, actions, low, high = fit.bounds, actions * fit.factor, low * fit.factor, high * fit.factor
    wrong = np.flatnonzero(mark_outside(low, high, bounds))
    lowest, highest = widen_bounds(bounds)
    rows = ((actions < lowest) | (actions > highest)).any(axis=1).sum()
    return [
        f"{join_names([f'actions[{index}]' for index in wrong])} lie in [{low[wrong].min():.4g}, "
        f"{high[wrong].max():.4g}], but the bounds of {env_id or 'the options'} are [{bounds.low[wrong].min():g}, "
        f"{bounds.high[wrong].max():g}]: {rows:,} of {len(actions):,} rows are outside: {describe_remedies(low, high)}"
    ]
