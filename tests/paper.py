"""A reproduction in which every cell has a record with known returns, for tests of tables and figures."""

import dataclasses

import numpy as np

from potstill.commands.paper.cells import order_cells
from potstill.commands.paper.datasets import Source
from potstill.commands.paper.measuring import Workplace
from potstill.commands.paper.scales import Scale
from potstill.commands.paper.targets import TARGETS
from potstill.environments.references import find_reference_returns
from potstill.theory import TheorySettings, measure_theory

TINY = Scale(
    "tiny",
    seeds=2,
    random_seeds=3,
    students=2,
    episodes=2,
    teacher_episodes=4,
    share=1e-4,
    steps=2,
    towers=1,
    curve_points=1,
    clone_updates=4,
    sizes=(16, 32),
)
HOPPER = find_reference_returns("Hopper-v5")


def to_returns(score, *shape):
    """Undiscounted returns of Hopper that all have this normalised score."""
    return np.full(shape, HOPPER.random + score * (HOPPER.expert - HOPPER.random) / 100.0).tolist()


def make_source(label="hopper-medium-replay", **changes):
    return Source(**{"given": label, "label": label, "column": label, "env_id": "Hopper-v5", "rows": 200_000} | changes)


def make_workplace(path, score, scale=TINY, labels=("hopper-medium-replay",), skip=()):
    """Give each cell of all targets a record.

    Args:
        path: the folder of the reproduction.
        score: maps a cell to the normalised score of all its episodes.
        scale: the scale.
        labels: columns of the paper.
        skip: names of cells without a record.
    """
    at = Workplace(path, {label: make_source(label, content_hash="0") for label in labels}, scale)
    for cell in order_cells([cell for target in TARGETS.values() for cell in target.list_cells(list(labels), scale)]):
        if cell.name not in skip:
            at.records[cell.name] = make_record(cell, score(cell), scale)
    return at


def make_record(cell, score, scale):
    kind = type(cell).__name__
    if kind == "TheoryCell":
        settings = TheorySettings((cell.discount,), mdps=2, ranked=1, states=4, students=4)
        return dataclasses.asdict(measure_theory(settings).discounts[0])
    if kind == "TeacherCell":
        return {"returns": to_returns(score, 1, 4), "reference": HOPPER._asdict(), "teacher": None}
    if kind == "DistillCell":
        points = [(step, score * step / 20) for step in range(1, 21)]
        return {"curve": [{"step": step, "student": to_returns(value, 1)[0]} for step, value in points]}
    if kind == "StudentsCell":
        return {"returns": to_returns(score, 2, 2), "ensemble": to_returns(score + 5.0, 1, 10)}
    if kind == "PostureCell":
        pairs = np.array([[0.2, 0.1]] if cell.of else [[0.1, 0.1]])
        return {"height": pairs.tolist(), "angle": (pairs / 2).tolist()}
    losses = [[0, 1.0], [10, 0.5], [20, 0.5]] if kind == "TraceCell" else [[0, 1.0], [500, 0.3], [1000, 0.299]]
    found = {"losses": losses, "converged": losses[1][0], "updates": losses[-1][0], "until": 0.25, "seconds": 0.5}
    return found | {"returns": to_returns(score, 1, 2)}
