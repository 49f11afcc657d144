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
PUBLISHED = ROOT.parent / "shared" / "teachers" / "corl-cal-ql"  # the paper's teachers; no licence: never shipped

BUNDLED = "bundled"
"""The bundled dataset, ``hopper-medium-replay``. One of the nine files has the same name."""
BUNDLED_NAME = "hopper-medium-replay"
LEVELS = ("medium-replay", "medium", "medium-expert")
FILES = tuple(f"{body}-{level}" for level in LEVELS for body in ("hopper", "halfcheetah", "walker2d"))


def read_weights_index() -> list[dict[str, Any]]:
    """Read ``results/weights.jsonl``: file, use (``fixed`` or ``highest-return``), weights, hash and origin."""
    return [json.loads(line) for line in (RESULTS / "weights.jsonl").read_text().splitlines()]


@functools.cache
def find_teacher_entry(file: str, use: str) -> dict[str, Any]:
    """Find the index entry of the teacher of one of the nine files."""
    return next(entry for entry in read_weights_index() if (entry["file"], entry["use"]) == (file, use))


def find_teacher_hash(file: str, use: str = "fixed") -> str:
    """Find the SHA-256 of a file's teacher; ``bundled`` for that of the bundled dataset, which is in the package."""
    return BUNDLED if file == BUNDLED else str(find_teacher_entry(file, use)["sha256"])


@dataclass(frozen=True)
class Workspace:
    """The paths of an experiment's data, teachers and run folders.

    At toy size, all cells use the dataset and the teacher of :mod:`benchmarks.toy`.
    """

    runs: Path
    toy: bool = False
    """Whether the run has toy size."""

    def find_dataset(self, file: str) -> Path | str:
        """Find the path or name of a dataset, for potstill's commands."""
        if self.toy:
            return toy.ensure_files(self.runs)["dataset"]
        return BUNDLED_NAME if file == BUNDLED else DATASETS / f"{file}.hdf5"

    def find_teacher(self, file: str, use: str = "fixed") -> Path:
        """Find the weights of a file's teacher."""
        if self.toy:
            return toy.ensure_files(self.runs)["teacher"]
        if file == BUNDLED:
            return BUNDLED_FOLDER / f"{BUNDLED_NAME}.teacher.safetensors"
        return WEIGHTS / str(find_teacher_entry(file, use)["weights"])

    def find_published_teacher(self, file: str) -> Path:
        """Find the teacher that the paper's authors trained for the D4RL dataset with the name of a file."""
        return self.find_teacher(file) if self.toy else PUBLISHED / f"{file}-v2.safetensors"

    def find_folder(self, *names: object) -> Path:
        """Make the path of a run folder from the parts of a cell."""
        words = "-".join(str(name) for name in names if name != "")
        return self.runs / words.replace(", ", "-").replace(" ", "-").replace("(", "").replace(")", "")
