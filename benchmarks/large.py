"""50 million rows: the memory of `teach` and `distill`, and the time of a step against 100,000 rows in memory.

    python benchmarks/large.py make             # 5.4 GB under runs/, some minutes
    python benchmarks/large.py memory           # peaks of `potstill teach` and `potstill distill`
    python benchmarks/large.py teach distill    # milliseconds of a step; rounds add up in the result file
    python benchmarks/large.py layout           # reading random rows: records against a file for each column

The rows come from a simulated linear system with Hopper's sizes. `own` memory is what a process allocated
(RssAnon), `total` also counts the pages of files that it has mapped at the time (VmHWM): the system takes those
back when it needs them. Steps on the two datasets are timed in turn in one process.
"""

from __future__ import annotations

import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from apart import HUGE_PAGES

from potstill.data.blocks import advise
from potstill.data.mapped import ROWS, write_mapped
from potstill.data.registry import load_dataset
from potstill.data.split import training_rows
from potstill.data.transitions import COLUMNS
from potstill.runtime.run_folder import write_json
from potstill.teachers.registry import find_teacher

ROWS_LARGE, ROWS_SMALL, STATES, ACTIONS, STEPS = 50_000_000, 100_000, 11, 3, 1000
EPISODES = 500  # that are simulated side by side
RUNS = Path(__file__).parents[1] / "runs" / "large"
LARGE, SMALL = RUNS / "mapped", RUNS / "memory.npz"
RESULTS = Path(__file__).parent / "results" / "large.json"
COMMANDS = {
    "teach": "--updates 200 --evaluate-every 200 --fitted-updates 20",
    "distill": f"--teacher {RUNS / 'teach' / 'teacher.safetensors'} --steps 5 --students 2 --curve-points 2",
}
SECONDS = 40.0  # for the rounds of one call


def simulate(rows: int) -> Iterator[dict[str, np.ndarray]]:
    """Episodes of a stable linear system under noisy feedback; the reward falls with the distance from 0."""
    rng = np.random.default_rng(0)
    pull = np.linalg.qr(rng.normal(size=(STATES, STATES)))[0] * 0.98
    push, gain = 0.2 * rng.normal(size=(STATES, ACTIONS)), 0.3 * rng.normal(size=(ACTIONS, STATES))
    for _ in range(rows // (EPISODES * STEPS)):
        state = rng.normal(size=(EPISODES, STATES)).astype(np.float32)
        found = {key: np.zeros((EPISODES, STEPS, *size), np.float32) for key, size in shapes().items()}
        for step in range(STEPS):
            action = np.clip(-state @ gain.T + 0.3 * rng.normal(size=(EPISODES, ACTIONS)), -1, 1).astype(np.float32)
            after = (state @ pull.T + action @ push.T + 0.05 * rng.normal(size=state.shape)).astype(np.float32)
            reward = 1.0 - 0.1 * np.square(state).sum(axis=1) - 0.1 * np.square(action).sum(axis=1)
            for key, value in zip(shapes(), (state, action, reward, after), strict=True):
                found[key][:, step] = value
            state = after
        flat = {key: value.reshape(-1, *value.shape[2:]) for key, value in found.items()}
        none = np.zeros(EPISODES * STEPS, np.bool_)
        yield {**flat, "terminations": none, "truncations": np.arange(1, len(none) + 1) % STEPS == 0}


def shapes() -> dict[str, tuple[int, ...]]:
    return {"observations": (STATES,), "actions": (ACTIONS,), "rewards": (), "next_observations": (STATES,)}


def make() -> None:
    """The mapped dataset, and its first 100,000 rows as a file that is read into memory."""
    LARGE.mkdir(parents=True, exist_ok=True)
    one, started = np.ones(ACTIONS, np.float32), time.perf_counter()
    how = {"state_size": STATES, "low": -one, "high": one, "name": "large", "card": {"source": "benchmarks/large.py"}}
    data = write_mapped(LARGE, simulate(ROWS_LARGE), ROWS_LARGE, **how)
    np.savez(SMALL, **{key: getattr(data, key)[:ROWS_SMALL] for key in COLUMNS})
    print(f"{len(data):,} rows in {time.perf_counter() - started:.0f} s")


def memory() -> list[dict[str, Any]]:
    """Peaks of `teach` and `distill` on the mapped dataset, each in a process of its own."""
    found = []
    for command, options in COMMANDS.items():
        out = RUNS / command
        words = [command, str(LARGE), "--out", str(out), "--force", *options.split()]
        found.append({"command": command, **watched([sys.executable, "-m", "potstill", *words])})
        print(json.dumps(found[-1]), flush=True)
    return found


def watched(words: list[str]) -> dict[str, Any]:
    """Run a command: its seconds, and the peaks of its memory in GB."""
    peaks, started = {"VmHWM": 0, "RssAnon": 0}, time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env={**os.environ, **HUGE_PAGES})
    while process.poll() is None:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        for name, value in (line.split(":") for line in lines if line.startswith(tuple(peaks))):
            peaks[name] = max(peaks[name], int(value.split()[0]))
        time.sleep(0.02)
    if process.wait():
        raise SystemExit(f"{' '.join(words)} failed")
    return {
        "seconds": time.perf_counter() - started,
        "own_gb": peaks["RssAnon"] * 1024 / 1e9,
        "total_gb": peaks["VmHWM"] * 1024 / 1e9,
    }


def drop(path: Path) -> None:
    """Take a file's pages out of the system's cache; those that are mapped by a process at the time stay."""
    file = os.open(path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)


def timed(work: Callable[[], Any], count: int) -> dict[str, float]:
    """Milliseconds of one of ``count`` steps, on the clock and of all processors together."""
    clock, processors = time.perf_counter(), time.process_time()
    work()
    return {
        "clock": 1e3 * (time.perf_counter() - clock) / count,
        "processors": 1e3 * (time.process_time() - processors) / count,
    }


def teach_steps() -> Iterator[dict[str, dict[str, float]]]:
    """Milliseconds of an update of ReBRAC, 96 (three reads of the file) at a time, each data in turn."""
    from potstill.config import TeachConfig
    from potstill.teachers.registry import ALGORITHMS
    from potstill.teachers.training import Learner

    count, loaded = 96, {"memory": load_dataset(SMALL), "mapped": load_dataset(LARGE)}
    config = TeachConfig("", evaluate_every=count)
    learners = {kind: Learner(ALGORITHMS["rebrac"], data, config) for kind, data in loaded.items()}
    while True:
        yield {kind: timed(learner.advance, count) for kind, learner in learners.items()}


def distill_steps() -> Iterator[dict[str, dict[str, float]]]:
    """Milliseconds of an outer step of the default distillation, ten at a time, each data in turn."""
    import jax

    from potstill.config import DistillConfig
    from potstill.distillation import outer_loop as distillation
    from potstill.distillation.state_table import tabulate

    config, steps, count = DistillConfig("", steps=10_000), {}, 10
    for kind, source in {"memory": SMALL, "mapped": LARGE}.items():
        data = load_dataset(source)
        teacher = find_teacher(RUNS / "teach" / "teacher.safetensors", "", data)
        table = tabulate(data, teacher, index=training_rows(len(data)))
        steps[kind] = distillation.outer_steps(config, table, teacher)
        next(steps[kind])
    go = lambda stepper: [jax.block_until_ready(next(stepper)) for _ in range(count)]  # noqa: E731
    while True:
        yield {kind: timed(functools.partial(go, stepper), count) for kind, stepper in steps.items()}


def rounds(steps: Iterator[dict[str, dict[str, float]]]) -> list[dict[str, dict[str, float]]]:
    """Some rounds after the first, which compiles."""
    next(steps)
    found: list[dict[str, dict[str, float]]] = []
    started = time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        found.append(next(steps))
        print(json.dumps(found[-1]), flush=True)
    return found


def layout() -> list[dict[str, Any]]:
    """Milliseconds to read 4,096 random rows: as records, and with a file for each column."""
    records = np.lib.format.open_memmap(LARGE / ROWS, mode="r")
    files = {key: RUNS / f"{key}.npy" for key in COLUMNS}
    for key, path in files.items():
        column = np.lib.format.open_memmap(path, "w+", records[key].dtype, records[key].shape)
        for start in range(0, len(records), 1_000_000):
            column[start : start + 1_000_000] = records[key][start : start + 1_000_000]
        column.flush()
    apart = {key: np.lib.format.open_memmap(path, mode="r") for key, path in files.items()}
    together = {key: records[key] for key in COLUMNS}
    rng, found = np.random.default_rng(0), []
    os.sync()
    for name, columns in {"records": together, "columns": apart}.items():
        for threads in (1, 8):
            for cached in (False, True):
                times = [1e3 * read(columns, rng.integers(0, len(records), 4096), threads, cached) for _ in range(5)]
                found.append({"layout": name, "threads": threads, "cached": cached, "ms": statistics.median(times)})
                print(json.dumps(found[-1]), flush=True)
    for path in files.values():
        path.unlink()
    return found


def read(columns: dict[str, np.ndarray], rows: np.ndarray, threads: int, cached: bool) -> float:
    """Seconds to read ``rows`` of every column."""
    for column in columns.values():
        advise(column, "MADV_RANDOM")
        advise(column, "MADV_DONTNEED")
    take = lambda part: [column[part] for column in columns.values()]  # noqa: E731
    with ThreadPoolExecutor(threads) as pool:
        for path in () if cached else (LARGE / ROWS, *(RUNS / f"{key}.npy" for key in COLUMNS)):
            drop(path)
        if cached:
            take(rows)
            for column in columns.values():
                advise(column, "MADV_DONTNEED")
        started = time.perf_counter()
        list(pool.map(take, np.array_split(rows, threads)))
        return time.perf_counter() - started


def main() -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    sizes = {"rows": ROWS_LARGE, "small": ROWS_SMALL}
    for word in sys.argv[1:]:
        if word == "make":
            make()
            continue
        if word == "memory":
            known["memory"] = memory()
        elif word == "layout":
            known["layout"] = layout()
        else:
            known[word] = known.get(word, []) + rounds({"teach": teach_steps, "distill": distill_steps}[word]())
        versions = {name: version(name) for name in ("jax", "numpy")}
        papers = {"file_gb": (LARGE / ROWS).stat().st_size / 1e9, "cores": len(os.sched_getaffinity(0))}
        write_json(RESULTS, {**known, **sizes, **papers, "versions": versions})


if __name__ == "__main__":
    main()
