"""The price of differential privacy for episodes."""

from __future__ import annotations

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.experiments.private import BASE, CELLS, EPISODES, PRIVATE, SEEDS, STUDENTS
from benchmarks.grid import Record
from benchmarks.pages.text import make_table, select_records

HEAD = """\
Experiment `private`: `potstill distill --private-noise` of the bundled dataset, with its teacher, which was trained on
the same data and counts as known. {size} pairs for students of the recipe `{recipe}`, {steps} outer steps, a mean of
{private_episodes} episodes in a step, clipped to {private_clip}. *Return*: mean over {seeds} distillation seeds of
{students} students with {episodes} episodes each; *range*: of the seeds' means. *Loss*: on held-out states, mean over
the seeds."""
LABELS = {
    "ordinary": "ordinary distillation from k-means, not private",
    "initial": "random states with the teacher's actions, no outer step",
}
HEADS = ("pairs", "ε", "δ", "return", "range", "loss")


def private() -> str:
    """A row for each method that was measured."""
    records, lines, lacking = load_records("private"), [], []
    for cell in CELLS:
        found = select_records(records, file=cell.file, method=cell.method)
        lines += [format_line(cell.method, record) for record in found]
        lacking += [] if found else [cell.method]
    head = HEAD.format(seeds=len(SEEDS), students=STUDENTS, episodes=EPISODES, **BASE, **PRIVATE)
    missing = [f"Not measured yet: {', '.join(lacking)}."] if lacking else []
    return "\n\n".join([head, *([make_table(HEADS, lines)] if lines else []), *missing])


def format_line(method: str, record: Record) -> list[str]:
    """Format a method: what it guarantees, and what its students reach."""
    means, privacy = np.mean(record["scores"], axis=1), record["privacy"]
    known = privacy is not None and privacy["epsilon"] is not None
    guarantee = [f"{privacy['epsilon']:.2g}", f"{privacy['delta']:.1g}"] if known else ["–", "–"]
    spread = f"{means.min():.1f} to {means.max():.1f}"
    loss = f"{np.mean(record['losses']):.2f}"
    return [LABELS.get(method, method), *guarantee, f"{means.mean():.1f}", spread, loss]
