"""The distillates' part of ``docs/results.md`` and its picture, made of the cells of engine.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from engine import ABLATION, FIXED, OF_PAPER
from jaxtyping import Float
from teachers import FILES

from potstill.evaluation.statistics import interquartile_mean
from potstill.reports.plots import BLUE, GREEN, new_figure

Cell = dict[str, Any]
KINDS = ("student", "ensemble")
RESAMPLES = 2000
MAIN = ("default", "paper-recipe")
SIZES = {16: "16-pairs", 64: "64-pairs", 256: "default", 1024: "1024-pairs"}
HEAD = """## Distillates

256 pairs from `potstill distill FILE --teacher TEACHER` without further options, by `benchmarks/engine.py`; the
method `paper-recipe` adds `--recipe paper`. Each cell of the benchmark is a distillation seed: ten students × ten
episodes, their ensemble ten more. Interquartile means over all of them, in brackets 95 % bootstrap intervals
(seeds are drawn anew, then students, then episodes); *spread* is the standard deviation over a cell's students,
mean over cells, as a share of their mean; *retention* is the mean over that of the teacher, which played a hundred
episodes of its own; seconds are of the distillation alone, on one core. The default settings (students, noise,
weights, solver, and the noise and action limit of the paper's recipe) were chosen by returns on these same files,
mostly on seed 0: other data may gain less.
"""


def of(cells: list[Cell], method: str, file: str | None = None) -> list[Cell]:
    return [c for c in cells if c.get("method") == method and file in (None, c["file"])]


def redrawn(cells: list[Cell], kind: str, rng: np.random.Generator) -> Float[np.ndarray, " R"]:
    """Returns of one resampling: as many seeds, of each as many students, of each as many episodes."""
    found = []
    for cell in (cells[i] for i in rng.integers(len(cells), size=len(cells))):
        returns = np.array(cell[kind]["returns"])
        who = rng.integers(len(returns), size=(len(returns), 1))
        found.append(returns[who, rng.integers(returns.shape[1], size=returns.shape)].ravel())
    return np.concatenate(found)


def interval(values: list[float], digits: int = 1) -> str:
    low, high = np.quantile(values, [0.025, 0.975])
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def teacher_of(cells: list[Cell]) -> float:
    """Mean of the file's teacher over its own hundred episodes."""
    return float(cells[0]["teacher_score"])


def retention(cells: list[Cell], kind: str) -> float:
    """Mean of the files' retentions."""
    files = dict.fromkeys(c["file"] for c in cells)
    groups = [[c for c in cells if c["file"] == file] for file in files]
    return float(np.mean([np.mean([c[kind]["mean"] for c in group]) / teacher_of(group) for group in groups]))


def retention_interval(cells: list[Cell], kind: str, resamples: int) -> str:
    """Stratified by file: every file keeps its share."""
    rng, values = np.random.default_rng(0), []
    groups = [of_file for file in FILES if (of_file := [c for c in cells if c["file"] == file])]
    for _ in range(resamples):
        values.append(float(np.mean([redrawn(group, kind, rng).mean() / teacher_of(group) for group in groups])))
    return interval(values, 2)


def spread(cells: list[Cell]) -> float:
    """Standard deviation over a cell's students, as a share of their mean; mean over cells."""
    return float(np.mean([c["student"]["std"] / max(c["student"]["mean"], 1e-9) for c in cells]))


def files_table(cells: list[Cell], method: str) -> str:
    """A row a file, and their mean."""
    lines = [
        f"### {method}",
        "",
        "| file | seeds | teacher | random pairs | one student | spread | ensemble | retention: one, ensemble | s |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rng, found = np.random.default_rng(0), of(cells, method)
    for file in FILES:
        if not (group := of(found, method, file)):
            continue
        shown = []
        for kind in KINDS:
            every = np.concatenate([np.array(c[kind]["returns"]).ravel() for c in group])
            means = [interquartile_mean(redrawn(group, kind, rng)) for _ in range(RESAMPLES)]
            shown.append(f"{interquartile_mean(every):.1f} {interval(means)}")
        random = np.mean([c["random"]["mean"] for c in group])
        kept = ", ".join(f"{retention(group, kind):.2f}" for kind in KINDS)
        seconds = np.median([c["seconds"]["distilling"] for c in group])
        lines.append(
            f"| {file} | {len(group)} | {teacher_of(group):.1f} | {random:.1f} | {shown[0]} | {spread(group):.2f} | "
            f"{shown[1]} | {kept} | {seconds:.0f} |"
        )
    kept = ", ".join(f"**{retention(found, kind):.2f}** {retention_interval(found, kind, RESAMPLES)}" for kind in KINDS)
    files = len({c["file"] for c in found})
    lines.append(f"| mean of {files} files | | | | | {spread(found):.2f} | | {kept} | |")
    return "\n".join(lines)


def headline(cells: list[Cell], bounds: dict[str, dict[str, Any]]) -> str:
    """The default in short, for the README: means of each file, and what they and all states keep of the teachers."""
    found = of(cells, "default")
    seconds = np.median([c["seconds"]["distilling"] for c in found])
    lines = [
        f"Nine D4RL-like datasets, {len({c['seed'] for c in found})} distillation seeds × ten students × ten episodes,",
        f"mean normalised returns; {seconds:.0f} s of distilling on one core (median), 256 pairs.",
        "",
        "| dataset | teacher | one student | ensemble of ten |",
        "|---|---|---|---|",
    ]
    for file in FILES:
        group = of(found, "default", file)
        one, together = (np.mean([c[kind]["mean"] for c in group]) for kind in KINDS)
        lines.append(f"| {file} | {teacher_of(group):.1f} | {one:.1f} | {together:.1f} |")
    kept = [f"**{retention(found, kind):.2f}** {retention_interval(found, kind, RESAMPLES)}" for kind in KINDS]
    lines.append(f"| share of the teacher's, mean of the files | | {' | '.join(kept)} |")
    clones = [entry["relabelled_default"] for entry in bounds.values()]
    scores = np.array([[clone[kind]["mean"] for kind in KINDS] for clone in clones])
    whole = scores / np.array([[entry["teacher"]["mean"]] for entry in bounds.values()])
    label = f"the same students ({clones[0]['student']['policies']}) trained on all states, with the teacher's actions"
    lines.append(f"| {label} | | " + " | ".join(f"{share:.2f}" for share in whole.mean(axis=0)) + " |")
    return "\n".join(lines)


def beside(cells: list[Cell], methods: tuple[str, ...], other: str = "default") -> list[str]:
    """A row a method, each beside an ``other`` on the same files and seeds."""
    lines = [
        f"| method | options | files × seeds | one student | {other} | ensemble | {other} | s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for method in methods:
        found = of(cells, method)
        places = {(c["file"], c["seed"]) for c in found}
        same = [c for c in of(cells, other) if (c["file"], c["seed"]) in places]
        if not found or len(same) < len(found):
            continue
        numbers = [f"{retention(group, kind):.2f}" for kind in KINDS for group in (found, same)]
        seconds = np.median([c["seconds"]["distilling"] for c in found])
        options = " or ".join(dict.fromkeys(f"`{options_of(c)}`" for c in found))
        lines.append(f"| {method} | {options} | {len(found)} | {' | '.join(numbers)} | {seconds:.0f} |")
    return lines


def options_of(cell: Cell) -> str:
    """The options of a cell's command that change its pairs, but for teacher and seed."""
    words = [part.strip() for part in cell["command"].split(" --")[1:]]
    kept = [f"--{word}" for word in words if word.split()[0] not in ("teacher", "seed", "curve-points")]
    return " ".join(kept) or "none"


def scored(entries: dict[str, Cell], teachers: dict[str, Cell]) -> list[Cell]:
    """The cells that were run with a file's present teacher, each with the score of that."""
    fitting = [c for c in entries.values() if c["teacher_sha256"] == teachers[c["file"]]["teacher_sha256"]]
    return [{**c, "teacher_score": teachers[c["file"]]["teacher"]["mean"]} for c in fitting]


def other_teachers(cells: list[Cell], best: dict[str, Cell]) -> str:
    """The files whose best teacher by return is not the fixed one: what students of either earn."""
    lines = [
        "### Better teachers, worse students",
        "",
        "The fixed teachers come from older runs, those of `benchmarks/results/teachers-before` and of the slower",
        "algorithms: each file's is the one of the highest return there, but for the files below. On these a run of",
        "IQL, on HalfCheetah of EDAC, earned more, and its students less. Mean scores of one student and of the",
        "ensemble, default settings.",
        "",
        "| file | fixed teacher | score | seeds | one, ensemble | best by return | seeds | one, ensemble |",
        "|---|---|---|---|---|---|---|---|",
    ]
    top = {entry["file"]: entry["teacher"]["mean"] for name, entry in best.items() if name.endswith("-teacher")}
    for file, run in FIXED.items():
        groups = of(cells, "default", file), of(list(best.values()), "default", file)
        if not all(groups):
            continue
        own, other = (", ".join(f"{np.mean([c[kind]['mean'] for c in g]):.1f}" for kind in KINDS) for g in groups)
        name = run.removeprefix(f"{file}-")
        lines.append(
            f"| {file} | {name} | {teacher_of(groups[0]):.1f} | {len(groups[0])} | {own} | "
            f"{top[file]:.1f} | {len(groups[1])} | {other} |"
        )
    over = [{**c, "teacher_score": top.get(c["file"], c["teacher_score"])} for c in of(cells, "default")]
    kept = ", ".join(f"{retention(over, kind):.2f}" for kind in KINDS)
    over_best = f"Over the best by return of those runs in every file, retention (one student, ensemble) is {kept}."
    return "\n".join([*lines, "", over_best])


def number_of_pairs(cells: list[Cell]) -> str:
    """A row a file and a column a number of pairs, of the seeds that every number was run with."""
    found = {size: of(cells, method) for size, method in SIZES.items()}
    shared = set.intersection(*({(c["file"], c["seed"]) for c in group} for group in found.values()))
    found = {size: [c for c in group if (c["file"], c["seed"]) in shared] for size, group in found.items()}
    heads = " | ".join(f"{size:,} pairs" for size in found)
    lines = [NUMBER, "", f"| file | teacher | {heads} |", "|---" * (2 + len(found)) + "|"]
    for file in (file for file in FILES if any(file == place for place, _ in shared)):
        groups = [[c for c in group if c["file"] == file] for group in found.values()]
        means = [", ".join(f"{np.mean([c[kind]['mean'] for c in g]):.1f}" for kind in KINDS) for g in groups]
        lines.append(f"| {file} | {teacher_of(groups[0]):.1f} | {' | '.join(means)} |")
    kept = [", ".join(f"**{retention(group, kind):.2f}**" for kind in KINDS) for group in found.values()]
    lines.append(f"| retention, mean of {len({file for file, _ in shared})} files | | {' | '.join(kept)} |")
    for label, key in (("distilling", "distilling"), ("training ten students", "training")):
        seconds = [f"{np.median([c['seconds'][key] for c in group]):.0f}" for group in found.values()]
        lines.append(f"| seconds of {label} | | {' | '.join(seconds)} |")
    return "\n".join(lines)


def engine(cells: list[Cell], best: dict[str, Cell]) -> str:
    """All tables of the distillates."""
    parts = [HEAD.rstrip(), *(files_table(cells, method) for method in MAIN if of(cells, method))]
    parts.append(other_teachers(cells, best))
    if any(of(cells, method) for method in ABLATION):
        text = "### One part taken away at a time\n\nRetention, mean over files, beside the default's there."
        parts.append("\n".join([text, "", *beside(cells, ABLATION)]))
    if any(of(cells, method) for method in OF_PAPER):
        text = "### The paper's recipe, with what it needs taken away\n\nRetention as above."
        parts.append("\n".join([text, "", *beside(cells, OF_PAPER, "paper-recipe")]))
    if all(of(cells, method) for method in SIZES.values()):
        parts.append(number_of_pairs(cells))
    return "\n\n".join([*parts, CURVES])


NUMBER = """### Number of pairs

Mean scores of one student and of the ensemble, default settings, one distillation seed; times are of one core."""

CURVES = """### On the way

Retention and return over outer steps and over seconds of distilling, for the default and for the paper's recipe: two
students × five episodes at each point; interquartile means over files and seeds, bands are 95 % bootstrap intervals.

![Retention and return over outer steps and seconds](images/engine.png)"""


def draw(cells: list[Cell], path: Path, save: Callable[[Any, Path], Path]) -> None:
    """Retention and return over steps and over seconds, a row for each of the main methods."""
    figure, axes = new_figure(4, rows=len(MAIN), width=3.4, height=2.8)
    for row, method in zip(np.atleast_2d(axes), MAIN, strict=True):
        plots = ((unit, share) for share in (True, False) for unit in ("step", "seconds"))
        for axis, (unit, share) in zip(row, plots, strict=True):
            draw_one(axis, of(cells, method), unit, share)
        row[0].set_title(method, loc="left", fontsize=10)
    save(figure, path)


def draw_one(axis: Any, cells: list[Cell], unit: str, share: bool) -> None:
    """What students earn, or with ``share`` keep of their teacher's; every cell interpolated between its points."""
    grid = np.linspace(0.0, float(np.median([c["curve"][-1][unit] for c in cells])), 40)
    for kind, colour in zip(KINDS, (BLUE, GREEN), strict=True):
        lines = np.array([along(c, unit, kind, grid) / (c["teacher_score"] if share else 1.0) for c in cells])
        rng = np.random.default_rng(0)
        drawn = [interquartile_mean(lines[rng.integers(len(lines), size=len(lines))], axis=0) for _ in range(500)]
        axis.fill_between(grid, *np.quantile(drawn, [0.025, 0.975], axis=0), color=colour, alpha=0.2, linewidth=0)
        axis.plot(grid, interquartile_mean(lines, axis=0), color=colour, label=kind)
    xlabel = "outer steps" if unit == "step" else "seconds"
    axis.set(xlabel=xlabel, ylabel="retention" if share else "normalised return", ylim=(0, None))
    axis.legend(frameon=False, fontsize=7)


def along(cell: Cell, unit: str, kind: str, grid: Float[np.ndarray, " G"]) -> Float[np.ndarray, " G"]:
    """A cell's return at the points of ``grid``; it keeps its last value."""
    steps, returns = zip(*((p[unit], p[kind]) for p in cell["curve"]), strict=True)
    return np.interp(grid, steps, returns)
