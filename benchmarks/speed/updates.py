"""Updates per second of the teacher algorithms: potstill against plain PyTorch with the same losses.

The data have Hopper's sizes, batches have 256 rows, and the rows are on the device.
"""

from __future__ import annotations

import numpy as np

from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.speed import torch_teachers
from benchmarks.speed.harness import Call, Comparison, Prepare
from benchmarks.speed.torch_teachers import ACTIONS, BATCH, STATES
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Transitions

ROWS, EPISODE = 100_000, 1_000
COUNTS = {"rebrac": 200, "cal-ql": 30, "iql": 300, "edac": 30}  # updates in a timed call


def draw_columns(rows: int) -> tuple[np.ndarray, ...]:
    """Random rows: states, actions, rewards, next states, next actions, and 1 where the episode continues."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: np.asarray(rng.normal(size=shape), np.float32)  # noqa: E731
    states, actions = draw(rows, STATES), np.tanh(draw(rows, ACTIONS))
    return states, actions, draw(rows), np.roll(states, -1, 0), np.roll(actions, -1, 0), np.ones(rows, np.float32)


def make_potstill_updates(algorithm: str, rows: int, count: int) -> Call:
    """``count`` updates of potstill's algorithm."""
    from benchmarks.speed.steps import make_teacher_updates

    states, actions, rewards, after, _, _ = draw_columns(rows)
    never, ends = np.zeros(rows, bool), np.arange(1, rows + 1) % EPISODE == 0
    bounds = ActionBounds.unit(ACTIONS)
    data = Transitions(states, actions, rewards, after, never, ends, action_bounds=bounds, name="drawn")
    return make_teacher_updates(data, algorithm, count, batch=BATCH)


def list_programs(cell: Cell, workspace: Workspace) -> dict[str, Prepare]:
    """The program of potstill and, if there is one, of PyTorch; at toy size only the first."""
    rows, count = (200, 2) if workspace.toy else (ROWS, COUNTS[cell.method])
    found: dict[str, Prepare] = {"potstill": lambda: make_potstill_updates(cell.method, rows, count)}
    torch_program = torch_teachers.PROGRAMS.get(cell.method)
    if torch_program and not workspace.toy:
        found["torch"] = lambda: torch_program(draw_columns(rows), count)
    return found


def describe_inputs(cell: Cell) -> Record:
    """The sizes."""
    return {"rows": ROWS, "batch": BATCH, "states": STATES, "actions": ACTIONS}


COMPARISON = Comparison(
    __name__,
    list_programs,
    rounds=3,
    calls=3,
    cores=lambda cell, program: int(cell["cores"]),
    baseline="torch",
    packages=("jax", "torch"),
)
EXPERIMENT = Experiment(
    "teacher-updates",
    "updates per second of the teacher algorithms, against PyTorch",
    tuple(Cell(name, axes=(("cores", cores),)) for cores in (1, 2) for name in COUNTS),
    describe_inputs,
    COMPARISON.measure,
    frozenset({"programs"}),
    packages=("torch",),
)
