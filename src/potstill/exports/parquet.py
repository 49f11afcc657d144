"""Parquet: one file, or a folder with a dataset card that the Hugging Face Hub accepts as a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from potstill.distillate import Distillate
from potstill.exports.base import ExportFormat
from potstill.exports.card import DATA_FILE, format_card
from potstill.exports.metadata import export_metadata


def write(distillate: Distillate, path: Path) -> None:
    """Write states, actions and any learned weights as columns; metadata as JSON under ``potstill``."""
    if path.suffix == ".parquet":
        _write_table(distillate, path)
        return
    (path / DATA_FILE).parent.mkdir(parents=True)
    _write_table(distillate, path / DATA_FILE)
    (path / "README.md").write_text(format_card(distillate), encoding="utf-8")


def _write_table(distillate: Distillate, path: Path) -> None:
    import pyarrow
    from pyarrow.parquet import write_table

    columns = {"states": _list_column(distillate.states), "actions": _list_column(distillate.actions)}
    if distillate.weights is not None:
        columns["weights"] = pyarrow.array(distillate.weights)
    metadata = {"potstill": json.dumps(export_metadata(distillate))}
    table = pyarrow.table(columns).replace_schema_metadata(metadata)
    write_table(table, path, write_page_checksum=True)


def _list_column(array: np.ndarray) -> object:
    """Make a column in which every row is a list of fixed length."""
    import pyarrow

    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(array.ravel()), array.shape[1])


FORMAT = ExportFormat(write, suffixes=(".parquet",), package="pyarrow", extra="arrow")
