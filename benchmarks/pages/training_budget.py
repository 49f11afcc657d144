"""Returns of networks over the number of updates, on as many states as they can use."""

from __future__ import annotations

from benchmarks.experiments import load_records
from benchmarks.experiments.training_budget import BATCH, CLONES, EPISODES, METHODS, STATES
from benchmarks.grid import Record
from benchmarks.pages.text import make_table

HEAD = """\
Experiment `training-budget`: PyTorch-style networks, trained by Adam on batches of {batch} of {states:,} states with
the actions of the teacher that has the highest return. *States*: those of the dataset, or those that the teacher visits
in the environment with noisy actions. *Distance*: mean squared distance of the network's actions to the teacher's on
held-out states of the same kind, actions in [−1, 1], summed over the components. Scores: {clones} networks × {episodes}
episodes, mean (lowest and highest mean of a network). A student takes 1,000 updates."""
HEADS = ("file", "states", "updates", "distance", "score", "teacher", "share")
KINDS = {"data": "dataset", "visits": "visits of the teacher"}


def training_budget() -> str:
    """A row for each file, kind of states and number of updates."""
    records = load_records("training-budget")
    order = sorted(records, key=lambda r: (r["file"], METHODS.index(r["method"])))
    lines = [line for record in order for line in format_record(record)]
    head = HEAD.format(batch=BATCH, states=STATES, clones=CLONES, episodes=EPISODES)
    return "\n\n".join([head, make_table(HEADS, lines)])


def format_record(record: Record) -> list[list[str]]:
    """The rows of a file and kind of states."""
    teacher, lines = record["teacher"]["mean"], []
    for updates, found in record["budgets"].items():
        student = found["student"]
        means = [sum(returns) / len(returns) for returns in student["returns"]]
        score = f"{student['mean']:.0f} ({min(means):.0f} to {max(means):.0f})"
        share = f"{student['mean'] / teacher:.2f}"
        cells = [record["file"], KINDS[record["method"]], f"{int(updates):,}", f"{found['distance']:.3f}"]
        lines.append([*cells, score, f"{teacher:.0f}", share])
    return lines
