"""Students of many kinds on the same pairs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from benchmarks.experiments import load_records
from benchmarks.experiments.portfolio import ENSEMBLE_EPISODES, EPISODES, KINDS, STUDENTS
from benchmarks.grid import Record
from benchmarks.pages.text import make_table, select_records

HEAD = """\
Experiment `portfolio`: the distillates of imagined states of `imagination`, {files} files with seed 0, and students
of {kinds} kinds. *Own*: the recipe of the distillate. All others differ in one respect from PyTorch-style students
(*3 layers*: two hidden layers of 256, PyTorch's default initialisation, Adam at 1e-3, 1,000 full-batch steps). *SGD*
and *momentum* (0.9) have a learning rate of 0.1 and an orthogonal initialisation. Retention of single students / of
their ensemble: {students} students × {episodes} episodes, and {together} episodes of the ensemble. The mean over
kinds leaves out *own*."""


def portfolio() -> str:
    """A row for each kind of student, with its retention on each file."""
    records = sorted(select_records(load_records("portfolio"), method="imagined"), key=lambda r: r["file"])
    if not records:
        return "Not measured yet."
    lines = [format_kind(kind, records) for kind in KINDS]
    lines.append(format_mean([kind for kind in KINDS if kind != "own"], records))
    head = HEAD.format(
        files=len(records), kinds=len(KINDS), students=STUDENTS, episodes=EPISODES, together=ENSEMBLE_EPISODES
    )
    return "\n\n".join([head, make_table(("students", *[r["file"] for r in records], "mean"), lines)])


def find_retention(record: Record, kind: str, group: str) -> float:
    """Return divided by the teacher's, of single students or of the ensemble."""
    return float(record["kinds"][kind][group]["mean"] / record["teacher"]["mean"])


def find_shares(kinds: list[str], records: list[Record]) -> Float[np.ndarray, "F 2"]:
    """Retention of single students and of the ensemble on each file, mean over kinds."""
    found = [[[find_retention(r, k, group) for group in ("student", "ensemble")] for r in records] for k in kinds]
    return np.asarray(found, float).reshape(len(kinds), len(records), 2).mean(axis=0)


def format_kind(kind: str, records: list[Record]) -> list[str]:
    """The row of a kind."""
    shares = find_shares([kind], records)
    return [kind, *map(format_pair, shares), f"**{format_pair(shares.mean(axis=0))}**"]


def format_mean(kinds: list[str], records: list[Record]) -> list[str]:
    """The mean over kinds."""
    shares = find_shares(kinds, records)
    return [f"mean of {len(kinds)} kinds", *map(format_pair, shares), f"**{format_pair(shares.mean(axis=0))}**"]


def format_pair(share: np.ndarray) -> str:
    """Retention of single students / of the ensemble."""
    return " / ".join(f"{value:.2f}" for value in share)
