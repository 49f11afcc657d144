"""Mutate files of every kind and read them: each must be read, or refused in one line, within ten seconds.

A process for each kind keeps the files that reach new lines of potstill, and mutates them further. This process
monitors it: a crash or a standstill counts as a failure, and the file that caused it is kept.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

import potstill
from benchmarks.files import ROOT, Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.proofs import damaged
from benchmarks.proofs.content import CONTENT
from benchmarks.proofs.damaged import Kind
from potstill.errors import PotstillError

KINDS = {**damaged.KINDS, **CONTENT}
FILES, TOY_FILES = 100_000, 20  # files of each kind
SLOW = 10.0  # seconds
PATIENCE = 60  # seconds without a new file after which the process stands still
MEMORY = 4 << 30  # limit of the process's memory, in bytes
SOURCE = str(Path(potstill.__file__).parent)
MOST_FAILURES = 20  # failures that are kept for each kind


class Lines:
    """The lines of potstill that have been reached."""

    def __init__(self) -> None:
        self.known: set[tuple[CodeType, int]] = set()
        self.new = False

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        """Trace function for :func:`sys.settrace`. Only potstill is traced line by line."""
        if not frame.f_code.co_filename.startswith(SOURCE):
            return None
        if event == "line" and (frame.f_code, frame.f_lineno) not in self.known:
            self.known.add((frame.f_code, frame.f_lineno))
            self.new = True
        return self.trace


def read(kind: Kind, path: Path, lines: Lines) -> str:
    """Read a file; return ``read``, ``refused``, or a description of the failure."""
    lines.new = False
    started = time.perf_counter()
    sys.settrace(lines.trace)
    try:
        kind.read(path)
        outcome = "read"
    except PotstillError as error:
        outcome = "refused" if str(error) and "\n" not in str(error) else f"more than one line: {error}"
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        outcome = f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"
    finally:
        sys.settrace(None)
    seconds = time.perf_counter() - started
    return f"{seconds:.0f} s" if seconds > SLOW else outcome


def fuzz(name: str, folder: Path, count: int, seed: int) -> None:
    """Mutate and read ``count`` files of a kind; write the outcomes to ``found.json``."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    kind, rng, lines = KINDS[name], np.random.default_rng(seed), Lines()
    path = kind.write(folder)
    corpus = [path.read_bytes()]
    read(kind, path, lines)
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    for number in range(count):
        base = corpus[int(rng.integers(len(corpus)))] if rng.integers(2) else corpus[0]  # others may be refused early
        content = kind.mutate(base, corpus, rng)
        path.write_bytes(content)  # the file is kept if this process dies
        outcome = read(kind, path, lines)
        if lines.new:
            corpus.append(content)
        outcomes[outcome if outcome in ("read", "refused") else "failed"] += 1
        if outcome not in ("read", "refused") and len(failures) < MOST_FAILURES:
            failures.append(outcome[:200])
            (folder / f"failure-{seed}-{number}").write_bytes(content)
    found = {"outcomes": outcomes, "lines": len(lines.known), "corpus": len(corpus), "failures": failures}
    (folder / "found.json").write_text(json.dumps(found))


def find_times(folder: Path) -> Iterator[float]:
    """Yield when each file of a folder changed; files that disappear meanwhile are left out."""
    yield folder.stat().st_mtime
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            yield path.stat().st_mtime


def watch(process: subprocess.Popen[bytes], folder: Path) -> str:
    """Wait for a fuzzing process; return why it ended early, or an empty string.

    Seconds are counted by this process, so that a computer that pauses both processes causes no failure.
    """
    newest, still = 0.0, 0
    while still <= PATIENCE:
        try:
            code = process.wait(1.0)
            return "" if code == 0 else f"ended with {code}"
        except subprocess.TimeoutExpired:
            before, newest = newest, max(find_times(folder))
            still = still + 1 if newest == before else 0
    process.kill()
    process.wait()
    return "stood still"


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Fuzz one kind of file in a process of its own."""
    if importlib.util.find_spec(KINDS[cell.method].package) is None:
        return {"files": 0, "failures": [f"{KINDS[cell.method].package} is not installed"]}
    folder = (workspace.runs / cell.method.replace(" ", "-")).resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    count = TOY_FILES if workspace.toy else FILES
    words = [sys.executable, "-m", __spec__.name, cell.method, str(folder), str(count), str(cell.seed)]
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    with (folder / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            words, cwd=ROOT, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": path}
        )
        ended = watch(process, folder)
    if ended:
        return {"files": count, "failures": [f"{ended}: see {folder}"]}
    return {"files": count, **json.loads((folder / "found.json").read_text())}


def describe_inputs(cell: Cell) -> Record:
    """Return the number of files."""
    return {"files": FILES}


EXPERIMENT = Experiment(
    "fuzz",
    "mutate files of every kind and read them",
    (),
    describe_inputs,
    measure,
    frozenset({"files", "failures"}),
    extra=tuple(Cell(name) for name in KINDS),
    toy=(Cell("npz"),),
)

if __name__ == "__main__":
    fuzz(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
