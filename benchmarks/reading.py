"""How fast D4RL's HDF5 files become transitions: `load_dataset` against h5py reading the same bytes, in turn.

Transitions hold the observations twice, as states and as next states. So beside h5py's own reading stands that
with one copy of the observations, and nothing else: less than that no reader can do that gives arrays.

taskset -c 0 python benchmarks/reading.py
"""

from __future__ import annotations

import gc
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from potstill.data.registry import load_dataset
from potstill.data.suspicions import find_suspicions
from potstill.runtime.run_folder import write_json

ROWS, STATES, ACTIONS, LIMIT, ROUNDS = 1_000_000, 11, 3, 1000, 9
RESULTS = Path(__file__).parent / "results" / "reading.json"


def write_rows(path: Path, **options: Any) -> None:
    """A million rows of Hopper's size; episodes terminate at random or run out of time after 1,000 steps."""
    rng = np.random.default_rng(0)
    lengths = rng.geometric(1 / 400, size=ROWS // 100)
    ends = np.cumsum(np.minimum(lengths, LIMIT)) - 1
    inside = ends < ROWS
    terminals, timeouts = np.zeros(ROWS, bool), np.zeros(ROWS, bool)
    terminals[ends[inside & (lengths <= LIMIT)]] = True
    timeouts[ends[inside & (lengths > LIMIT)]] = True
    columns = {
        "observations": rng.normal(size=(ROWS, STATES)).astype(np.float32),
        "actions": rng.uniform(-1, 1, size=(ROWS, ACTIONS)).astype(np.float32),
        "rewards": rng.normal(size=ROWS).astype(np.float32),
        "terminals": terminals,
        "timeouts": timeouts,
    }
    with h5py.File(path, "w") as file:
        for key, values in columns.items():
            file.create_dataset(key, data=values, **options)


def plain_read(path: Path) -> dict[str, np.ndarray]:
    with h5py.File(path, "r") as file:
        return {key: file[key][()] for key in file}


def read_and_copy(path: Path) -> dict[str, np.ndarray]:
    columns = plain_read(path)
    return columns | {"next_observations": columns["observations"][1:].copy()}


def seconds(work: Callable[[], Any]) -> float:
    gc.collect()
    started = time.perf_counter()
    held = work()
    taken = time.perf_counter() - started
    del held
    return taken


def main() -> None:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, options in (("gzip", {"compression": "gzip"}), ("uncompressed", {})):
            path = Path(folder) / "rows.hdf5"
            write_rows(path, **options)
            programs = {"h5py": plain_read, "h5py and a copy": read_and_copy, "load_dataset": load_dataset}
            rounds = [{key: seconds(lambda: work(path)) for key, work in programs.items()} for _ in range(ROUNDS + 1)]  # noqa: B023
            rounds = rounds[1:]  # the first warms the file's pages up
            found[name] = {
                "seconds": {key: statistics.median(row[key] for row in rounds) for key in programs},
                "times_as_long": {key: statistics.median(row[key] / row["h5py"] for row in rounds) for key in programs},
                "megabytes": path.stat().st_size / 1e6,
            }
        data = load_dataset(path)
        checks = statistics.median(seconds(lambda: find_suspicions(data)) for _ in range(ROUNDS))
    versions = {name: version(name) for name in ("h5py", "numpy")}
    content = {"rows": ROWS, "rounds": ROUNDS, "files": found, "suspicions": checks, "versions": versions}
    write_json(RESULTS, content)
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    RESULTS.parent.mkdir(exist_ok=True)
    main()
