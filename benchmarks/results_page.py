"""The page ``docs/results.md`` and its pictures, made of the result files that the benchmarks leave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bounds_page
import engine_page
import numpy as np
import sizes_page
from teachers import FILES, PATIENCE

from potstill.reports.plots import BLUE, GREEN, GREY, ORANGE, new_figure, save_figure

HERE = Path(__file__).parent
RESULTS = HERE / "results"
IMAGES = HERE.parent / "docs" / "images"
# Final scores on D4RL's own files, published with CORL; Cal-QL's are those of the distillation paper.
PUBLISHED = {
    "ReBRAC": (64.0, 51.2, 103.8, 102.3, 95.0, 109.5, 85.8, 84.3, 111.9),
    "IQL": (48.3, 44.5, 94.7, 67.5, 97.4, 107.4, 80.9, 82.2, 111.7),
    "Cal-QL": (47.6, 45.8, 50.8, 56.4, 98.0, 107.3, 84.0, 87.4, 109.0),
    "EDAC": (67.7, 62.1, 104.8, 101.7, 99.7, 105.2, 93.4, 87.1, 114.8),
}
COLOURS = {"bc": GREY, "rebrac": BLUE, "iql": ORANGE, "cal-ql": GREEN, "edac": "#7d5ba6"}
SLOWER = {"cal-ql": "Cal-QL", "edac": "EDAC"}
ORDER = [
    f"{b}-{x}" for b in ("halfcheetah", "hopper", "walker2d") for x in ("medium", "medium-replay", "medium-expert")
]

HEAD = """# Results

Everything below is made by `python benchmarks/readme.py` from the files in `benchmarks/results/`, which hold
every episode's return and the command that made it. Scores are D4RL-normalised returns in Gymnasium's `-v4`
environments.

The nine files are not D4RL's: same environments, levels and layout, but a tenth to a half of the rows, other
behaviour policies (SAC's own training, agents of middling skill, TQC experts), and for Walker2d weaker ones
(medium-replay earns {walker:.0f} on average). Published scores stand beside ours for orientation, not for
comparison.
"""


def load(folder: str) -> dict[str, dict[str, Any]]:
    return {path.stem: json.loads(path.read_text()) for path in sorted((RESULTS / folder).glob("*.json"))}


def of_file(runs: dict[str, dict[str, Any]], file: str) -> dict[str, list[dict[str, Any]]]:
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
    found = [f"{e['updates'] // 1000} of {e['history'][-1]['update'] // 1000}k" for e in entries if "final" in e]
    return ", ".join(found) or "–"


def teachers(runs: dict[str, dict[str, Any]]) -> str:
    papers = ", ".join(PUBLISHED)
    lines = [
        "## Teachers",
        "",
        "Trained with `potstill teach` for 100,000 updates (BC 30,000, the oldest ReBRAC runs 150,000). Where fewer",
        "are named, the run ended when the fitted value (fitted Q-evaluation, no environment) had not risen for four",
        "evaluations, and the teacher of the highest was kept; in others the last. Twenty episodes at the",
        "end; ± is over seeds or, of a single seed, over episodes. Commands: `benchmarks/teachers.py`.",
        "",
        f"| file | rows | data: mean, best | BC | ReBRAC | updates | IQL | updates | published {papers} |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for file in FILES:
        found = of_file(runs, file)
        if not found:
            continue
        data = next(iter(found.values()))[0]["data"]
        others = ", ".join(f"{scores[ORDER.index(file)]}" for scores in PUBLISHED.values())
        trained = [f"{score(found.get(name, []))} | {updates_of(found.get(name, []))}" for name in ("rebrac", "iql")]
        cells = " | ".join([score(found.get("bc", [])), *trained])
        lines.append(f"| {file} | {data['rows']:,} | {data['mean']:.1f}, {data['best']:.1f} | {cells} | {others} |")
    return "\n".join([*lines, *slower(runs), "", "![Learning curves](images/teachers.png)"])


def slower(runs: dict[str, dict[str, Any]]) -> list[str]:
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


def kept(history: list[dict[str, Any]], by: str) -> tuple[int, float]:
    """When patience with ``by`` would have stopped a run, in evaluations, and the return of what it would keep."""
    best = 0
    for i, entry in enumerate(history):
        best = i if entry[by] > history[best][by] else best
        if i - best >= PATIENCE:
            break
    return i + 1, history[best]["mean"]


def stopping(runs: dict[str, dict[str, Any]]) -> str:
    """What ``--patience`` would have made of runs that went on to their end."""
    whole = [e for e in runs.values() if "worth" in e.get("history", [{}])[-1] and e["settings"]["patience"] is None]
    lines = [
        "## What stopping early would have cost",
        "",
        f"Runs that went on to their last update, and what `--patience {PATIENCE}` would have kept of them, had it",
        "watched the worth (as it does) or the fitted value without caution: the return of ten episodes played beside",
        "each evaluation, mean over runs.",
        "",
        "| algorithm | runs | to the end | by worth | stopped after | by fitted value | stopped after |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, label in (("rebrac", "ReBRAC"), ("iql", "IQL")):
        found = [entry["history"] for entry in whole if entry["settings"]["algorithm"] == name]
        if not found:
            continue
        end = np.mean([history[-1]["mean"] for history in found])
        cells = []
        for by in ("worth", "fitted_value"):
            counts, returns = zip(*(kept(history, by) for history in found), strict=True)
            share = np.mean([n / len(history) for n, history in zip(counts, found, strict=True)])
            cells.append(f"{np.mean(returns):.1f} | {share:.0%}")
        lines.append(f"| {label} | {len(found)} | {end:.1f} | {cells[0]} | {cells[1]} |")
    return "\n".join(lines)


def teacher_curves(runs: dict[str, dict[str, Any]]) -> None:
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
    save_figure(figure, IMAGES / "teachers.png")


def updates() -> str:
    result = json.loads((RESULTS / "updates.json").read_text())
    lines = [
        "## Updates a second",
        "",
        f"Hopper's sizes, batch {result['batch']}, in turn with the same losses in plain PyTorch; medians.",
        "",
        "| cores | algorithm | updates a second | PyTorch | times faster |",
        "|---|---|---|---|---|",
    ]
    for entry in result["runs"]:
        rows = entry["updates_per_second"]
        for name in (name for name in rows if name.startswith("potstill")):
            plain = rows.get(name.replace("potstill", "torch"))
            other = f"{plain['rate']:.0f} | {rows[name]['times_faster_than_torch']:.2f}" if plain else "– | –"
            lines.append(f"| {entry['cores']} | {name.split()[1]} | {rows[name]['rate']:.0f} | {other} |")
    return "\n".join(lines)


def distillates() -> list[dict[str, Any]]:
    return engine_page.scored(load("engine"), load("engine-teachers"))


def page() -> str:
    """The page's text."""
    runs = load("teachers")
    head = HEAD.format(walker=of_file(runs, "walker2d-medium-replay")["rebrac"][0]["data"]["mean"])
    parts = [head.rstrip(), teachers(runs), stopping(runs), bounds_page.auto(runs)]
    parts.append(engine_page.engine(distillates(), load("engine-best")))
    if measured := load("sizes"):
        parts.append(sizes_page.sizes(measured))
    if measured := load("bounds"):
        parts.append(bounds_page.bounds(measured))
    if (RESULTS / "updates.json").exists():
        parts.append(updates())
    return "\n\n".join(parts) + "\n"


def draw() -> None:
    """The page's pictures."""
    teacher_curves(load("teachers"))
    engine_page.draw(distillates(), IMAGES / "engine.png", save_figure)
    if measured := load("sizes"):
        sizes_page.draw(measured, IMAGES / "sizes.png", save_figure)
