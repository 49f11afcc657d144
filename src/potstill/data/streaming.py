"""Copy datasets that are too large to read at once into potstill's own layout, piece by piece."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from potstill.data.chunks import Range, read_column
from potstill.data.log import FoundEnvironment, Log, Prepared, find_environment, fit_log_units, make_card, prepare
from potstill.data.mapped import write_mapped
from potstill.data.observations import apply_rule
from potstill.data.pairing import NOTHING, pair_in_pieces, pair_own_in_pieces
from potstill.data.registry import ReadOptions, find_limit, open_dataset
from potstill.data.transitions import Transitions
from potstill.data.units import Fit
from potstill.errors import naming_source, warn
from potstill.runtime.files import StrPath

LARGE_BYTES = 1 << 30  # uncompressed size of the columns above which a file is copied piece by piece
ROWS_AT_ONCE = 1 << 18


def copy_if_large(source: StrPath, folder: Path, options: ReadOptions, *, download: bool = False) -> StrPath:
    """Copy ``source`` into ``folder`` if it is a large HDF5 file, of any layout, or if its images are encoded.

    Returns:
        The path to load: ``folder`` after a copy, else ``source``.

    Raises:
        PotstillError: the file is invalid.
    """
    path, encodes = Path(source), options.encoder is not None
    hdf5 = path.suffix.lower() in (".hdf5", ".h5") and os.path.isfile(path)
    if not encodes and not hdf5 and not os.path.isfile(path / "data" / "main_data.hdf5"):
        return source
    with open_dataset(path, options.chosen, download=download) as log:
        if isinstance(log, Transitions) or not (encodes or is_large(log)):
            return source
        rows = apply_rule(log, options.encoder)
        sizes = [(*rows.columns[key].shape, 1)[1] for key in ("observations", "actions")]
    found = find_environment(rows, options.env_id, *sizes)  # no file is open that its errors could name
    folder.mkdir(parents=True)
    with open_dataset(path, options.chosen) as log:
        assert isinstance(log, Log)
        copy_log(apply_rule(log, options.encoder), folder, found, options)
    return folder


def is_large(log: Log) -> bool:
    """Whether the columns of a log that are still on disk are too large to read at once."""
    on_disk = [column for column in log.columns.values() if not isinstance(column, np.ndarray)]
    sizes = [int(np.prod(column.shape, dtype=np.float64)) * column.dtype.itemsize for column in on_disk]
    return sum(sizes) > LARGE_BYTES


def copy_log(log: Log, folder: Path, found: FoundEnvironment, options: ReadOptions) -> None:
    """Write the transitions that :func:`~potstill.data.registry.load_dataset` would return into ``folder``."""
    prepared = prepare(log, find_limit(log, options))
    rows = len(prepared.ends.ends) if prepared.plan is None else len(prepared.plan.terminations)
    seen = _find_range(prepared, log.source)
    fit = fit_log_units(log, seen.low, seen.high, rows, options.units, found, integers=prepared.integers)
    for line in (*prepared.notes, *found.notes, *fit.notes):
        warn(f"{log.name}: {line}")
    write_mapped(
        folder,
        _read_pieces(prepared, fit, log.source),
        rows,
        state_size=prepared.columns["observations"].shape[1],
        bounds=fit.bounds,
        name=log.name,
        env_id=found.env_id,
        card=make_card(log, fit),
    )


def _find_range(prepared: Prepared, source: str) -> Range:
    """Find the range of the actions of the transitions."""
    actions = prepared.columns["actions"]
    seen, dropped = Range(actions.shape[1]), NOTHING if prepared.plan is None else prepared.plan.dropped
    for start in range(0, len(actions), ROWS_AT_ONCE):
        here = dropped[slice(*np.searchsorted(dropped, (start, start + ROWS_AT_ONCE)))] - start
        read = np.asarray(actions[start : start + ROWS_AT_ONCE])
        read_column("actions", read, here, source=source, first=start, check=seen)
    return seen


def _read_pieces(prepared: Prepared, fit: Fit, source: str) -> Iterator[dict[str, np.ndarray]]:
    """Read the transitions piece by piece, with scaled actions."""
    columns, ends, plan, _ = prepared
    if plan is None:
        pieces = pair_own_in_pieces(columns, ends, ROWS_AT_ONCE, source=source)
    else:
        pieces = pair_in_pieces(columns, plan, ROWS_AT_ONCE, source=source)
    for piece in pieces:
        with naming_source(source):
            yield {**piece, "actions": fit(piece["actions"])}
