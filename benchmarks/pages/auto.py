"""How often ``potstill teach --algorithm auto`` would keep the better run."""

from __future__ import annotations

import numpy as np

from benchmarks.files import FILES
from benchmarks.grid import Record
from benchmarks.pages.teachers import NAMES, records
from benchmarks.pages.text import table
from potstill.teachers.evaluation.selection import TOLERANCE, select

HEAD = f"""\
`potstill teach --algorithm auto` selects the candidate with the highest pessimistic value estimate, but prefers ReBRAC if
its estimate is within {100 * TOLERANCE:.0f} % of the highest. Here the same rule is applied to the runs above, seed by
seed. (`auto` itself trains IQL and ReBRAC at three penalties, partly with other settings.) Cells show *estimate: score*
of every seed; the selected run is bold. *Regret* is the better run's score minus that of the selected run, mean over
seeds."""
ALGORITHMS = ("iql", "rebrac")  # what auto itself trains
Runs = dict[str, Record]  # by algorithm


def picked(runs: Runs) -> str:
    """The run that ``auto`` would keep."""
    return select({name: run["estimate"] for name, run in runs.items()})


def regret(runs: Runs, name: str) -> float:
    """How much more the best of the runs earns than the one of that name."""
    return float(max(run["final"]["mean"] for run in runs.values()) - runs[name]["final"]["mean"])


def rounds(found: list[Record], file: str) -> list[Runs]:
    """The runs of ``auto``'s algorithms on a file, for each seed that all of them have an estimate for."""
    by_seed: dict[int, Runs] = {}
    for run in found:
        if {"final", "estimate"} <= run.keys() and run["file"] == file and run["method"] in ALGORITHMS:
            by_seed.setdefault(run["seed"], {})[run["method"]] = run
    return [by_seed[seed] for seed in sorted(by_seed) if by_seed[seed].keys() == set(ALGORITHMS)]


def auto() -> str:
    """The table of the committed records."""
    return f"{HEAD}\n\n{auto_table(records())}"


def auto_table(found: list[Record]) -> str:
    """A row for each file: estimate and score of every seed, how often the better one was picked, the mean regret."""
    groups = {file: runs for file in FILES if (runs := rounds(found, file))}
    if not groups:
        return "No file has two such runs yet."
    lines = [
        [file, *("; ".join(shown(runs, name) for runs in seeds) for name in ALGORITHMS), *total(seeds)]
        for file, seeds in groups.items()
    ]
    together = [runs for seeds in groups.values() for runs in seeds]
    lines.append(["all", "", "", *total(together)])
    always = ", ".join(f"{np.mean([regret(g, name) for g in together]):.1f} for {NAMES[name]}" for name in ALGORITHMS)
    plain = np.mean([regret(g, max(g, key=lambda name: g[name]["estimate"])) for g in together])
    told = [f"Always selecting the same algorithm has a regret of {always}; selecting the highest estimate"]
    told.append(f"without a preference has one of {plain:.1f}. The preference for ReBRAC was chosen on this table.")
    if apart := [fits_apart(run) for runs in together for run in runs.values() if "history" in run]:
        told.append(
            f"Two fits to the same teacher, one during its training and one from a new critic, differ by "
            f"{100 * np.median(apart):.1f} % in the median."
        )
    heads = ("file", *(NAMES[name] for name in ALGORITHMS), "selected the better", "regret")
    return "\n".join([table(heads, lines), "", *told])


def fits_apart(run: Record) -> float:
    """The difference between a teacher's estimate in its training and that of a fresh fit, as a share of the latter."""
    then = next(entry["estimate"] for entry in run["history"] if entry["update"] == run["updates"])
    return float(abs(then - run["estimate"]) / abs(run["estimate"]))


def shown(runs: Runs, name: str) -> str:
    """Estimate and score of a run, bold if it is the one picked."""
    text = f"{runs[name]['estimate']:.4g}: {runs[name]['final']['mean']:.1f}"
    return f"**{text}**" if picked(runs) == name else text


def total(groups: list[Runs]) -> list[str]:
    """How often the best was picked, and the mean regret."""
    regrets = [regret(runs, picked(runs)) for runs in groups]
    return [f"{regrets.count(0.0)} of {len(regrets)}", f"{np.mean(regrets):.1f}"]
