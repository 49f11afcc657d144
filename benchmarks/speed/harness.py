"""The timing harness of all speed experiments: alternating programs, medians, and ratios within rounds.

Other load on a machine slows all programs of a round alike, so speed is stated as the median ratio of programs that
ran alternately. Either all programs share a process, or each round starts a process for each of them, on a fixed
number of cores.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.files import ROOT, Workspace
from benchmarks.grid import Cell, Record

Call = Callable[[], float | None]
"""Do some work and wait for it. Return the number of units of work; ``None`` means one."""
Prepare = Callable[[], Call]
"""Allocate and compile for a program, and return the call that is timed."""

HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # as in the Makefile, for fewer page faults


@dataclass(frozen=True)
class Comparison:
    """Programs that are timed alternately.

    Args:
        module: the module that defines the comparison as ``COMPARISON``, for the process that runs a program.
        programs: the programs of a cell by name; only those that run on this platform.
        rounds: number of timed rounds of all programs, after one warm-up round.
        calls: number of timed calls in a separate process; their median is the round's time. 0 means that all
            programs share one process.
        cores: number of cores that a program may use.
        baseline: the program to which ratios refer.
        packages: packages whose versions are recorded.
    """

    module: str
    programs: Callable[[Cell, Workspace], Mapping[str, Prepare]]
    rounds: int
    calls: int = 0
    cores: Callable[[Cell, str], int] = lambda cell, program: 1
    baseline: str | None = None
    packages: tuple[str, ...] = ("jax", "potstill")

    def measure(self, cell: Cell, workspace: Workspace) -> Record:
        """Time the programs of a cell. This is the measuring function of an experiment."""
        names, rounds = list(self.programs(cell, workspace)), 1 if workspace.toy else self.rounds
        if workspace.toy:
            found = [self._run_here(cell, workspace, names, 1)]
        elif self.calls:
            found = [
                {name: self._run_in_process(cell, workspace, [name], self.calls)[name] for name in names}
                for _ in range(rounds)
            ]
        else:
            together = self._run_in_process(cell, workspace, names, rounds)
            found = [{name: measure_round(together[name], i) for name in names} for i in range(rounds)]
        return {
            "programs": {name: self._summarise(name, found) for name in names},
            "rounds": rounds,
            "versions": {name: version(name) for name in self.packages if find_spec(name)},
        }

    def run(self, cell: Cell, workspace: Workspace, names: list[str], calls: int) -> dict[str, Record]:
        """Prepare the programs, call each once, then ``calls`` times in turn; return the seconds of each timed call."""
        calls_of = {name: prepare() for name, prepare in self.programs(cell, workspace).items() if name in names}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        for _ in range(calls + 1):
            for name in names:
                times[name].append(time_call(calls_of[name]))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        return {
            name: {"clock": [c for c, _ in all_[1:]], "processor": [p for _, p in all_[1:]], "peak_gb": peak}
            for name, all_ in times.items()
        }

    def _run_here(self, cell: Cell, workspace: Workspace, names: list[str], calls: int) -> dict[str, Record]:
        return {name: measure_round(entry, None) for name, entry in self.run(cell, workspace, names, calls).items()}

    def _run_in_process(self, cell: Cell, workspace: Workspace, names: list[str], calls: int) -> dict[str, Record]:
        """The same in a separate process, on the last of this process's cores."""
        task = {"cell": cell.key, "runs": str(workspace.runs), "toy": workspace.toy, "names": names, "calls": calls}
        cores = max(self.cores(cell, name) for name in names)
        available = sorted(os.sched_getaffinity(0))
        if cores > len(available):
            raise SystemExit(f"{cell}: expected {cores} cores, this process may use {len(available)}")
        words = [sys.executable, "-m", "benchmarks.speed.harness", self.module, json.dumps(task)]
        with use_cores(available[-cores:]):  # a new process inherits them
            done = subprocess.run(
                words, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **HUGE_PAGES}
            )
        if done.returncode:
            raise SystemExit(f"{cell}: {', '.join(names)} failed:\n{done.stderr}")
        found: dict[str, Record] = json.loads(done.stdout.strip().splitlines()[-1])
        return {name: measure_round(entry, None) for name, entry in found.items()} if self.calls else found

    def _summarise(self, name: str, rounds: list[dict[str, Record]]) -> Record:
        """Medians over rounds, the largest memory, and median ratios to the baseline."""
        found: Record = {kind: statistics.median(r[name][kind] for r in rounds) for kind in ("clock", "processor")}
        found["peak_gb"] = max(r[name]["peak_gb"] for r in rounds)
        if self.baseline in rounds[0]:
            pairs = [(r[name], r[self.baseline]) for r in rounds]
            found["times_faster"] = statistics.median(base["clock"] / own["clock"] for own, base in pairs)
            found["times_as_long"] = statistics.median(own["clock"] / base["clock"] for own, base in pairs)
            found["times_as_long_processor"] = statistics.median(
                own["processor"] / max(base["processor"], 1e-9) for own, base in pairs
            )
        return found


@contextmanager
def use_cores(cores: Iterable[int]) -> Iterator[None]:
    """Restrict the current thread, and the processes that it starts, to these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(cores))
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def measure_round(entry: Record, index: int | None) -> Record:
    """The times of one call, or the median over all calls."""
    pick: Callable[[Any], Any] = statistics.median if index is None else lambda times: times[index]
    return {**entry, "clock": pick(entry["clock"]), "processor": pick(entry["processor"])}


class Stopwatch:
    """Seconds of a ``with`` block: elapsed time, and processor time of this process.

    >>> with Stopwatch() as watch:
    ...     pass
    >>> watch.clock < 1.0
    True
    """

    clock = processor = 0.0

    def __enter__(self) -> Stopwatch:
        gc.collect()
        self._start = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *error: object) -> None:
        self.clock, self.processor = time.perf_counter() - self._start[0], time.process_time() - self._start[1]


def time_call(call: Call) -> tuple[float, float]:
    """Seconds per unit of work: elapsed time, and processor time."""
    with Stopwatch() as watch:
        units = call()
    return watch.clock / (units or 1.0), watch.processor / (units or 1.0)


def repeat(step: Callable[[], None], count: int) -> Call:
    """``count`` units of work, each of them one call of ``step``."""

    def call() -> float:
        for _ in range(count):
            step()
        return float(count)

    return call


def main() -> None:
    """Run the programs of a task in this process and print their times as JSON."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("module")
    parser.add_argument("task", type=json.loads)
    options = parser.parse_args()
    comparison, task = import_module(options.module).COMPARISON, options.task
    key = task["cell"]
    axes = tuple((name, value) for name, value in key.items() if name not in ("method", "file", "seed"))
    cell = Cell(key["method"], key["file"], key["seed"], axes)
    workspace = Workspace(Path(task["runs"]), task["toy"])
    print(json.dumps(comparison.run(cell, workspace, task["names"], task["calls"])))


if __name__ == "__main__":
    main()
