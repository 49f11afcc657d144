"""A table of ``docs/results.md``: how often ``auto`` is right about the better run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from teachers import FILES
from teachers_page import Runs

from potstill.config import TeachConfig
from potstill.teachers.choice import candidates

OWN = {config.algorithm for config in candidates(TeachConfig("any")).values()}  # what auto itself trains


class Verdict(NamedTuple):
    """What the offline criterion picks among runs, and what picking the truly best would have earned more."""

    picked: str
    best: str
    regret: float


def verdict(runs: Runs) -> Verdict:
    """The run of the highest worth against that of the highest score."""
    picked = max(runs, key=lambda name: runs[name]["worth"])
    best = max(runs, key=lambda name: runs[name]["final"]["mean"])
    return Verdict(picked, best, runs[best]["final"]["mean"] - runs[picked]["final"]["mean"])


def judged(runs: Iterable[dict[str, Any]], file: str) -> Runs:
    """One run of each algorithm on a file that has both a score and a worth, that of the lowest seed."""
    fit = [run for run in runs if {"final", "worth"} <= run.keys() and run["settings"]["dataset"] == f"{file}.hdf5"]
    found: Runs = {}
    for run in fit:
        name, seed = run["settings"]["algorithm"], run["settings"]["seed"]
        if name not in found or seed < found[name]["settings"]["seed"]:
            found[name] = run
    return found


def auto(runs: Runs) -> str:
    """A row for each file with two judged runs or more: candidates, the one picked, the best, the regret."""
    lines = [
        "## How often `auto` is right",
        "",
        "`potstill teach --algorithm auto` keeps the candidate of the highest *worth*: its discounted return by",
        "cautious fitted Q-evaluation, from the data alone. Here the same criterion judges the runs above, one of each",
        "algorithm (the lowest seed that it has judged), where a file has two or more; `auto` itself trains IQL and",
        "ReBRAC at three penalties, with settings that are not always those above. *Regret* is the best run's score",
        "minus the picked one's.",
        "",
    ]
    every = {file: judged(runs.values(), file) for file in FILES}
    found = {file: named for file, named in every.items() if len(named) > 1}
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


def total(label: str, files: Iterable[Runs]) -> str:
    """The table's last line: hits of files, mean regret."""
    regrets = [verdict(runs).regret for runs in files]
    hits = f"**{regrets.count(0.0)} of {len(regrets)}**"
    return f"| {label} | | | | {hits} | **{np.mean(regrets):.1f}** |"
