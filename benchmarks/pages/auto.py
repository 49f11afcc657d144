"""A table of ``docs/results.md``: how often ``auto`` is right about the better run."""

from __future__ import annotations

from typing import Any

import numpy as np
from teachers import FILES
from teachers_page import NAMES, Runs

from potstill.config import TeachConfig
from potstill.teachers.evaluation.selection import DOUBT, candidates, chosen

OWN = {config.algorithm for config in candidates(TeachConfig("any")).values()}  # what auto itself trains


def picked(runs: Runs) -> str:
    """The run that ``auto`` would keep."""
    return chosen({name: run["worth"] for name, run in runs.items()})


def regret(runs: Runs, name: str) -> float:
    """How much more the best of the runs earns than the one of that name."""
    return max(run["final"]["mean"] for run in runs.values()) - runs[name]["final"]["mean"]


def rounds(runs: Runs, file: str) -> list[Runs]:
    """The runs of ``auto``'s algorithms on a file, by algorithm, for each seed that all of them were judged with."""
    found: dict[int, Runs] = {}
    for run in runs.values():
        told = run["settings"]
        if {"final", "worth"} <= run.keys() and told["dataset"] == f"{file}.hdf5" and told["algorithm"] in OWN:
            found.setdefault(told["seed"], {})[told["algorithm"]] = run
    return [found[seed] for seed in sorted(found) if found[seed].keys() == OWN]


def auto(runs: Runs) -> str:
    """A row for each file: worths and scores of every seed, how often the better one was picked, the mean regret."""
    names = sorted(OWN)
    lines = [
        "## How often `auto` is right",
        "",
        "`potstill teach --algorithm auto` keeps the candidate of the highest *worth*: its discounted return by",
        f"cautious fitted Q-evaluation, from the data alone; of those within {100 * DOUBT:.0f} % of it, a ReBRAC one.",
        "Here the same criterion judges the runs above, seed by seed; `auto` itself trains IQL and ReBRAC at three",
        "penalties, with settings that are not always those above. *Worth: score* of every seed, bold if picked.",
        "*Regret* is the better run's score minus the picked one's, mean over seeds.",
        "",
    ]
    every = {file: rounds(runs, file) for file in FILES}
    found = {file: groups for file, groups in every.items() if groups}
    if not found:
        return "\n".join([*lines, "No file has two such runs yet."])
    heads = " | ".join(NAMES[name] for name in names)
    lines += [f"| file | {heads} | picked the better | regret |", "|---|" + "---|" * (len(names) + 2)]
    for file, groups in found.items():
        cells = " | ".join("; ".join(shown(group, name) for group in groups) for name in names)
        lines.append(f"| {file} | {cells} | {total(groups)} |")
    together = [group for groups in found.values() for group in groups]
    always = ", ".join(f"{np.mean([regret(g, name) for g in together]):.1f} for {NAMES[name]}" for name in names)
    lines.append(f"| all | {'| ' * len(names)}{total(together)} |")
    plain = np.mean([regret(runs, max(runs, key=lambda name: runs[name]["worth"])) for runs in together])
    lines += ["", f"Keeping always the same algorithm has a regret of {always}; the highest worth, however close, one"]
    lines += [f"of {plain:.1f}. The preference for ReBRAC was chosen on this table."]
    if apart := [fits_apart(run) for runs in together for run in runs.values() if "history" in run]:
        share = f"{100 * np.median(apart):.1f} %"
        lines += [f"Two fits of the same teacher, as its training ends and afresh, differ by {share} in the median."]
    return "\n".join(lines)


def fits_apart(run: dict[str, Any]) -> float:
    """The difference between a teacher's worth in its training and by a fresh fit, as a share of the latter."""
    then = next(entry["worth"] for entry in run["history"] if entry["update"] == run["updates"])
    return float(abs(then - run["worth"]) / abs(run["worth"]))


def shown(runs: Runs, name: str) -> str:
    """A cell's part: worth and score of a run, bold if it is the one picked."""
    text = f"{runs[name]['worth']:.4g}: {runs[name]['final']['mean']:.1f}"
    return f"**{text}**" if picked(runs) == name else text


def total(groups: list[Runs]) -> str:
    """Two cells: how often the best was picked, and the mean regret."""
    regrets = [regret(runs, picked(runs)) for runs in groups]
    return f"{regrets.count(0.0)} of {len(regrets)} | {np.mean(regrets):.1f}"
