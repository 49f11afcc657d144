"""Tables and picture of ``docs/kernel.md``, made of the result files of kernel_width.py and solvers.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from potstill.evaluation.statistics import interquartile_mean
from potstill.reports.plots import BLUE, GREEN, GREY, ORANGE, new_figure, save_figure

HERE = Path(__file__).parent
RESULTS = HERE / "results"
IMAGE = HERE.parent / "docs" / "images" / "kernel_width.png"
STYLES = {
    "orthogonal": (BLUE, "-"),
    "residual": (BLUE, "--"),
    "antisymmetric": (ORANGE, "-"),
    "antisymmetric, gain 4": (ORANGE, "--"),
    "he, gain 0.1": (GREEN, "-"),
    "torch": (GREEN, "--"),
}


def load() -> dict[str, Any]:
    return json.loads((RESULTS / "kernel_width.json").read_text())


def widths() -> str:
    """Kernel error, bias and variance, a row for each scheme and width."""
    lines = [
        "| start | width | learning rate | kernel error | bias | variance | of it the start's |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in load()["schemes"].items():
        for width, row in found.items():
            figures = [f"{row[key]:.3f}" for key in ("kernel_error", "bias", "variance", "start_variance")]
            lines.append(f"| {name} | {width} | {row['learning_rate']:.2g} | {' | '.join(figures)} |")
    return "\n".join(lines)


def adjoint() -> str:
    """Kernel descent's gradient with its own adjoint, beside JAX's derivative of the loop."""
    sizes = json.loads((RESULTS / "descent.json").read_text())["sizes"]
    lines = [
        "| pairs | descent: JAX's, s | own, s | times faster | whole gradient: JAX's, s | own, s | times faster |",
        "|---|---|---|---|---|---|---|",
    ]
    for size, of in sizes.items():
        cells = [
            f"{seconds['jax']:.4f} | {seconds['own']:.4f} | {seconds['jax'] / seconds['own']:.1f}"
            for seconds in (of["descent"], of["whole"])
        ]
        lines.append(f"| {int(size):,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def costs() -> str:
    """Seconds of processor time in an outer step of each solver."""
    lines = ["| solver | Hopper, s | HalfCheetah, s |", "|---|---|---|"]
    for name, row in json.loads((RESULTS / "kernel_cost.json").read_text())["seconds"].items():
        lines.append(f"| {name} | {row['hopper']:.3f} | {row['halfcheetah']:.3f} |")
    return "\n".join(lines)


def solvers() -> str:
    """What students of each solver's pairs earn."""
    cells = [json.loads(path.read_text()) for path in sorted((RESULTS / "solvers").glob("*.json"))]
    lines = ["| file | solver | seeds | one student | ensemble | distilling, s |", "|---|---|---|---|---|---|"]
    for file, name in sorted({(cell["file"], cell["name"]) for cell in cells}, reverse=True):
        seeds = [cell for cell in cells if (cell["file"], cell["name"]) == (file, name)]
        one, together = (np.concatenate([s[key]["returns"] for s in seeds]) for key in ("student", "ensemble"))
        spread = np.concatenate([np.array(s["student"]["returns"]).mean(1) for s in seeds]).std(ddof=1)
        figures = f"{interquartile_mean(one):.1f} ± {spread:.1f} | {interquartile_mean(together):.1f}"
        lines.append(f"| {file} | {name} | {len(seeds)} | {figures} | {np.median([s['seconds'] for s in seeds]):.0f} |")
    return "\n".join(lines)


def draw() -> None:
    """Kernel error, bias and variance over width."""
    figure, axes = new_figure(3, height=3.2, width=3.8)
    panels = ("kernel_error", "bias", "variance")
    titles = ("relative error of the kernel", "mean student − kernel descent, squared", "variance of students")
    schemes = load()["schemes"]
    widths = sorted({int(width) for found in schemes.values() for width in found})
    for axis, key, title in zip(axes, panels, titles, strict=True):
        for name, found in schemes.items():
            colour, line = STYLES[name]
            values = [max(row[key], 1e-3) for row in found.values()]
            axis.plot([int(width) for width in found], values, line, color=colour, marker="o", markersize=3, label=name)
        if key != "bias":  # what theory says: 1/√width of the kernel, 1/width of the variance
            power = 0.5 if key == "kernel_error" else 1.0
            top = max(found["64"][key] for found in schemes.values())
            axis.plot(widths, [top * (64 / s) ** power for s in widths], ":", color=GREY)
        axis.set(xscale="log", yscale="log", xlabel="width", xticks=widths, xticklabels=widths)
        axis.minorticks_off()
        axis.set_title(title, fontsize=9)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=8, frameon=False)
    save_figure(figure, IMAGE)
