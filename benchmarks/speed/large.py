"""50 million rows: the memory of ``teach`` and ``distill``, and the time of a step against 100,000 rows in memory.

The rows come from a simulated linear system with Hopper's sizes. They are made on first use, which takes some minutes
and 5.4 GB under ``runs/``. A process's own memory is its allocated memory (RssAnon). The total (VmHWM) includes the
pages of mapped files, which the system reclaims when it needs memory.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.experiments.distilling import TOY as TOY_DISTILLATION
from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.speed.harness import HUGE_PAGES, Call, Comparison, Prepare, Stopwatch
from potstill.data.bounds import ActionBounds
from potstill.data.mapped import ROWS, write_mapped
from potstill.data.registry import load_dataset
from potstill.data.transitions import COLUMNS
from potstill.distillation import OuterSettings

ROWS_LARGE, ROWS_SMALL, TOY_ROWS, STATES, ACTIONS, STEPS = 50_000_000, 100_000, 2_000, 11, 3, 1000
EPISODES = 500  # simulated at once
UPDATES, OUTER_STEPS = 96, 10  # in a timed call; 96 updates are three reads of the file
TEACH = "--updates 200 --evaluate-every 200 --fitted-updates 20"
DISTILL = "--steps 5 --students 2 --curve-points 2"
TOY_TEACH = "--updates 4 --evaluate-every 4 --fitted-updates 2 --batch 8"
SHAPES: dict[str, tuple[int, ...]] = {
    "observations": (STATES,),
    "actions": (ACTIONS,),
    "rewards": (),
    "next_observations": (STATES,),
}


def simulate(rows: int, episodes: int) -> Iterator[dict[str, np.ndarray]]:
    """Episodes of a stable linear system under noisy feedback; the reward falls with the distance from 0."""
    rng = np.random.default_rng(0)
    pull = np.linalg.qr(rng.normal(size=(STATES, STATES)))[0] * 0.98
    push, gain = 0.2 * rng.normal(size=(STATES, ACTIONS)), 0.3 * rng.normal(size=(ACTIONS, STATES))
    for _ in range(rows // (episodes * STEPS)):
        state = rng.normal(size=(episodes, STATES)).astype(np.float32)
        found = {key: np.zeros((episodes, STEPS, *size), np.float32) for key, size in SHAPES.items()}
        for step in range(STEPS):
            action = np.clip(-state @ gain.T + 0.3 * rng.normal(size=(episodes, ACTIONS)), -1, 1).astype(np.float32)
            after = (state @ pull.T + action @ push.T + 0.05 * rng.normal(size=state.shape)).astype(np.float32)
            reward = 1.0 - 0.1 * np.square(state).sum(axis=1) - 0.1 * np.square(action).sum(axis=1)
            for key, value in zip(SHAPES, (state, action, reward, after), strict=True):
                found[key][:, step] = value
            state = after
        flat = {key: value.reshape(-1, *value.shape[2:]) for key, value in found.items()}
        none = np.zeros(episodes * STEPS, np.bool_)
        yield {**flat, "terminations": none, "truncations": np.arange(1, len(none) + 1) % STEPS == 0}


def make_datasets(workspace: Workspace) -> dict[str, Path]:
    """The mapped dataset, and its first rows as a file that is read into memory. Missing files are written."""
    large, small = workspace.runs / "mapped", workspace.runs / "memory.npz"
    if not small.exists():
        rows, episodes = (TOY_ROWS, 1) if workspace.toy else (ROWS_LARGE, EPISODES)
        large.mkdir(parents=True, exist_ok=True)
        card: dict[str, object] = {"source": "benchmarks large"}
        source, bounds = simulate(rows, episodes), ActionBounds.unit(ACTIONS)
        data = write_mapped(large, source, rows, state_size=STATES, bounds=bounds, name="large", card=card)
        first = min(rows // 2, ROWS_SMALL)
        np.savez(small, **{key: getattr(data, key)[:first] for key in COLUMNS})
    return {"memory": small, "mapped": large}


def run_and_measure(words: list[str]) -> Record:
    """Run a command, and measure its seconds and the peaks of its memory in GB."""
    peaks = {"VmHWM": 0, "RssAnon": 0}
    with Stopwatch() as watch:
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, env={**os.environ, **HUGE_PAGES})
        while process.poll() is None:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            for name, value in (line.split(":") for line in lines if line.startswith(tuple(peaks))):
                peaks[name] = max(peaks[name], int(value.split()[0]))
            time.sleep(0.02)
    if process.wait():
        raise SystemExit(f"{' '.join(words)} failed")
    gigabytes = {name: kilobytes * 1024 / 1e9 for name, kilobytes in peaks.items()}
    return {"seconds": watch.clock, "own_gb": gigabytes["RssAnon"], "total_gb": gigabytes["VmHWM"]}


def measure_memory(command: str, workspace: Workspace) -> Record:
    """Memory of ``teach`` or ``distill`` on the mapped dataset, in a process of its own."""
    path, teacher = make_datasets(workspace)["mapped"], workspace.runs / "teach" / "teacher.safetensors"
    options = (TOY_TEACH if workspace.toy else TEACH).split()
    if command == "distill":
        toy = [f"--{name.replace('_', '-')} {value}" for name, value in TOY_DISTILLATION.items()]
        options = f"--teacher {teacher} --states data {' '.join(toy) if workspace.toy else DISTILL}".split()
        if not teacher.exists():
            measure_memory("teach", workspace)
    out = ["--out", str(workspace.runs / command), "--force"]
    found = run_and_measure([sys.executable, "-m", "potstill", command, str(path), *out, *options])
    return {**found, "file_gb": (path / ROWS).stat().st_size / 1e9}


def make_step(command: str, kind: str, workspace: Workspace) -> Call:
    """Updates of ReBRAC, or outer steps of the default distillation, on the data in memory or mapped."""
    from benchmarks.speed import steps

    path = make_datasets(workspace)[kind]
    if command == "teach":
        return steps.make_teacher_updates(load_dataset(path), "rebrac", 2 if workspace.toy else UPDATES)
    teacher = workspace.runs / "teach" / "teacher.safetensors"
    if not teacher.exists():
        measure_memory("teach", workspace)
    if workspace.toy:
        return steps.make_outer_steps(path, teacher, size=8, settings=OuterSettings(batch=16))
    return steps.make_outer_steps(path, teacher, OUTER_STEPS)


def list_programs(cell: Cell, workspace: Workspace) -> dict[str, Prepare]:
    """The same step on both datasets."""
    command = cell.method.split()[0]
    return {kind: lambda kind=kind: make_step(command, kind, workspace) for kind in ("memory", "mapped")}  # type: ignore[misc]


def describe_inputs(cell: Cell) -> Record:
    """The sizes and the commands' options."""
    return {"rows": ROWS_LARGE, "small": ROWS_SMALL, "teach": TEACH, "distill": DISTILL}


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Memory of a command, or the time of its steps."""
    if cell.method.endswith("memory"):
        return measure_memory(cell.method.split()[0], workspace)
    make_datasets(workspace)
    return COMPARISON.measure(cell, workspace)


COMPARISON = Comparison(__name__, list_programs, rounds=15, baseline="memory", packages=("jax", "numpy"))
EXPERIMENT = Experiment(
    "large",
    "memory and step time on 50 million rows (5.4 GB on disk)",
    tuple(Cell(f"{command} {what}") for what in ("memory", "steps") for command in ("teach", "distill")),
    describe_inputs,
    measure,
    toy=(Cell("teach steps"),),
)
