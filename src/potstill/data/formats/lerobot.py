"""LeRobot's datasets, versions 2 and 3: a folder with ``meta/info.json`` and Parquet files below ``data``.

A row is a frame with ``observation.state`` and other observations, ``action``, ``episode_index``, ``frame_index`` and,
in some datasets, ``next.reward`` and ``next.done``. Version 2 has a file for each episode. Videos and images are not
read.
"""

from __future__ import annotations

from pathlib import Path

from potstill.data.columns import Chosen, split_numbers
from potstill.data.files import reading
from potstill.data.formats.parquet import read_parquet_files
from potstill.data.log import Log
from potstill.errors import PotstillError
from potstill.runtime.files import JsonMapping, read_json

INFO = "meta/info.json"


def read_lerobot(path: Path, chosen: Chosen) -> Log:
    """Read a LeRobot dataset. All observations that are vectors are joined.

    Args:
        path: the folder.
        chosen: columns that the user chose, such as ``observations=observation.state``.

    Raises:
        PotstillError: the folder is of another version, a file is missing or damaged, or frames are out of order.
    """
    info = read_json(path / INFO)
    version, features, frames = (info.get(key) for key in ("codebase_version", "features", "total_frames"))
    if not str(version).startswith(("v2.", "v3.")):
        raise PotstillError(f"{path}: LeRobot's version {version}, expected v2.0, v2.1 or v3.0")
    if not isinstance(features, dict):
        raise PotstillError(f"{path / INFO}: has no features")
    roles, left = _find_roles(features, path)
    files = sorted((path / "data").glob("**/*.parquet"), key=lambda file: split_numbers(str(file)))
    if not files:
        raise PotstillError(f"{path}: no .parquet file below {path / 'data'}")
    with reading(path, "a LeRobot dataset"):
        log = read_parquet_files(files, {**roles, **chosen}, path)
    rows = len(log.columns["actions"])
    if frames != rows:
        raise PotstillError(f"{path}: {rows} frames, but {INFO} has total_frames {frames}")
    notes = (f"observations that are not vectors are left out: {', '.join(left)}",) if left else ()
    return Log(log.columns, str(path), path.name, card={"source": "lerobot", **log.card}, notes=(*notes, *log.notes))


def _find_roles(features: JsonMapping, path: Path) -> tuple[Chosen, list[str]]:
    """Find the columns of the observations, and the observations that are left out because they are not vectors."""
    flat: list[str] = []
    left: list[str] = []
    for name, feature in features.items():
        if name.startswith("observation."):
            shape, kind = (feature.get(key) if isinstance(feature, dict) else None for key in ("shape", "dtype"))
            vector = isinstance(shape, list) and len(shape) == 1 and str(kind).startswith(("float", "int"))
            (flat if vector else left).append(name)
    if not flat:
        raise PotstillError(f"{path}: no feature 'observation.…' is a vector of numbers (it has {', '.join(features)})")
    return {"observations": tuple(flat), "episodes": ("episode_index",), "frames": ("frame_index",)}, left
