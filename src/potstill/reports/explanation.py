"""The terminal output, the table and the picture of ``potstill explain``."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from rich.table import Table

from potstill.evaluation.explanation import FEATURES
from potstill.evaluation.statistics import Result
from potstill.reports.drawing import BLUE, GREEN, ORANGE, draw_cells
from potstill.reports.plots import make_figure, save_figure
from potstill.reports.text import format_number, make_console
from potstill.runtime.files import JsonMapping

TOP = 10  # pairs of the printed table
COLUMNS = ("pair", "action change", "change of the error", "episode", "step", "distance to row", "distance of actions")
SHARE = "chance that a pair has more than a row"


def order_pairs(result: Result) -> list[int]:
    """The numbers of the pairs, those that change most actions first."""
    return [int(i) for i in np.argsort(-np.array(result["influence"]["action_change"]), kind="stable")]


def list_pair_rows(result: Result, count: int) -> list[list[str]]:
    """List the pairs that change most actions, with their nearest real rows, as texts for :data:`COLUMNS`."""
    influence, near = result["influence"], result["neighbours"]
    return [
        [
            str(i),
            f"{influence['action_change'][i]:.5f}",
            f"{influence['error_change'][i]:+.5f}",
            f"{near['episode'][i]:,}",
            f"{near['step'][i]:,} of {near['length'][i]:,}",
            f"{near['distance'][i]:.3f}",
            f"{near['action_distance'][i]:.3f}",
        ]
        for i in order_pairs(result)[:count]
    ]


def list_feature_rows(result: Result) -> list[list[str]]:
    """List what pairs and rows were compared by, as texts: the feature, both means, the share and its interval."""
    rows = []
    for name, found in result["features"].items():
        low, high = found["interval"]
        means = [format_number(round(found[kind], 4)) for kind in ("pairs", "rows")]
        rows.append([FEATURES[name], *means, f"{found['share']:.2f}", f"{low:.2f} to {high:.2f}"])
    return rows


def describe_explanation(result: Result) -> list[str]:
    """Describe an explanation in sentences that follow from its numbers."""
    influence, pairs = result["influence"], result["pairs"]
    sentences = [_describe_feature(name, result["features"][name]) for name in ("density", "time", "value")
                 if name in result["features"]]  # fmt: skip
    if "angle" in result["features"]:
        sentences += [_describe_balance(result["features"], name) for name in ("height", "angle")]
    sentences.append(
        f"Half of all changes of actions come from {influence['half']} of {pairs} pairs. Without "
        f"{influence['harmful']} of them, the student would be nearer to the teacher."
    )
    return sentences


def _describe_feature(name: str, found: JsonMapping) -> str:
    low, high = found["interval"]
    larger, smaller = {
        "density": ("lie where the data are sparser than", "lie where the data are denser than"),
        "time": ("are later in their episodes than", "are earlier in their episodes than"),
        "value": ("have a higher value than", "have a lower value than"),
    }[name]
    share = f"{found['share']:.2f}, 95 % interval {low:.2f} to {high:.2f}"
    if low > 0.5 or high < 0.5:
        return f"Pairs {larger if low > 0.5 else smaller} held-out rows ({SHARE}: {share})."
    return f"Pairs do not differ clearly from held-out rows in their {name} ({SHARE}: {share})."


def _describe_balance(features: JsonMapping, name: str) -> str:
    unit = "m" if name == "height" else "rad"
    before, after = features[name]["pairs"], features[f"next {name}"]["pairs"]
    change = "nearer to" if after < before else "farther from"
    rows = features[name]["rows"]
    return (
        f"The torso's {name} is {before:.3f} {unit} from upright in the pairs and {rows:.3f} {unit} in held-out rows. "
        f"One step leads the pairs to {after:.3f} {unit}, {change} balance."
    )


def print_explanation(result: Result) -> None:
    """Print the features, the most important pairs, and the sentences."""
    console = make_console()
    features = Table(
        title=f"{result['pairs']} pairs of {result['dataset']}, against held-out rows", title_justify="left"
    )
    for head in ("feature", "pairs", "rows", "share", "95 % interval"):
        features.add_column(head, justify="left" if head == "feature" else "right")
    for row in list_feature_rows(result):
        features.add_row(*row)
    console.print(features)
    pairs = Table(title="pairs without which actions change most", title_justify="left")
    for head in COLUMNS:
        pairs.add_column(head, justify="right")
    for row in list_pair_rows(result, TOP):
        pairs.add_row(*row)
    console.print(pairs)
    influence = result["influence"]
    print(f"left out by {influence['solver']} ({influence['method']}), in {result['states']} held-out states")
    print("\n".join(describe_explanation(result)))


def make_pair_table(result: Result) -> str:
    """Make the lines of ``pairs.csv``: numbers of each pair, in the order of the distillate."""
    columns: dict[str, list[float]] = {
        name: result["influence"][name] for name in ("action_change", "error_change")
    } | {f"nearest_{name}": values for name, values in result["neighbours"].items()}
    columns |= {name.replace(" ", "_"): found["values"] for name, found in result["features"].items()}
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(["pair", *columns])
    table.writerows(zip(range(result["pairs"]), *columns.values(), strict=True))
    return written.getvalue()


def plot_explanation(path: Path, result: Result) -> Path:
    """Plot both maps and the influence of the pairs."""
    maps = result["maps"]
    figure, axes = make_figure(len(maps) + 1, height=4.0)
    for axis, name in zip(axes if len(maps) else [], maps, strict=False):
        draw_map(axis, result, name)
        axis.legend(frameon=False, fontsize=8, loc="upper right")
    draw_influence(axes[-1] if len(maps) else axes, result)
    return save_figure(figure, path)


def draw_map(axis: Axes, result: Result, name: str) -> None:
    """Draw a map: cells with held-out rows, and the pairs, larger where they change more actions."""
    found = result["maps"][name]
    left, right, bottom, top = found["extent"]
    draw_cells(axis, np.array(found["cells"], np.float64), (left, right, bottom, top))
    places = np.array(found["pairs"])
    change = np.array(result["influence"]["action_change"])
    large = change >= np.quantile(change, 0.9)
    axis.plot(*places[~large].T, ".", color=ORANGE, markersize=4, label="pair")
    axis.plot(
        *places[large].T, "o", color=ORANGE, markersize=7, markeredgewidth=0, label="pair, tenth that matters most"
    )
    if name == "plane":
        first, second = found["shares"]
        axis.set(xlabel=f"first principal component ({first:.0%} of the variance)", ylabel=f"second ({second:.0%})")
    else:
        axis.set(xlabel="neighbour embedding: rank of coordinate 1", ylabel="rank of coordinate 2")


def draw_influence(axis: Axes, result: Result) -> None:
    """Draw the share of all changes of actions that the first n pairs make."""
    change = np.sort(np.array(result["influence"]["action_change"]))[::-1]
    share = np.cumsum(change) / max(float(change.sum()), 1e-12)
    half = result["influence"]["half"]
    axis.plot(np.arange(1, len(share) + 1), share, color=BLUE)
    axis.plot([half, half, 0], [0, 0.5, 0.5], ":", color=GREEN, label=f"half: {half} pairs")
    axis.set(xlabel="pairs, those that matter most first", ylabel="share of all changes of actions", ylim=(0, 1.02))
    axis.set_xlim(0, len(share))
    axis.legend(frameon=False, fontsize=8, loc="lower right")
