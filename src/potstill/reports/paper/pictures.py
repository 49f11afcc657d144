"""Draw a picture of each table and figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from potstill.reports.paper.schema import Convergence, Curve, Posture, Row, ScoreTable, Section
from potstill.reports.plots import BLUE, GREEN, GREY, ORANGE, make_figure, save_figure

PURPLE = "#7b4ea3"
COLOURS = {
    "dbc": GREY,
    "pbc": BLUE,
    "av-pbc": ORANGE,
    "q-gap": GREEN,
    "potstill": PURPLE,
    "bc": GREY,
    "data": GREY,
}
SCORE = "normalised return"


def _find_colour(key: str) -> str:
    return COLOURS.get(key.removeprefix("paper-").removeprefix("equal-"), BLUE)


def plot_scores(path: Path, table: ScoreTable) -> Path:
    """Draw horizontal bars with intervals, the paper's numbers as crosses, and the teacher as a line, per dataset."""
    rows = sum(len(section.rows) + 1 for section in table.sections)
    count = len(table.datasets)
    figure, axes = make_figure(min(count, 3), rows=-(-count // 3), height=0.9 + 0.24 * rows, width=6.4)
    for axis, dataset in zip(np.atleast_1d(axes).flat, table.datasets, strict=False):
        _draw_bars(axis, table.sections, dataset.label)
        if dataset.teacher is not None:
            axis.axvline(dataset.teacher.mean, color=GREY, linewidth=1.0, linestyle="--")
            axis.set_xlim(right=max(axis.get_xlim()[1], 1.04 * dataset.teacher.mean))
        axis.set(xlabel=f"{SCORE} (line: 95 % interval; dashed: teacher)", title=dataset.label)
    for axis in list(np.atleast_1d(axes).flat)[count:]:
        axis.set_visible(False)
    return save_figure(figure, path)


def _draw_bars(axis: Axes, sections: Sequence[Section], dataset: str) -> None:
    ticks: list[tuple[float, str]] = []
    place, lowest = 0.0, 0.0
    marked = False
    for number, section in enumerate(sections):
        ticks.append((place, section.title))
        for row in section.rows:
            place += 1.0
            ticks.append((place, row.label))
            score, paper = row.scores.get(dataset), row.paper.get(dataset)
            if score is not None:
                error = [[score.mean - score.low], [score.high - score.mean]]
                colour = (BLUE, PURPLE, ORANGE, GREEN)[number % 4]
                axis.barh(place, score.mean, 0.7, xerr=error, color=colour, error_kw={"linewidth": 0.9})
                lowest = min(lowest, score.low)
            if paper is not None:
                label = None if marked else "paper"
                axis.plot(paper, place, "kx", markersize=6, label=label)
                marked = True
        place += 1.4
    axis.set_yticks([at for at, _ in ticks], [text for _, text in ticks], fontsize=8)
    headings = {section.title for section in sections}
    for tick in axis.get_yticklabels():
        if tick.get_text() in headings:
            tick.set_fontweight("bold")
    axis.grid(visible=False, axis="y")
    axis.set_xlim(left=lowest)
    axis.invert_yaxis()
    if marked:
        axis.legend(frameon=False, fontsize=8)


def plot_sizes(path: Path, table: ScoreTable) -> Path:
    """Draw our scores with intervals and the paper's scores over the number of pairs, for each dataset."""
    figure, axes = make_figure(len(table.datasets))
    for axis, dataset in zip(np.atleast_1d(axes).flat, table.datasets, strict=True):
        axis.set_xscale("log", base=2)
        for section, colour in zip(table.sections, (ORANGE, PURPLE), strict=False):
            _draw_sizes(axis, section.rows, dataset.label, section.title, colour)
        if dataset.teacher is not None:
            axis.axhline(dataset.teacher.mean, color=GREY, linewidth=1.0, linestyle="--", label="teacher")
        axis.set(xlabel="N, pairs (band: 95 % interval)", ylabel=SCORE, title=dataset.label)
        axis.legend(frameon=False, fontsize=8)
    return save_figure(figure, path)


def _draw_sizes(axis: Axes, rows: Sequence[Row], dataset: str, label: str, colour: str) -> None:
    sizes = [int(row.label.split(" ")[0].replace(",", "")) for row in rows]
    found = [(size, row.scores[dataset]) for size, row in zip(sizes, rows, strict=True) if row.scores.get(dataset)]
    x = [size for size, _ in found]
    low, mean, high = (np.array([getattr(score, name) for _, score in found]) for name in ("low", "mean", "high"))
    axis.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    axis.plot(x, mean, "o-", color=colour, label=label)
    paper = [(size, row.paper.get(dataset)) for size, row in zip(sizes, rows, strict=True)]
    known = [(size, value) for size, value in paper if value is not None]
    if known:
        axis.plot(*zip(*known, strict=True), "kx:", markersize=6, linewidth=0.8, label="the paper's Av-PBC")
    axis.set_xticks(sizes, [f"{size:,}" for size in sizes])


def plot_convergence(path: Path, lines: Sequence[Convergence]) -> Path:
    """Draw held-out losses, relative to their lowest value, over steps; the step of convergence is marked."""
    datasets = list(dict.fromkeys(line.dataset for line in lines))
    figure, axes = make_figure(len(datasets))
    for axis, dataset in zip(np.atleast_1d(axes).flat, datasets, strict=True):
        for line in (line for line in lines if line.dataset == dataset):
            for seed, losses in enumerate(line.losses):
                steps, values = np.array(losses).T
                values = values / values.min()
                axis.plot(
                    steps, values, color=_find_colour(line.key), linewidth=1.0, label=None if seed else line.label
                )
            axis.axvline(line.steps, color=_find_colour(line.key), linewidth=0.9, linestyle=":")
        axis.axhline(1.05, color=GREY, linewidth=0.7)
        axis.set_xscale("symlog", linthresh=10)
        axis.set_yscale("log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter("{x:g}")
        axis.xaxis.set_major_formatter("{x:,g}")
        axis.set(xlabel="training steps (dotted: convergence)", ylabel="held-out loss / its lowest", title=dataset)
        axis.set_xlim(left=0)
        axis.legend(frameon=False, fontsize=8)
    return save_figure(figure, path)


def plot_return_curves(path: Path, curves: Sequence[Curve]) -> Path:
    """Draw scores over outer steps: one row of axes per dataset, the paper's method left, potstill's solver right.

    Lines are means over distillation seeds, bands their ranges.
    """
    datasets = list(dict.fromkeys(curve.dataset for curve in curves))
    figure, axes = make_figure(2, rows=len(datasets))
    titles = ("as in the paper", "kernel descent")
    for pair, dataset in zip(np.atleast_2d(axes), datasets, strict=True):
        for axis, groups, title in zip(pair, (("paper",), ("equal", "potstill")), titles, strict=True):
            for curve in (c for c in curves if c.dataset == dataset and c.group in groups):
                scores, colour = np.array(curve.seeds), _find_colour(curve.key)
                axis.fill_between(curve.steps, scores.min(0), scores.max(0), color=colour, alpha=0.2, linewidth=0)
                axis.plot(curve.steps, scores.mean(0), "o-", color=colour, markersize=3, label=curve.label)
                if curve.paper is not None:
                    axis.axhline(curve.paper, color=colour, linewidth=0.9, linestyle=":")
            axis.set(xlabel="outer steps (band: range over seeds)", ylabel=SCORE, title=f"{dataset}, {title}")
            axis.title.set_fontsize(9)
            if axis.lines:
                axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
                axis.legend(frameon=False, fontsize=8)
        pair[0].set_xlabel("outer steps (band: range over seeds; dotted: the paper's Table 1)")
    return save_figure(figure, path)


def plot_postures(path: Path, lines: Sequence[Posture]) -> Path:
    """Draw the errors of angle and height before and after one step, with intervals; one row of axes per dataset."""
    datasets = list(dict.fromkeys(line.dataset for line in lines))
    figure, axes = make_figure(2, rows=len(datasets), height=3.2)
    for pair, dataset in zip(np.atleast_2d(axes), datasets, strict=True):
        for axis, quantity, unit in zip(pair, ("angle", "height"), ("rad", "m"), strict=True):
            own = [line for line in lines if line.dataset == dataset and line.quantity == quantity]
            for place, line in enumerate(own):
                for shift, values, style in ((-0.12, line.before, "o"), (0.12, line.after, "s")):
                    mean, low, high = values
                    face = _find_colour(line.key) if style == "o" else "white"
                    error = [[mean - low], [high - mean]]
                    axis.errorbar(
                        place + shift, mean, error, fmt=style, color=_find_colour(line.key), mfc=face, capsize=3
                    )
            axis.set_xticks(range(len(own)), [f"{line.label}\n{line.states:,} states" for line in own], fontsize=8)
            axis.set(xlim=(-0.6, len(own) - 0.4), ylabel=f"error of the torso's {quantity}, {unit}", title=dataset)
            axis.set_ylim(bottom=0)
            axis.title.set_text(f"{dataset}: filled before, open after one step; 95 % intervals")
            axis.title.set_fontsize(9)
    return save_figure(figure, path)
