"""The terminal output and the picture of ``potstill audit``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from rich.table import Table

from potstill.evaluation.privacy.attacks import CURVE
from potstill.evaluation.privacy.audit import ATTACKS, COPY
from potstill.evaluation.statistics import Result
from potstill.reports.drawing import BLUE, GREY, ORANGE, VIOLET
from potstill.reports.plots import make_figure, save_figure
from potstill.reports.text import make_console
from potstill.runtime.files import JsonMapping

HEADS = ("attack by", "advantage", "95 % interval", "area under the curve", "found at 1 % false alarms")
SETS = {"membership": "episodes of the data", "canaries": "planted canaries"}
COLOURS = {"distance": BLUE, "fit": ORANGE, "both": VIOLET}


def list_attack_rows(found: JsonMapping) -> list[list[str]]:
    """List the attacks on one set of episodes as texts for :data:`HEADS`."""
    rows = []
    for name, label in ATTACKS.items():
        low, high = found[name]["interval"]
        cells = [f"{found[name]['advantage']:+.3f}", f"{low:+.3f} to {high:+.3f}"]
        rows.append([label, *cells, f"{found[name]['auc']:.3f}", f"{100 * found[name]['true_at_1']:.1f} %"])
    return rows


def describe_audit(result: Result) -> list[str]:
    """Describe an audit in sentences that follow from its numbers. What it does not show is in ``limits``."""
    sentences = [_describe_attack(result, "membership"), _describe_distances(result["distances"])]
    if result.get("canaries"):
        sentences.insert(1, _describe_attack(result, "canaries"))
    return sentences


def _describe_attack(result: Result, kind: str) -> str:
    found = result[kind]["both"]
    low, high = found["interval"]
    numbers = f"advantage {found['advantage']:+.3f}, 95 % interval {low:+.3f} to {high:+.3f}"
    better = "better than by guessing" if low > 0.0 else "not clearly better than by guessing"
    return (
        f"Of {SETS[kind]}, the attack tells those that were distilled from others {better} ({numbers}, over "
        f"{result['shadows']} shadow distillations)."
    )


def _describe_distances(found: JsonMapping) -> str:
    copies = "No pair is a copy of a real row" if not found["copies"] else f"{found['copies']} pairs are copies of rows"
    return (
        f"{copies} (nearer than {COPY:g} standard deviations; the nearest is at {found['closest']:.3g}). The median "
        f"distance to the nearest real row is {found['pairs_median']:.3g} for pairs, and {found['rows_median']:.3g} "
        f"for real rows to another episode. {100 * found['near']:.0f} % of the pairs are nearer than 95 % of the rows."
    )


def print_audit(result: Result) -> None:
    """Print the attacks, the sentences, and what the audit does not show."""
    console = make_console()
    for kind, label in SETS.items():
        if not result.get(kind):
            continue
        table = Table(title=f"membership inference, {label}", title_justify="left")
        for head in HEADS:
            table.add_column(head, justify="left" if head == HEADS[0] else "right")
        for row in list_attack_rows(result[kind]):
            table.add_row(*row)
        console.print(table)
    print("\n".join(describe_audit(result)))
    print("What this does not show:")
    print("\n".join(f"- {line}" for line in result["limits"]))


def plot_audit(path: Path, result: Result) -> Path:
    """Plot the distances to real rows, and the attacks on episodes of the data."""
    figure, (left, right) = make_figure(2)
    draw_distances(left, result)
    left.legend(frameon=False, fontsize=8)
    draw_attacks(right, result)
    right.legend(frameon=False, fontsize=8, loc="lower right")
    return save_figure(figure, path)


def draw_distances(axis: Axes, result: Result) -> None:
    """Draw the distances of pairs and of real rows as histograms of shares."""
    found = result["distances"]
    pairs, rows = np.array(found["values"]), np.array(found["rows_values"])
    edges = np.linspace(0.0, float(np.quantile(np.concatenate([pairs, rows]), 0.99)) + 1e-9, 31)
    kinds = ((rows, GREY, "real row to another episode"), (pairs, BLUE, "pair to nearest real row"))
    for values, colour, label in kinds:
        weights = np.full(len(values), 100.0 / len(values))
        axis.hist(np.minimum(values, edges[-1]), edges.tolist(), weights=weights, color=colour, alpha=0.6, label=label)
    axis.set(xlabel="distance in standard deviations\n(the last bar has all larger ones)", ylabel="% of pairs or rows")


def draw_attacks(axis: Axes, result: Result) -> None:
    """Draw the true-positive rates of the attacks on episodes of the data over their false-positive rates."""
    false = np.linspace(0.0, 1.0, CURVE)
    axis.plot([0, 1], [0, 1], ":", color=GREY, label="guessing")
    for name, colour in COLOURS.items():
        axis.plot(false, result["membership"][name]["curve"], color=colour, label=f"attack by {name}")
    axis.set(xlabel="false-positive rate", ylabel="true-positive rate", xlim=(0, 1), ylim=(0, 1.02))
