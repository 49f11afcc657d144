"""Distillation on imagined states against distillation on dataset states, and variants of imagined states."""

from __future__ import annotations

from benchmarks.experiments.imagination import DEVELOPED_ON
from benchmarks.grid import Record
from benchmarks.pages.headline import KINDS, choose_states, load_imagination_records, select_pairs
from benchmarks.pages.retention import group_by_file, retention
from benchmarks.pages.text import make_table
from potstill.commands.distillation_loop import LEAST_HORIZON

HEAD = f"""\
Experiment `imagination`: retention with the same teachers, on the files and seeds that were measured both ways. *Data*:
`--states data` with its own defaults. *Imagined*: `--states imagined`. *Own student*: of the distillate's recipe,
`default` for the data's states and `adam-towers` for imagined ones. *PyTorch-style*: the recipe `pytorch`, two hidden
layers of 256, PyTorch's default initialisation, Adam at 1e-3, 1,000 full-batch steps. Files with * were used to
develop the method. °: the model is accurate for fewer than {LEAST_HORIZON} steps, so the default is the data's."""
VARIANTS = {  # what is changed, and its name in the table
    "last": ("without a selection by the world model (`--choose last`)", "last pairs"),
    "visits": ("without the loss of students in rollouts (`--rollout-steps 0`)", "no rollouts"),
    "quiet": ("without noise on the actions of the rollouts (`--rollout-noise 0`)", "no noise"),
    "portfolio": ("the labels, solver and students of imagined states, on the data's states", "data, portfolio"),
}
VARIANT_HEAD = "Imagined states, and the same {change}. Retention on the files and seeds that have both:"


def imagination() -> str:
    """Imagined states beside the data's states."""
    return f"{HEAD}\n\n{make_comparison(load_imagination_records(), 'data', 'data')}"


def variants() -> str:
    """A table for each measured variant of imagined states; empty if none is measured."""
    records, parts = load_imagination_records(), []
    for method, (change, label) in VARIANTS.items():
        if select_pairs(records, "imagined", method)[0]:
            parts += [VARIANT_HEAD.format(change=change), make_comparison(records, method, label)]
    return "\n\n".join(parts)


def make_comparison(records: list[Record], method: str, label: str) -> str:
    """A row for each file that imagined states and another method have in common, and their means."""
    chosen, (imagined, other) = choose_states(records), select_pairs(records, "imagined", method)
    lines = []
    for ours, theirs in zip(group_by_file(imagined), group_by_file(other), strict=True):
        file = ours[0]["file"]
        marks = "".join(mark for mark, shown in ((" *", file in DEVELOPED_ON), (" °", chosen[file] == "data")) if shown)
        lines.append([f"{file}{marks}", str(len(ours)), *compare_retention(ours, theirs, "{:.2f}")])
    accurate = [[r for r in group if chosen[r["file"]] == "imagined"] for group in (imagined, other)]
    means = {"all": (imagined, other), "those with an accurate model": accurate}
    for name, (ours, theirs) in means.items():
        if ours and (name == "all" or len(ours) < len(imagined)):
            lines.append(
                [f"mean of {name}: {len(group_by_file(ours))}", "", *compare_retention(ours, theirs, "**{:.2f}**")]
            )
    kinds = ("own student", "its ensemble", "PyTorch-style", "its ensemble")
    heads = [head for kind in kinds for head in (f"{kind}: imagined", label)]
    return make_table(("file", "seeds", *heads), lines)


def compare_retention(ours: list[Record], theirs: list[Record], shape: str) -> list[str]:
    """The retention of both methods for each kind of student."""
    return [shape.format(retention(found, kind)) for kind in KINDS for found in (ours, theirs)]
