"""Paths of the datasets, the teachers' weights, the results and the run folders."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import toy
from potstill.bundled import BUNDLED as BUNDLED_FOLDER

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"
WEIGHTS = RESULTS / "weights"
RUNS = ROOT / "runs" / "benchmarks"
DATASETS = ROOT.parent / "shared" / "datasets"

BUNDLED = "bundled"
"""The dataset that comes with potstill, ``hopper-medium-replay``. One of the nine files has the same name."""
BUNDLED_NAME = "hopper-medium-replay"
LEVELS = ("medium-replay", "medium", "medium-expert")
FILES = tuple(f"{body}-{level}" for level in LEVELS for body in ("hopper", "halfcheetah", "walker2d"))


def read_weights_index() -> list[dict[str, Any]]:
    """The entries of ``results/weights.jsonl``: file, use (``fixed`` or ``highest-return``), weights, hash, origin."""
    return [json.loads(line) for line in (RESULTS / "weights.jsonl").read_text().splitlines()]


@functools.cache
def find_teacher_entry(file: str, use: str) -> dict[str, Any]:
    """The entry of one of the nine files' teachers in the index."""
    return next(entry for entry in read_weights_index() if (entry["file"], entry["use"]) == (file, use))


def find_teacher_hash(file: str, use: str = "fixed") -> str:
    """The SHA-256 of a file's teacher. The bundled dataset has one teacher, which is in the package."""
    return BUNDLED if file == BUNDLED else str(find_teacher_entry(file, use)["sha256"])


@dataclass(frozen=True)
class Workspace:
    """The paths of an experiment's data, teachers and run folders.

    At toy size, every dataset and every teacher is that of :mod:`benchmarks.toy`.
    """

    runs: Path
    toy: bool = False
    """Toy size."""

    def find_dataset(self, file: str) -> Path | str:
        """The argument of potstill's commands that names a dataset."""
        if self.toy:
            return toy.ensure_files(self.runs)["dataset"]
        return BUNDLED_NAME if file == BUNDLED else DATASETS / f"{file}.hdf5"

    def find_teacher(self, file: str, use: str = "fixed") -> Path:
        """The weights of a file's teacher."""
        if self.toy:
            return toy.ensure_files(self.runs)["teacher"]
        if file == BUNDLED:
            return BUNDLED_FOLDER / f"{BUNDLED_NAME}.teacher.safetensors"
        return WEIGHTS / str(find_teacher_entry(file, use)["weights"])

    def find_folder(self, *names: object) -> Path:
        """The path of a run folder, named by the parts of a cell."""
        words = "-".join(str(name) for name in names if name != "")
        return self.runs / words.replace(", ", "-").replace(" ", "-").replace("(", "").replace(")", "")
