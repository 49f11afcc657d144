"""Distillation on imagined states against distillation on dataset states, and variants of imagined states."""

from __future__ import annotations

from benchmarks.experiments.imagination import DEVELOPED_ON
from benchmarks.grid import Record
from benchmarks.pages.headline import KINDS, choose_states, load_imagination_records, select_default, select_pairs
from benchmarks.pages.retention import group_by_file, retention
from benchmarks.pages.text import make_table, select_records
from potstill.worlds.settings import LEAST_HORIZON

HEAD = f"""\
Experiment `imagination`: retention with the same teachers, on the files and seeds that were measured both ways.
*Default*: `potstill distill` without options. *Data*: `--states data` with its own defaults. *Own student*: of the
distillate's recipe, `adam-towers` for the default and `default` for `--states data`. *PyTorch-style*: the recipe
`pytorch`, two hidden layers of 256, PyTorch's default initialisation, Adam at 1e-3, 1,000 full-batch steps. Files with
* were used to develop the method. °: the model is accurate for fewer than {LEAST_HORIZON} steps, so the default uses
the data's states, too, but with the labels, solver and students of imagined states."""
VARIANTS = {  # what is changed, and its name in the table
    "last": ("without the choice of a late iterate by the world model (`--choose last`)", "last pairs"),
    "visits": ("without the loss of students in rollouts (`--rollout-steps 0`)", "no rollouts"),
    "quiet": ("without noise on the actions of the rollouts (`--rollout-noise 0`)", "no noise"),
}
VARIANT_HEAD = "Imagined states, and the same {change}. Retention on the files and seeds that have both:"
OF_DATA_HEAD = """\
The data's states with `--solver portfolio`, which is the default of the files with °, and imagined
states:"""


def imagination() -> str:
    """The default beside the data's states."""
    records = load_imagination_records()
    data = select_records(records, method="data")
    return f"{HEAD}\n\n{make_comparison(records, select_default(records), data, ('default', 'data'))}"


def variants() -> str:
    """A table for each measured variant of imagined states; empty if none is measured."""
    records, parts = load_imagination_records(), []
    methods = {method: select_records(records, method=method) for method in ("imagined", "portfolio", *VARIANTS)}
    for method, (change, label) in VARIANTS.items():
        if select_pairs(methods["imagined"], methods[method])[0]:
            table = make_comparison(records, methods["imagined"], methods[method], ("imagined", label))
            parts += [VARIANT_HEAD.format(change=change), table]
    if select_pairs(methods["portfolio"], methods["imagined"])[0]:
        names = ("data, portfolio", "imagined")
        parts += [OF_DATA_HEAD, make_comparison(records, methods["portfolio"], methods["imagined"], names)]
    return "\n\n".join(parts)


def make_comparison(records: list[Record], first: list[Record], second: list[Record], names: tuple[str, str]) -> str:
    """A row for each file that two methods have in common, and their means."""
    chosen, (one, other) = choose_states(records), select_pairs(first, second)
    lines = []
    for ours, theirs in zip(group_by_file(one), group_by_file(other), strict=True):
        file = ours[0]["file"]
        marks = "".join(mark for mark, shown in ((" *", file in DEVELOPED_ON), (" °", chosen[file] == "data")) if shown)
        lines.append([f"{file}{marks}", str(len(ours)), *compare_retention(ours, theirs, "{:.2f}")])
    accurate = [[r for r in group if chosen[r["file"]] == "imagined"] for group in (one, other)]
    means = {"all": (one, other), "those with an accurate model": accurate}
    for name, (ours, theirs) in means.items():
        if ours and (name == "all" or len(ours) < len(one)):
            lines.append(
                [f"mean of {name}: {len(group_by_file(ours))}", "", *compare_retention(ours, theirs, "**{:.2f}**")]
            )
    kinds = ("own student", "its ensemble", "PyTorch-style", "its ensemble")
    heads = [head for kind in kinds for head in (f"{kind}: {names[0]}", names[1])]
    return make_table(("file", "seeds", *heads), lines)


def compare_retention(ours: list[Record], theirs: list[Record], shape: str) -> list[str]:
    """The retention of both methods for each kind of student."""
    return [shape.format(retention(found, kind)) for kind in KINDS for found in (ours, theirs)]
