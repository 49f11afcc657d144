"""Plots of results. Their inputs are the contents of result files, and lists of numbers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from potstill.environments.references import normalised_return
from potstill.evaluation.statistics import Result, find_return_label
from potstill.runtime.files import JsonObject, writing

DPI = 120
BLUE, ORANGE, GREEN, GREY = "#2f6db3", "#d9762b", "#3c8c5a", "#8a8a8a"


def make_figure(columns: int = 1, height: float = 3.6, width: float = 5.4, rows: int = 1) -> tuple[Figure, Any]:
    """Make a figure in the common style, and its axes: one, or an array of ``rows`` × ``columns``.

    The figure does not use pyplot, so it does not affect plots in a notebook.

    Args:
        columns: number of axes in a row.
        height: height of each of the axes, in inches.
        width: width of each of the axes, in inches.
        rows: number of rows of axes.
    """
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns)
    for axis in np.atleast_1d(axes).flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
    return figure, axes


def save_figure(figure: Figure, path: Path) -> Path:
    """Write ``figure`` to ``path``, atomically, and return the path."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a name may have letters that the font lacks
        with writing(path) as partial:
            figure.savefig(partial, dpi=DPI, format=path.suffix.removeprefix("."))
    return path


def format_plain(text: str) -> str:
    r"""Keep matplotlib from reading a name with dollar signs as mathematics.

    >>> format_plain("a$b$")
    'a\\$b\\$'
    """
    return text.replace("$", r"\$")


def plot_returns(path: Path, returns: Sequence[float], env_id: str) -> Path:
    """Plot the normalised returns of a collected dataset: in order (left) and as a histogram (right)."""
    scores = normalised_return(np.array(returns or [0.0]), env_id)
    figure, (left, right) = make_figure(2)
    label = find_return_label({"env_id": env_id})
    left.plot(scores, ".", color=BLUE, markersize=3)
    left.set(xlabel="episode", ylabel=label, title=f"{env_id}: {len(returns):,} episodes")
    right.hist(scores, bins=40, color=BLUE)
    right.set(xlabel=label, ylabel="episodes", title=f"mean {scores.mean():.1f}, best {scores.max():.1f}")
    return save_figure(figure, path)


def plot_learning_curve(path: Path, history: Sequence[JsonObject], name: str, label: str) -> Path:
    """Plot a teacher over updates: its returns with their standard deviation, and its estimated values.

    Args:
        path: the image to write.
        history: the evaluations of the teacher.
        name: name of the dataset.
        label: label of the axis of returns.
    """
    updates = _collect_values(history, "update")
    played, estimated = "mean" in history[0], "fitted_value" in history[0]
    figure, axes = make_figure(max(1, played + estimated))
    left, right = np.atleast_1d(axes)[0], np.atleast_1d(axes)[-1]
    if played:
        mean, std = _collect_values(history, "mean"), _collect_values(history, "std")
        band = "± 1 std over episodes"
        left.fill_between(updates, mean - std, mean + std, color=BLUE, alpha=0.2, linewidth=0, label=band)
        left.plot(updates, mean, "o-", color=BLUE, label="mean")
        left.set(xlabel="updates", ylabel=label, title=format_plain(f"teacher on {name}"))
        left.legend(frameon=False, fontsize=8)
        left.set_ylim(bottom=min(0.0, float((mean - std).min())))
    if estimated:
        right.plot(updates, _collect_values(history, "fitted_value"), "o-", color=GREEN, label="fitted Q-evaluation")
        right.plot(
            updates, _collect_values(history, "claimed_value"), "s--", color=ORANGE, label="critics of the teacher"
        )
        right.plot(updates, _collect_values(history, "data_value"), color=GREY, label="policy of the data")
        right.set(xlabel="updates", ylabel="discounted return", title="off-policy estimates")
        right.legend(frameon=False, fontsize=8)
    return save_figure(figure, path)


def _collect_values(history: Sequence[JsonObject], key: str) -> Shaped[np.ndarray, " _"]:
    return np.array([entry[key] for entry in history])


def plot_curve(path: Path, result: Result, losses: Sequence[tuple[int, float]]) -> Path:
    """Plot returns (left) and outer loss (right) over outer steps; teacher and random pairs are horizontal lines.

    A curve of a single point is left out: its numbers are in the table of scores.
    """
    curve = result["curve"]
    steps = [point["step"] for point in curve]
    played = "student" in (curve[0] if curve else {}) and len(curve) > 1
    figure, axes = make_figure(2 if played else 1)
    if played:
        _draw_returns(axes[0], steps, result)
    axis = np.atleast_1d(axes)[-1]
    if losses:
        axis.plot(*zip(*losses, strict=True), color=GREY, linewidth=0.8, label="batches")
    axis.plot(steps, [point["held_out_loss"] for point in curve], "o-", color=ORANGE, label="held-out states")
    axis.set(xlabel="outer steps", ylabel="outer loss", title="outer loss", ylim=(0, None))
    axis.legend(frameon=False)
    return save_figure(figure, path)


def _draw_returns(axis: Axes, steps: Sequence[int], result: Result) -> None:
    curve = result["curve"]
    mean, std = (np.array([point[key] for point in curve]) for key in ("student", "student_std"))
    axis.fill_between(steps, mean - std, mean + std, color=BLUE, alpha=0.2, linewidth=0)
    axis.plot(steps, mean, "o-", color=BLUE, label="one student (± std over students)")
    axis.plot(steps, [point["ensemble"] for point in curve], "s--", color=GREEN, label="ensemble of the students")
    for name, colour, label in (("teacher", ORANGE, "teacher"), ("random", GREY, "random real pairs")):
        if result.get(name):
            axis.axhline(result[name]["mean"], color=colour, linewidth=1.2, label=label)
    axis.set(
        xlabel="outer steps",
        ylabel=find_return_label(result),
        title=format_plain(f"{result['dataset']}, {result['pairs']} pairs"),
    )
    highest = max(axis.get_ylim()[1], float((mean + std).max()))
    axis.set_ylim(bottom=min(0.0, float((mean - std).min())), top=1.3 * highest)  # room for the legend
    axis.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)


def plot_comparison(path: Path, results: Mapping[str, Result]) -> Path:
    """Plot mean returns of teacher, random pairs, student and ensemble in several runs, with standard deviations.

    Args:
        path: the image to write.
        results: the result of each run, by its path.
    """
    kinds = (("teacher", ORANGE), ("random", GREY), ("student", BLUE), ("ensemble", GREEN))
    figure, axis = make_figure(width=max(5.4, 2.0 * len(results)))
    for offset, (kind, colour) in enumerate(kinds):
        found = [(i, result[kind]) for i, result in enumerate(results.values()) if result.get(kind)]
        if found:
            x = [i + 0.2 * (offset - 1.5) for i, _ in found]
            mean, std = ([scores[key] for _, scores in found] for key in ("mean", "std"))
            axis.bar(x, mean, 0.18, yerr=std, color=colour, label=kind, error_kw={"linewidth": 0.8})
    axis.set_xticks(range(len(results)), [format_plain(Path(run).name) for run in results])
    labels = {find_return_label(result) for result in results.values()}
    axis.set(ylabel=" or ".join(sorted(labels)), title="bar = mean, line = ± 1 std over students or episodes")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False, ncols=4, fontsize=8)
    return save_figure(figure, path)


def plot_fine_tuning(path: Path, result: Result) -> Path:
    """Plot the returns of a policy over environment steps, with their standard deviation, and those of the teacher.

    Args:
        path: the image to write.
        result: the result of ``potstill finetune``.
    """
    history = result["history"]
    steps, mean, std = (_collect_values(history, key) for key in ("steps", "mean", "std"))
    figure, axis = make_figure()
    axis.fill_between(steps, mean - std, mean + std, color=BLUE, alpha=0.2, linewidth=0, label="± 1 std over episodes")
    axis.plot(steps, mean, "o-", color=BLUE, label="mean")
    if result["teacher"]:
        axis.axhline(result["teacher"]["mean"], color=ORANGE, linewidth=1.2, label="teacher")
    axis.set(xlabel="environment steps", ylabel=find_return_label(result), title=format_plain(result["env_id"]))
    axis.legend(frameon=False, fontsize=8)
    return save_figure(figure, path)
