"""Two tables of ``docs/results.md``: what bounds retention, by bounds.py, and how often ``auto`` is right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from teachers import FILES

from potstill.config import TeachConfig
from potstill.teachers.choice import candidates

SIZES, NOISE = ("256", "1024", "4096"), ("0.1", "0.2", "0.4")  # columns: pairs, and noise on the teacher's actions
OWN = {config.algorithm for config in candidates(TeachConfig("any")).values()}  # what auto itself trains


def bounds(results: dict[str, dict[str, Any]]) -> str:
    """A row for each file measured so far: mean scores, in brackets over the teacher's."""
    one = next(iter(results.values()))
    updates, batch = one["settings"]["updates"], one["settings"]["batch"]
    clones, few = (crew(cell["student"]) for cell in (one["relabelled_default"], one["pairs"][SIZES[0]]))
    lines = [
        "## What bounds retention",
        "",
        "Mean scores, in brackets over the teacher's; by `benchmarks/bounds.py`. *Relabelled*: students with all",
        "training states of a file, labelled by the teacher, in place of a few hundred pairs: the default's, and the",
        f"plain one, a single network. They learn by {updates:,} updates of Adam on {batch} rows each",
        f"({clones}, their ensemble ten). *Pairs*: students of the plain recipe on so many random states",
        f"with the teacher's actions ({few}). *Noise*: the teacher itself with Gaussian",
        f"noise of that standard deviation on actions in [−1, 1] ({one['noise'][NOISE[0]]['episodes']} episodes).",
        "",
        "Where *relabelled* stays below 1, the student's network or the file's states fall short, and better pairs",
        "may not mend it; it is no strict bound, since a distillate's states need not be the file's. Where it reaches",
        "1 and the pairs do not, too few states or too short a training cost the rest, which distillation may win",
        "back. Where noise costs much, a student's small errors do, too.",
        "",
        "| file | teacher | default, relabelled: one | ensemble | plain, relabelled: one | ensemble "
        "| 256 pairs | 1,024 | 4,096 | noise 0.1 | 0.2 | 0.4 |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    measured = [results[file] for file in FILES if file in results]
    for entry in measured:
        teacher = entry["teacher"]
        cells = " | ".join(f"{mean:.1f} ({mean / teacher['mean']:.2f})" for mean in means(entry))
        lines.append(f"| {entry['file']} | {teacher['mean']:.1f} ± {teacher['std']:.1f} | {cells} |")
    retained = np.mean([[mean / entry["teacher"]["mean"] for mean in means(entry)] for entry in measured], axis=0)
    count = f"{len(measured)} file{'s' if len(measured) > 1 else ''}"
    lines.append(f"| mean of {count} | | " + " | ".join(f"**{ratio:.2f}**" for ratio in retained) + " |")
    return "\n".join(lines)


def crew(cell: dict[str, Any]) -> str:
    return f"{cell['policies']} students × {cell['episodes']} episodes"


def means(entry: dict[str, Any]) -> list[float]:
    """A file's mean scores, in the order of the table's columns."""
    cells = [entry[f"relabelled_{name}"][crowd] for name in ("default", "plain") for crowd in ("student", "ensemble")]
    cells += [entry["pairs"][size]["student"] for size in SIZES]
    return [float(cell["mean"]) for cell in [*cells, *(entry["noise"][std] for std in NOISE)]]


class Verdict(NamedTuple):
    """What the offline criterion picks among runs, and what picking the truly best would have earned more."""

    picked: str
    best: str
    regret: float


def verdict(runs: dict[str, dict[str, Any]]) -> Verdict:
    """The run of the highest worth against that of the highest score."""
    picked = max(runs, key=lambda name: runs[name]["worth"])
    best = max(runs, key=lambda name: runs[name]["final"]["mean"])
    return Verdict(picked, best, runs[best]["final"]["mean"] - runs[picked]["final"]["mean"])


def judged(runs: Iterable[dict[str, Any]], file: str) -> dict[str, dict[str, Any]]:
    """One run of each algorithm on a file that has both a score and a worth, that of the lowest seed."""
    fit = [run for run in runs if {"final", "worth"} <= run.keys() and run["settings"]["dataset"] == f"{file}.hdf5"]
    found: dict[str, dict[str, Any]] = {}
    for run in fit:
        name, seed = run["settings"]["algorithm"], run["settings"]["seed"]
        if name not in found or seed < found[name]["settings"]["seed"]:
            found[name] = run
    return found


def auto(runs: dict[str, dict[str, Any]]) -> str:
    """A row for each file with two judged runs or more: candidates, the one picked, the best, the regret."""
    lines = [
        "## How often `auto` is right",
        "",
        "`potstill teach --algorithm auto` keeps the candidate of the highest *worth*: its discounted return by",
        "cautious fitted Q-evaluation, from the data alone. Here the same criterion judges the runs above, one of each",
        "algorithm (the lowest seed whose weights were at hand), where a file has two or more; `auto` itself trains",
        "IQL and ReBRAC at three penalties, with settings that are not always those above. *Regret* is the best run's",
        "score minus the picked one's.",
        "",
    ]
    found = {file: runs_of for file in FILES if len(runs_of := judged(runs.values(), file)) > 1}
    if not found:
        return "\n".join([*lines, "No file has two such runs yet."])
    lines += ["| file | candidates: worth, score | picked | best | | regret |", "|---|---|---|---|---|---|"]
    for file, named in found.items():
        shown = "; ".join(f"{name}: {run['worth']:.4g}, {run['final']['mean']:.1f}" for name, run in named.items())
        picked, best, regret = verdict(named)
        lines.append(f"| {file} | {shown} | {picked} | {best} | {'miss' if regret else 'hit'} | {regret:.1f} |")
    lines.append(total("all candidates", found.values()))
    own = [{name: run for name, run in named.items() if name in OWN} for named in found.values()]
    own = [named for named in own if len(named) > 1]
    if own and own != list(found.values()):
        lines.append(total(f"{' and '.join(sorted(OWN))} alone", own))
    return "\n".join(lines)


def total(label: str, files: Iterable[dict[str, dict[str, Any]]]) -> str:
    """The table's last line: hits of files, mean regret."""
    regrets = [verdict(runs).regret for runs in files]
    hits = f"**{regrets.count(0.0)} of {len(regrets)}**"
    return f"| {label} | | | | {hits} | **{np.mean(regrets):.1f}** |"
