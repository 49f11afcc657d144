"""Tables and picture of the distillates of the data's states: intervals, ablations, numbers of pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmarks.experiments import load_records
from benchmarks.experiments.distillates import MAIN, SIZES
from benchmarks.files import FILES
from benchmarks.grid import Record
from benchmarks.pages.retention import format_interval, format_retention, resample, retention
from benchmarks.pages.text import average, make_table, select_records
from potstill.evaluation.statistics import interquartile_mean
from potstill.reports.plots import BLUE, GREEN, make_figure, save_figure

KINDS = ("student", "ensemble")
FILE_HEADS = (
    *("file", "seeds", "teacher", "random pairs", "one student", "spread", "ensemble"),
    *("retention: one, ensemble", "s"),
)
PAIRS = """\
Mean scores of one student and of the ensemble, `--states data` with default settings, one distillation seed;
times are on one core."""
CURVES = """\
Retention and return over outer steps and over seconds of distillation, for the default of `--states data` and for the
paper's recipe. Each point has two students × five episodes. Interquartile means over files and seeds; bands are 95 %
bootstrap intervals.

![Retention and return over outer steps and seconds](images/engine.png)"""


def load_records_with_teacher_scores() -> list[Record]:
    """The records of the nine files, each with the mean of its teacher's hundred episodes as ``teacher_score``."""
    teachers = select_records(load_records("fixed-teachers"), method="100 episodes")
    scores = {record["file"]: float(record["teacher"]["mean"]) for record in teachers}
    return [{**r, "teacher_score": scores[r["file"]]} for r in load_records("distillates") if r["file"] in scores]


def spread(records: list[Record]) -> float:
    """Standard deviation over a cell's students, as a share of their mean; mean over cells."""
    return float(np.mean([r["student"]["std"] / max(r["student"]["mean"], 1e-9) for r in records]))


def files_table(method: str) -> str:
    """A row for each file, and their mean."""
    rng, found, lines = np.random.default_rng(0), select_records(load_records_with_teacher_scores(), method=method), []
    for file in FILES:
        if not (group := select_records(found, file=file)):
            continue
        shown = []
        for kind in KINDS:
            means = interquartile_mean(resample(group, kind, rng), axis=1)
            every = np.array([r[kind]["returns"] for r in group])
            shown.append(f"{interquartile_mean(every.ravel()):.1f} {format_interval(means)}")
        lines.append(
            [
                *(file, str(len(group)), f"{group[0]['teacher_score']:.1f}", f"{average(group, 'random'):.1f}"),
                *(shown[0], f"{spread(group):.2f}", shown[1]),
                ", ".join(f"{retention(group, kind):.2f}" for kind in KINDS),
                f"{np.median([r['seconds']['distilling'] for r in group]):.0f}",
            ]
        )
    last = [f"{spread(found):.2f}", "", ", ".join(format_retention(found, kind) for kind in KINDS), ""]
    return make_table(FILE_HEADS, [*lines, [f"mean of {len(lines)} files", "", "", "", "", *last]])


def comparison_table(methods: tuple[str, ...], other: str) -> str:
    """A row for each method, with the numbers of ``other`` on the same files and seeds."""
    records, lines = load_records_with_teacher_scores(), []
    for method in methods:
        found = select_records(records, method=method)
        places = {(r["file"], r["seed"]) for r in found}
        same = [r for r in select_records(records, method=other) if (r["file"], r["seed"]) in places]
        numbers = [f"{retention(group, kind):.2f}" for kind in KINDS for group in (found, same)]
        seconds = np.median([r["seconds"]["distilling"] for r in found])
        options = " or ".join(dict.fromkeys(f"`{describe_options(r['command'])}`" for r in found))
        lines.append([method, options, str(len(found)), *numbers, f"{seconds:.0f}"])
    return make_table(("method", "options", "files × seeds", "one student", other, "ensemble", other, "s"), lines)


def describe_options(command: str) -> str:
    """The options of a command that change its pairs, except teacher, states and seed.

    >>> describe_options("potstill distill a.hdf5 --teacher t.safetensors --size 64 --seed 1")
    '--size 64'
    """
    words = [part.strip() for part in command.split(" --")[1:]]
    changed = [f"--{word}" for word in words if word.split()[0] not in ("teacher", "states", "seed", "curve-points")]
    return " ".join(changed) or "none"


def number_of_pairs() -> str:
    """A row for each file and a column for each number of pairs, of the seeds that every number was run with."""
    records = load_records_with_teacher_scores()
    found = {size: select_records(records, method=method) for size, method in SIZES.items()}
    shared = set.intersection(*({(r["file"], r["seed"]) for r in group} for group in found.values()))
    found = {size: [r for r in group if (r["file"], r["seed"]) in shared] for size, group in found.items()}
    lines = []
    for file in (file for file in FILES if any(file == place for place, _ in shared)):
        groups = [select_records(group, file=file) for group in found.values()]
        means = [", ".join(f"{average(group, kind):.1f}" for kind in KINDS) for group in groups]
        lines.append([file, f"{groups[0][0]['teacher_score']:.1f}", *means])
    shares = [", ".join(f"**{retention(group, kind):.2f}**" for kind in KINDS) for group in found.values()]
    lines.append([f"retention, mean of {len({file for file, _ in shared})} files", "", *shares])
    for label, key in (("distillation", "distilling"), ("training ten students", "training")):
        seconds = [f"{np.median([r['seconds'][key] for r in group]):.0f}" for group in found.values()]
        lines.append([f"seconds of {label}", "", *seconds])
    return "\n".join([PAIRS, "", make_table(("file", "teacher", *(f"{size:,} pairs" for size in found)), lines)])


def curves() -> str:
    """The picture of returns during the distillation."""
    return CURVES


def draw(path: Path) -> None:
    """Retention and return over steps and over seconds, a row for each of the main methods."""
    figure, axes = make_figure(4, rows=len(MAIN), width=3.4, height=2.8)
    for row, method in zip(np.atleast_2d(axes), MAIN, strict=True):
        plots = ((unit, share) for share in (True, False) for unit in ("step", "seconds"))
        for axis, (unit, share) in zip(row, plots, strict=True):
            draw_curves(axis, select_records(load_records_with_teacher_scores(), method=method), unit, share)
        row[0].set_title(method, loc="left", fontsize=10)
    save_figure(figure, path)


def draw_curves(axis: Any, records: list[Record], unit: str, share: bool) -> None:
    """Curves of returns or, with ``share``, of retention, interpolated between their points."""
    grid = np.linspace(0.0, float(np.median([r["curve"][-1][unit] for r in records])), 40)
    for kind, colour in zip(KINDS, (BLUE, GREEN), strict=True):
        lines = np.array([interpolate(r, unit, kind, grid) / (r["teacher_score"] if share else 1.0) for r in records])
        rng = np.random.default_rng(0)
        drawn = [interquartile_mean(lines[rng.integers(len(lines), size=len(lines))], axis=0) for _ in range(500)]
        axis.fill_between(grid, *np.quantile(drawn, [0.025, 0.975], axis=0), color=colour, alpha=0.2, linewidth=0)
        axis.plot(grid, interquartile_mean(lines, axis=0), color=colour, label=kind)
    xlabel = "outer steps" if unit == "step" else "seconds"
    axis.set(xlabel=xlabel, ylabel="retention" if share else "normalised return", ylim=(0, None))
    axis.legend(title="band: 95 % interval", frameon=False, fontsize=7, title_fontsize=7)


def interpolate(record: Record, unit: str, kind: str, grid: Float[np.ndarray, " G"]) -> Float[np.ndarray, " G"]:
    """A record's return at the points of ``grid``; after its end it keeps its last value."""
    steps, returns = zip(*((point[unit], point[kind]) for point in record["curve"]), strict=True)
    return np.interp(grid, steps, returns)
