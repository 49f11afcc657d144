"""Parquet: one file, or a folder that the Hugging Face Hub takes as a dataset, with its card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from potstill.distillate import Distillate
from potstill.exports.card import DATA_FILE, card
from potstill.exports.papers import papers


def write(distillate: Distillate, path: Path) -> None:
    """Write columns ``states``, ``actions``, learned ``weights`` if any; the papers are JSON in its metadata."""
    if path.suffix == ".parquet":
        _write_table(distillate, path)
        return
    (path / DATA_FILE).parent.mkdir(parents=True)
    _write_table(distillate, path / DATA_FILE)
    (path / "README.md").write_text(card(distillate), encoding="utf-8")


def _write_table(distillate: Distillate, path: Path) -> None:
    import pyarrow
    from pyarrow.parquet import write_table

    columns = {"states": _rows(distillate.states), "actions": _rows(distillate.actions)}
    if distillate.weights is not None:
        columns["weights"] = pyarrow.array(distillate.weights)
    metadata = {"potstill": json.dumps(papers(distillate))}
    write_table(pyarrow.table(columns).replace_schema_metadata(metadata), path)


def _rows(array: np.ndarray) -> Any:
    """A column whose rows are lists of one known length."""
    import pyarrow

    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(array.ravel()), array.shape[1])
