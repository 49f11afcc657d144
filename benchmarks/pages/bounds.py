"""A table of ``docs/results.md``: what bounds retention, by bounds.py."""

from __future__ import annotations

from typing import Any

import numpy as np
from engine_page import KINDS, Cell, of, teacher_of
from teachers import FILES

SIZES, NOISE = ("256", "1024", "4096"), ("0.1", "0.2", "0.4")  # columns: pairs, and noise on the teacher's actions


def bounds(results: dict[str, dict[str, Any]], distillates: list[Cell]) -> str:
    """A row for each file measured so far: mean scores, in brackets over the teacher's."""
    one = next(iter(results.values()))
    updates, batch = one["settings"]["updates"], one["settings"]["batch"]
    clones, few = (crew(cell["student"]) for cell in (one["relabelled_default"], one["pairs"][SIZES[0]]))
    lines = [
        "## What bounds retention",
        "",
        "Mean scores, in brackets over the teacher's; by `benchmarks/bounds.py`. *Distillate*: 256 pairs, as above.",
        "*Relabelled*: students with all training states of a file, labelled by the teacher, in their place: the",
        f"default's, and the plain one, with the paper's network. {updates:,} updates of Adam on {batch} rows each",
        f"({clones}, their ensemble ten). *Pairs*: students of the plain recipe on so many random states",
        f"with the teacher's actions ({few}). *Noise*: the teacher itself with Gaussian",
        f"noise of that standard deviation on actions in [−1, 1] ({one['noise'][NOISE[0]]['episodes']} episodes).",
        "",
        "Where *relabelled* stays below 1, the student's network or the file's states fall short, and better pairs",
        "may not mend it; it is no strict bound, since a distillate's states need not be the file's. Where it reaches",
        "1 and the pairs do not, too few states or too short a training cost the rest, which distillation may win",
        "back. Where noise costs much, a student's small errors do, too.",
        "",
        "| file | teacher | distillate: one | ensemble | default, relabelled: one | ensemble "
        "| plain, relabelled: one | ensemble | 256 pairs | 1,024 | 4,096 | noise 0.1 | 0.2 | 0.4 |",
        "|---" * 14 + "|",
    ]
    measured = [results[file] for file in FILES if file in results]
    for entry in measured:
        teacher = entry["teacher"]
        cells = " | ".join(f"{mean:.1f} ({ratio:.2f})" for mean, ratio in kept(entry, distillates))
        lines.append(f"| {entry['file']} | {teacher['mean']:.1f} ± {teacher['std']:.1f} | {cells} |")
    retained = np.mean([[ratio for _, ratio in kept(entry, distillates)] for entry in measured], axis=0)
    count = f"{len(measured)} file{'s' if len(measured) > 1 else ''}"
    lines.append(f"| mean of {count} | | " + " | ".join(f"**{ratio:.2f}**" for ratio in retained) + " |")
    return "\n".join(lines)


def crew(cell: dict[str, Any]) -> str:
    return f"{cell['policies']} students × {cell['episodes']} episodes"


def kept(entry: dict[str, Any], distillates: list[Cell]) -> list[tuple[float, float]]:
    """A file's mean scores and what share of the teacher's they are, in the order of the table's columns."""
    own = of(distillates, "default", entry["file"])
    found = [(float(np.mean([cell[kind]["mean"] for cell in own])), teacher_of(own)) for kind in KINDS]
    cells = [entry[f"relabelled_{name}"][kind] for name in ("default", "plain") for kind in KINDS]
    cells += [entry["pairs"][size]["student"] for size in SIZES] + [entry["noise"][std] for std in NOISE]
    found += [(float(cell["mean"]), float(entry["teacher"]["mean"])) for cell in cells]
    return [(mean, mean / teacher) for mean, teacher in found]
