"""The teachers' part of ``docs/results.md``: scores, curves, when runs end, and which criterion ends them."""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from teachers import FILES, PATIENCE

from potstill.config import TeachConfig
from potstill.reports.plots import BLUE, GREEN, GREY, ORANGE, new_figure, save_figure

Runs = dict[str, dict[str, Any]]  # results by the run's name

# Final scores on D4RL's own files, published with CORL; Cal-QL's are those of the distillation paper.
PUBLISHED = {
    "ReBRAC": (64.0, 51.2, 103.8, 102.3, 95.0, 109.5, 85.8, 84.3, 111.9),
    "IQL": (48.3, 44.5, 94.7, 67.5, 97.4, 107.4, 80.9, 82.2, 111.7),
    "Cal-QL": (47.6, 45.8, 50.8, 56.4, 98.0, 107.3, 84.0, 87.4, 109.0),
    "EDAC": (67.7, 62.1, 104.8, 101.7, 99.7, 105.2, 93.4, 87.1, 114.8),
}
COLOURS = {"bc": GREY, "rebrac": BLUE, "iql": ORANGE, "cal-ql": GREEN, "edac": "#7d5ba6"}
SLOWER = {"cal-ql": "Cal-QL", "edac": "EDAC"}
NAMES = {"rebrac": "ReBRAC", "iql": "IQL"}
LABELS = {"bc": "BC"} | NAMES | SLOWER
ON_THE_WAY = (10_000, 20_000, 30_000, 50_000, 100_000)  # updates
ORDER = [
    f"{b}-{x}" for b in ("halfcheetah", "hopper", "walker2d") for x in ("medium", "medium-replay", "medium-expert")
]


def of_file(runs: Runs, file: str) -> dict[str, list[dict[str, Any]]]:
    """Runs of one file, by algorithm, in the order of their seeds."""
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in runs.values():
        if entry["settings"]["dataset"] == f"{file}.hdf5":
            found.setdefault(entry["settings"]["algorithm"], []).append(entry)
    return found


def score(entries: list[dict[str, Any]]) -> str:
    """Mean over seeds; ± over seeds or, of one seed, over its episodes; how many diverged."""
    means = [entry["final"]["mean"] for entry in entries if "final" in entry]
    if not means:
        return f"diverged ({len(entries)})" if entries else "–"
    spread = np.std(means, ddof=1) if len(means) > 1 else entries[0]["final"]["std"]
    seeds = f"{len(means)} seed{'s' if len(means) > 1 else ''}"
    lost = f", {len(entries) - len(means)} diverged" if len(entries) > len(means) else ""
    return f"{np.mean(means):.1f} ± {spread:.1f} ({seeds}{lost})"


def updates_of(entries: list[dict[str, Any]]) -> str:
    """How many thousand updates the teachers that were kept had had, and at how many the run ended."""
    scored = [entry for entry in entries if "final" in entry]
    found = [f"{e['updates'] // 1000} of {e['history'][-1]['update'] // 1000}k" for e in scored]
    return ", ".join(found) or "–"


def best(runs: Runs, before: Runs, file: str) -> str:
    """Algorithm and score of the run whose weights are kept; ° marks one of those ``before``."""
    marked = [(run, mark) for group, mark in ((runs, ""), (before, "°")) for run in group.values() if "final" in run]
    own = [(run, mark) for run, mark in marked if run["settings"]["dataset"] == f"{file}.hdf5"]
    run, mark = max(own, key=lambda pair: pair[0]["final"]["mean"])
    return f"{LABELS[run['settings']['algorithm']]}{mark}, {run['final']['mean']:.1f}"


def teachers(runs: Runs, before: Runs) -> str:
    papers = ", ".join(PUBLISHED)
    lines = [
        "## Teachers",
        "",
        "Trained with `potstill teach`, ReBRAC and IQL until they stopped improving by the offline criterion: until",
        f"the worth (cautious fitted Q-evaluation, no environment) had not risen for {PATIENCE} evaluations, 10,000",
        "updates apart, or for 200,000. The teacher of the highest worth was kept: *updates* are its own, of those",
        "that the run had in all. BC had 30,000. Twenty episodes at the end; ± is over seeds or, of a single seed,",
        "over episodes. Commands: `benchmarks/teachers.py`. The weights in `benchmarks/teachers` are of the run of the",
        "highest return, ° of an older one, whose targets followed more slowly (below).",
        "",
        f"| file | rows | data: mean, best | BC | ReBRAC | updates | IQL | updates | weights | published {papers} |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for file in FILES:
        found = of_file(runs, file)
        if not found:
            continue
        data = next(iter(found.values()))[0]["data"]
        others = ", ".join(f"{scores[ORDER.index(file)]}" for scores in PUBLISHED.values())
        trained = [f"{score(found.get(name, []))} | {updates_of(found.get(name, []))}" for name in ("rebrac", "iql")]
        cells = " | ".join([score(found.get("bc", [])), *trained, best(runs, before, file)])
        lines.append(f"| {file} | {data['rows']:,} | {data['mean']:.1f}, {data['best']:.1f} | {cells} | {others} |")
    return "\n".join([*lines, *slower(runs), "", "![Learning curves](images/teachers.png)"])


def slower(runs: Runs) -> list[str]:
    """A row for each file with runs of the algorithms that take an hour or more."""
    lines = [
        "",
        "The slower ones, which ended long before the million updates or more of their papers:",
        "",
        "| file | algorithm | score | updates | a second, on one core | best of ReBRAC and IQL | published |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, label in SLOWER.items():
        for file in FILES:
            found = of_file(runs, file)
            if name not in found:
                continue
            best = max(e["final"]["mean"] for a in ("rebrac", "iql") for e in found.get(a, []) if "final" in e)
            of_paper = PUBLISHED[label][ORDER.index(file)]
            score_and_updates = f"{score(found[name])} | {updates_of(found[name])}"
            rate = np.median([e["updates_per_second"] for e in found[name] if "final" in e])
            lines.append(f"| {file} | {label} | {score_and_updates} | {rate:.0f} | {best:.1f} | {of_paper} |")
    return lines


def stopping(runs: Runs) -> str:
    """Which evaluation the offline criteria keep of runs that it stopped, and what the others earn."""
    stopped = [run for run in runs.values() if "final" in run and run["settings"]["patience"] is not None]
    lines = [
        "## Which evaluation is kept",
        "",
        "Of the runs above that stopped by their worth: the return of ten episodes played beside an evaluation, mean",
        "over runs, for the evaluation of the highest worth (which is kept), of the highest fitted value without",
        "caution, for the last one, and for the one that looks best in hindsight, its luck included. The first",
        "evaluation of a run does not count.",
        "",
        "| algorithm | runs | updates in all | by worth | by fitted value | the last | best in hindsight |",
        "|---|---|---|---|---|---|---|",
    ]
    at_limit = []
    for name, label in NAMES.items():
        found = [run["history"] for run in stopped if run["settings"]["algorithm"] == name]
        if not found:
            continue
        ends = np.mean([history[-1]["update"] for history in found])
        kept = [[max(h[1:], key=itemgetter(by))["mean"] for h in found] for by in ("worth", "fitted_value", "mean")]
        kept.insert(2, [h[-1]["mean"] for h in found])
        lines.append(
            f"| {label} | {len(found)} | {ends:,.0f} | " + " | ".join(f"{np.mean(means):.1f}" for means in kept) + " |"
        )
        gains = [gain for gain in map(late_gain, found) if gain > 0.0]
        if gains:
            at_limit.append(f"{len(gains)} of {label}, by {100 * np.median(gains):.1f} % in the median")
    if at_limit:
        lines += ["", f"At the limit of 200,000 updates the worth had risen within the last {PATIENCE} evaluations in"]
        lines += [f"{'; '.join(at_limit)}.", "IQL's actor learns ever more slowly, and not at all at the limit."]
    return "\n".join(lines)


def late_gain(history: list[dict[str, Any]]) -> float:
    """By what share the worth rose in the evaluations that would have ended the run, had it not."""
    before, late = (max(entry["worth"] for entry in part) for part in (history[1:-PATIENCE], history[-PATIENCE:]))
    return float((late - before) / abs(before))


def at(history: list[dict[str, Any]], update: int) -> float:
    """The return of ten episodes after so many updates, or at the end of a run that stopped before."""
    return float(next((entry for entry in history if entry["update"] >= update), history[-1])["mean"])


def as_run(training: dict[str, Any]) -> dict[str, Any]:
    """A training of ``criteria.py`` as a run of ``teachers.py``: with the algorithm's own target rate."""
    points = zip(training["updates"], training["returns"], strict=True)
    history = [{"update": update, "mean": mean} for update, mean in points]
    return {"history": history, "settings": {"target_rate": None}}


def pace(runs: Runs, before: Runs, trainings: Runs) -> str:
    """Returns on the way, with the targets' usual rate and with that of today, of the runs that have both.

    ``trainings`` are those that the criteria were tried on: they count where there is no run.
    """
    today = {name: as_run(entry) for name, entry in trainings.items()} | runs
    heads = " | ".join(f"{update:,}" for update in ON_THE_WAY)
    lines = [
        "## How fast targets follow",
        "",
        "A value spreads by one step of the environment while the target networks catch up once, in 1 / τ updates.",
        "Return of ten episodes after so many updates or a little later, mean over the same files and seeds; trainings",
        "of today that had ended count with their last evaluation.",
        "",
        f"| algorithm | τ | runs | {heads} |",
        "|---|---|---|" + "---|" * len(ON_THE_WAY),
    ]
    for name, label in NAMES.items():
        long = [key for key, run in before.items() if run["history"][-1]["update"] >= ON_THE_WAY[-1]]
        both = [key for key in sorted(long) if f"-{name}-" in key and key in today]
        for group in (before, today) if both else ():
            rate = TeachConfig("any", algorithm=name, target_rate=group[both[0]]["settings"]["target_rate"])
            means = [np.mean([at(group[key]["history"], update) for key in both]) for update in ON_THE_WAY]
            cells = " | ".join(f"{mean:.1f}" for mean in means)
            lines.append(f"| {label} | {rate.settings.target_rate:g} | {len(both)} | {cells} |")
    return "\n".join(lines)


def criteria(results: Runs) -> str:
    """How fits of several kinds go with returns along trainings, and what the policy earns that each likes best."""
    found = list(results.values())
    trainings = "; ".join(f"{entry['algorithm']} on {entry['file']}" for entry in found)
    end, best = (np.mean([pick(entry["returns"]) for entry in found]) for pick in (itemgetter(-1), max))
    lines = [
        "## Which offline criterion",
        "",
        "Ten policies along a training, each of which played ten episodes, and fitted Q-evaluation of one after the",
        f"other (`benchmarks/criteria.py`), mean over {len(found)} trainings:",
        f"{trainings}.",
        "*Correlation* is that with the return; beside it the return of the policy that the criterion likes best. The",
        f"last policies earn {end:.1f}, the best in hindsight {best:.1f}.",
        "*Horizon* is over 1 / (1 − γ) of the training. The last line is the worth, which was chosen by this table.",
        "",
        "| horizon | caution | read at | correlation | return of the best liked |",
        "|---|---|---|---|---|",
    ]
    for name in sorted(found[0]["criteria"], key=lambda name: (name[0] != "3", name)):
        values = [(np.array(entry["criteria"][name]), np.array(entry["returns"])) for entry in found]
        fit = np.mean([np.corrcoef(value, earned)[0, 1] for value, earned in values])
        liked = np.mean([earned[value.argmax()] for value, earned in values])
        lines.append(f"| {' | '.join(name.split(', '))} | {fit:.2f} | {liked:.1f} |")
    return "\n".join(lines)


def draw(runs: Runs, path: Path) -> None:
    files = [file for file in FILES if of_file(runs, file)]
    figure, axes = new_figure(3, height=2.6, width=3.6, rows=-(-len(files) // 3))
    for axis in np.atleast_1d(axes).flat[len(files) :]:
        axis.set_visible(False)
    for axis, file in zip(np.atleast_1d(axes).flat, files, strict=False):
        for name, colour in COLOURS.items():
            for entry in of_file(runs, file).get(name, []):
                history = entry.get("history", [])
                points = [h["update"] / 1000 for h in history], [h["mean"] for h in history]
                axis.plot(*points, color=colour, label=name, marker="o" if len(history) == 1 else None, markersize=4)
        axis.set_title(file, fontsize=9)
        axis.set_xlabel("thousand updates", fontsize=8)
        handles = dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        axis.legend(handles.values(), handles.keys(), fontsize=7, frameon=False)
    figure.supylabel("normalised return", fontsize=9)
    save_figure(figure, path)
