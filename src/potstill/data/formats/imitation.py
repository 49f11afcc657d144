"""Trajectories of the library imitation: ``.npz`` archives, and folders of Hugging Face's ``datasets``.

A trajectory has one more observation (``obs``) than actions (``acts``). ``rews`` may be missing. ``terminal`` marks
complete episodes, but does not distinguish terminations from time-outs. ``infos`` are pickles and are never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data.columns import Chosen
from potstill.data.files import Column, reading
from potstill.data.formats.arrow import check_sizes
from potstill.data.formats.parquet import require_pyarrow
from potstill.data.formats.tables import describe_unclear_ends
from potstill.data.log import Log
from potstill.errors import PotstillError, name_option
from potstill.runtime.files import read_json

NAMES = {"obs", "acts", "terminal", "indices"}
LISTS = ("obs", "acts", "rews")
AS_TERMINATIONS: Chosen = {"terminations": ("terminal",)}


def log_of_archive(archive: Mapping[str, np.ndarray], chosen: Chosen, *, source: str, name: str) -> Log:
    """Make a log of an ``.npz`` archive, in which ``indices`` are the first rows of all trajectories but the first.

    Raises:
        PotstillError: the shapes of the arrays do not match.
    """
    obs, acts, cuts = archive["obs"], archive["acts"], archive["indices"]
    if cuts.ndim != 1 or cuts.dtype.kind not in "iu" or (np.diff(cuts, prepend=0, append=len(acts)) <= 0).any():
        raise PotstillError(f"{source}: indices are not increasing rows of acts")
    last, terminal = np.append(cuts, len(acts)) - 1, archive["terminal"] if chosen else None
    return _log(obs, acts, archive.get("rews"), last, terminal, source=source, name=name)


def _log(
    obs: np.ndarray,
    acts: np.ndarray,
    rews: np.ndarray | None,
    last: np.ndarray,
    terminal: np.ndarray | None,
    *,
    source: str,
    name: str,
) -> Log:
    columns: dict[str, Column] = {"observations": obs, "actions": acts} | ({} if rews is None else {"rewards": rews})
    if not len(acts) or len(obs) != len(acts) + len(last):
        raise PotstillError(
            f"{source}: {len(obs)} observations and {len(acts)} actions in {len(last)} trajectories: expected one "
            "observation more in each"
        )
    columns["ends"] = ends = np.zeros(len(acts), np.bool_)
    ends[last] = True
    if terminal is not None:
        if terminal.shape != last.shape or terminal.dtype.kind != "b":
            raise PotstillError(f"{source}: 'terminal' is not one flag for each trajectory")
        columns["terminations"] = flags = np.zeros(len(acts), np.bool_)
        flags[last] = terminal
    return Log(
        columns,
        source,
        name,
        card={"source": "imitation"},
        notes=(describe_unclear_ends("terminal"),) if terminal is None else (),
    )


def read_trajectories(path: Path, chosen: Chosen) -> Log:
    """Read a folder that ``imitation.data.serialize.save`` wrote, with one trajectory in each row of an Arrow file.

    Args:
        path: the folder.
        chosen: empty, or ``terminal`` as terminations.

    Raises:
        PotstillError: the folder is damaged, or holds another kind of dataset.
    """
    if chosen not in ({}, AS_TERMINATIONS):
        raise PotstillError(
            f"{path}: {name_option('columns')}: imitation's columns are fixed, except terminations=terminal"
        )
    pyarrow = require_pyarrow()
    with reading(path / "state.json", "the state of a dataset"):
        files = [path / str(entry["filename"]) for entry in read_json(path / "state.json")["_data_files"]]
        if any(file.parent != path for file in files):
            raise PotstillError(f"{path}: state.json lists a file outside the folder")
    tables = []
    for file in files:
        with reading(file, "an Arrow file"):
            check_sizes(file, pyarrow)
        with reading(file, "an Arrow file"), pyarrow.memory_map(str(file)) as content:
            table = pyarrow.ipc.open_stream(content).read_all()
            missing = [key for key in ("obs", "acts", "terminal") if key not in table.column_names]
            if missing:
                raise PotstillError(f"{path}: no column '{missing[0]}', as imitation's trajectories have it")
            tables.append(table.select([key for key in (*LISTS, "terminal") if key in table.column_names]))
    with reading(path, "a folder of trajectories"):
        table = pyarrow.concat_tables(tables)
        arrays = {key: _flatten(table[key], f"{path}: '{key}'") for key in LISTS if key in table.column_names}
        terminal = np.asarray(table["terminal"]) if chosen else None
    (obs, _), (acts, lengths) = arrays["obs"], arrays["acts"]
    if (arrays["obs"][1] != lengths + 1).any() or (lengths < 1).any():
        raise PotstillError(f"{path}: a trajectory must have one observation more than actions")
    rews = arrays["rews"][0] if "rews" in arrays else None
    return _log(obs, acts, rews, np.cumsum(lengths) - 1, terminal, source=str(path), name=path.name)


def _flatten(column: Any, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Join the lists of all rows; return the values of all steps, and the number of steps in each row."""
    import pyarrow.compute as pc

    joined = column.combine_chunks()
    lengths = np.asarray(pc.list_value_length(joined))
    values = pc.list_flatten(joined)
    if not (hasattr(values.type, "value_type")):
        return np.asarray(values), lengths
    widths = pc.unique(pc.list_value_length(values)).to_pylist()
    if len(widths) != 1 or not widths[0]:
        raise PotstillError(f"{what} holds lists of different lengths")
    return np.asarray(pc.list_flatten(values)).reshape(-1, widths[0]), lengths
