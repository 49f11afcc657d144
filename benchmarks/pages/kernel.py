"""Tables and picture of the page on kernel descent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks.experiments import load_records
from benchmarks.experiments.kernel_width import SCHEMES
from benchmarks.experiments.solvers import VARIANTS
from benchmarks.grid import Record
from benchmarks.pages.text import format_file_label, make_table, select_records
from potstill.evaluation.statistics import interquartile_mean
from potstill.reports.plots import BLUE, GREEN, GREY, ORANGE, make_figure, save_figure

STYLES = {
    "orthogonal": (BLUE, "-"),
    "residual": (BLUE, "--"),
    "antisymmetric": (ORANGE, "-"),
    "antisymmetric, gain 4": (ORANGE, "--"),
    "he, gain 0.1": (GREEN, "-"),
    "torch": (GREEN, "--"),
}
WIDTH_HEADS = (
    "initialisation",
    "width",
    "learning rate",
    "kernel error",
    "bias",
    "variance",
    "part of the initialisation",
)


def group_by_width() -> dict[str, list[Record]]:
    """The records of each initialisation, narrowest first."""
    records = load_records("kernel-width")
    return {name: sorted(select_records(records, method=name), key=lambda r: r["width"]) for name in SCHEMES}


def widths() -> str:
    """Kernel error, bias and variance, a row for each initialisation and width."""
    names = ("kernel_error", "bias", "variance", "start_variance")
    rows = [
        [name, str(row["width"]), f"{row['learning_rate']:.2g}", *(f"{row[key]:.3f}" for key in names)]
        for name, records in group_by_width().items()
        for row in records
    ]
    return make_table(WIDTH_HEADS, rows)


def adjoint() -> str:
    """The gradient of kernel descent by its own adjoint and by JAX's derivative of the loop."""
    of_part = ("own, s", "times faster")
    heads = ("pairs", "descent: JAX, s", *of_part, "whole gradient: JAX, s", *of_part)
    lines = []
    for record in sorted(load_records("adjoint"), key=lambda r: r["pairs"]):
        cells = [f"{record['pairs']:,}"]
        for what in ("descent", "whole"):
            jax, own = (record["programs"][f"{what}, {by}"]["processor"] for by in ("jax", "own"))
            cells += [f"{jax:.4f}", f"{own:.4f}", f"{jax / own:.1f}"]
        lines.append(cells)
    return make_table(heads, lines)


def costs() -> str:
    """Seconds of processor time in an outer step of each solver."""
    hopper, halfcheetah = (
        select_records(load_records("solver-steps"), method=name)[0]["programs"] for name in ("hopper", "halfcheetah")
    )
    seconds = lambda times: f"{times['processor']:.3f}"  # noqa: E731
    rows = [[name, seconds(times), seconds(halfcheetah[name])] for name, times in hopper.items()]
    return make_table(("solver", "Hopper, s", "HalfCheetah, s"), rows)


def solvers() -> str:
    """Returns of students of each solver's pairs."""
    records, lines = load_records("solvers"), []
    for file in dict.fromkeys(record["file"] for record in records):
        for name in VARIANTS:
            if not (group := select_records(records, file=file, method=name)):
                continue
            one, together = (np.concatenate([r[kind]["returns"] for r in group]) for kind in ("student", "ensemble"))
            spread = one.mean(axis=1).std(ddof=1)
            scores = f"{interquartile_mean(one):.1f} ± {spread:.1f}", f"{interquartile_mean(together):.1f}"
            seconds = f"{np.median([r['seconds'] for r in group]):.0f}"
            label = name.replace("drawn start", "drawn initialisation")
            lines.append([format_file_label(file), label, str(len(group)), *scores, seconds])
    return make_table(("file", "solver", "seeds", "one student", "ensemble", "distilling, s"), lines)


def draw(path: Path) -> None:
    """Kernel error, bias and variance over width."""
    figure, axes = make_figure(3, height=3.2, width=3.8)
    panels = ("kernel_error", "bias", "variance")
    titles = ("relative error of the kernel", "mean student − kernel descent, squared", "variance of students")
    schemes = group_by_width()
    every = sorted({record["width"] for records in schemes.values() for record in records})
    for axis, key, title in zip(axes, panels, titles, strict=True):
        for name, records in schemes.items():
            colour, line = STYLES[name]
            values = [max(record[key], 1e-3) for record in records]
            shown = [record["width"] for record in records]
            axis.plot(shown, values, line, color=colour, marker="o", markersize=3, label=name)
        if key != "bias":  # in theory, 1/√width for the kernel and 1/width for the variance
            power = 0.5 if key == "kernel_error" else 1.0
            top = max(records[0][key] for records in schemes.values())
            label = "in theory: 1 / √width (left), 1 / width (right)"
            theory = [top * (every[0] / width) ** power for width in every]
            axis.plot(every, theory, ":", color=GREY, label=label)
        axis.set(xscale="log", yscale="log", xlabel="width", xticks=every, xticklabels=every)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.yaxis.set_minor_locator(NullLocator())
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set_title(title, fontsize=9)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    save_figure(figure, path)
