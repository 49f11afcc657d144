"""The table of how often ``potstill teach --algorithm auto`` would select the better run."""

from __future__ import annotations

import numpy as np

from benchmarks.files import FILES
from benchmarks.grid import Record
from benchmarks.pages.teachers import NAMES, load_nine_records
from benchmarks.pages.text import make_table
from potstill.teachers.evaluation.selection import TOLERANCE, select

HEAD = f"""\
`potstill teach --algorithm auto` selects the candidate with the highest pessimistic value estimate, but prefers ReBRAC
if its estimate is within {100 * TOLERANCE:.0f} % of the highest. The table applies this rule to the runs above, seed by
seed. (`auto` itself trains IQL, and ReBRAC at three penalties; some of its settings differ.) Cells show
*estimate: score* of every seed; the selected run is bold. *Regret* is the score of the better run minus that of the
selected run, mean over seeds."""
ALGORITHMS = ("iql", "rebrac")  # the algorithms that auto trains
Runs = dict[str, Record]  # by algorithm


def select_run(runs: Runs) -> str:
    """The algorithm whose run ``auto`` would select."""
    return select({name: run["estimate"] for name, run in runs.items()})


def regret(runs: Runs, name: str) -> float:
    """The highest score of the runs minus that of algorithm ``name``."""
    return float(max(run["final"]["mean"] for run in runs.values()) - runs[name]["final"]["mean"])


def group_runs_by_seed(found: list[Record], file: str) -> list[Runs]:
    """The runs of ``auto``'s algorithms on a file, for each seed for which all of them have an estimate."""
    by_seed: dict[int, Runs] = {}
    for run in found:
        if {"final", "estimate"} <= run.keys() and run["file"] == file and run["method"] in ALGORITHMS:
            by_seed.setdefault(run["seed"], {})[run["method"]] = run
    return [by_seed[seed] for seed in sorted(by_seed) if by_seed[seed].keys() == set(ALGORITHMS)]


def auto() -> str:
    """The table of the committed records."""
    return f"{HEAD}\n\n{make_auto_table(load_nine_records())}"


def make_auto_table(found: list[Record]) -> str:
    """A row for each file: estimate and score of every seed, how often the better one was selected, the mean regret."""
    groups = {file: runs for file in FILES if (runs := group_runs_by_seed(found, file))}
    if not groups:
        return "No file has two such runs."
    lines = [
        [
            file,
            *("; ".join(format_run(runs, name) for runs in seeds) for name in ALGORITHMS),
            *format_hits_and_regret(seeds),
        ]
        for file, seeds in groups.items()
    ]
    together = [runs for seeds in groups.values() for runs in seeds]
    lines.append(["all", "", "", *format_hits_and_regret(together)])
    always = ", ".join(f"{np.mean([regret(g, name) for g in together]):.1f} for {NAMES[name]}" for name in ALGORITHMS)
    plain = np.mean([regret(g, max(g, key=lambda name: g[name]["estimate"])) for g in together])
    sentences = [f"Always selecting the same algorithm has a regret of {always}; selecting the highest estimate"]
    sentences.append(
        f"without a preference has one of {plain:.1f}. The preference for ReBRAC was chosen on this table."
    )
    if differences := [fit_difference(run) for runs in together for run in runs.values() if "history" in run]:
        sentences.append(
            f"The median difference between two fits to the same teacher, one during its training and one from a new "
            f"critic, is {100 * np.median(differences):.1f} %."
        )
    heads = ("file", *(NAMES[name] for name in ALGORITHMS), "selected the better", "regret")
    return "\n".join([make_table(heads, lines), "", *sentences])


def fit_difference(run: Record) -> float:
    """The difference between a teacher's estimate in training and that by a new critic, as a share of the latter."""
    then = next(entry["estimate"] for entry in run["history"] if entry["update"] == run["updates"])
    return float(abs(then - run["estimate"]) / abs(run["estimate"]))


def format_run(runs: Runs, name: str) -> str:
    """Estimate and score of a run, bold if it is selected."""
    text = f"{runs[name]['estimate']:.4g}: {runs[name]['final']['mean']:.1f}"
    return f"**{text}**" if select_run(runs) == name else text


def format_hits_and_regret(groups: list[Runs]) -> list[str]:
    """How often the better run was selected, and the mean regret."""
    regrets = [regret(runs, select_run(runs)) for runs in groups]
    return [f"{regrets.count(0.0)} of {len(regrets)}", f"{np.mean(regrets):.1f}"]
