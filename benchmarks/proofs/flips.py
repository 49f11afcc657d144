"""Truncate files of every kind at positions of every class, and flip bits there.

A reader must refuse the file in one line, or read the same content; files without a checksum may have other content. It
must raise no other error, and take at most ten seconds.
"""

from __future__ import annotations

import importlib.util
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Iterator

import numpy as np

from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.proofs.damaged import KINDS
from potstill.errors import PotstillError

COUNT, TOY_COUNT = 40, 2  # positions of each class
SLOW = 10.0  # seconds


def list_classes(size: int) -> dict[str, tuple[int, int]]:
    """List the classes of positions in a file, each with its first and last byte."""
    return {
        "first bytes": (0, min(8, size)),
        "header": (min(8, size - 1), max(9, size // 8)),
        "middle": (size // 8, max(size // 8 + 1, size - 64)),
        "last bytes": (max(0, size - 64), size),
    }


def iterate_damaged(content: bytes, count: int, rng: np.random.Generator) -> Iterator[tuple[str, bytes]]:
    """Yield truncated and flipped versions of a file, each with a description of the damage."""
    for name, (low, high) in list_classes(len(content)).items():
        for position in rng.integers(low, high, count).tolist():
            yield f"{name}: truncated at {position}", content[:position]
        for position in rng.integers(low, high, count).tolist():
            bit = int(rng.integers(8))
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            yield f"{name}: bit {bit} of byte {position}", bytes(flipped)


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Damage one kind of file."""
    kind = KINDS[cell.method]
    folder = workspace.runs / cell.method.replace(" ", "-")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = kind.write(folder)
    content, wanted = path.read_bytes(), kind.read(path)
    counts: Counter[str] = Counter()
    failures = []
    for what, bytes_ in iterate_damaged(
        content, TOY_COUNT if workspace.toy else COUNT, np.random.default_rng(cell.seed)
    ):
        path.write_bytes(bytes_)
        started = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                outcome = "same" if kind.read(path) == wanted else "different"
        except PotstillError as error:
            outcome = "refused" if str(error) and "\n" not in str(error) else "more than one line"
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"[:100]
        if time.perf_counter() - started > SLOW:
            outcome = "slow"
        counts[outcome if outcome in ("same", "different", "refused") else "raised"] += 1
        if outcome not in ("same", "refused") and (kind.checked or outcome != "different"):
            failures.append(f"{what}: {outcome}")
    return {"checked": kind.checked, "outcomes": dict(sorted(counts.items())), "failures": failures}


def describe_inputs(cell: Cell) -> Record:
    """Return the number of positions of each class."""
    return {"count": COUNT}


EXPERIMENT = Experiment(
    "flips",
    "truncate files of every kind, and flip their bits",
    tuple(Cell(name) for name in KINDS),
    describe_inputs,
    measure,
    frozenset({"outcomes", "failures"}),
    toy=tuple(Cell(name) for name, kind in KINDS.items() if importlib.util.find_spec(kind.package)),
)
