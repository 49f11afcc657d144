"""The plot of the theorems on random MDPs."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes

from potstill.reports.plots import BLUE, GREEN, GREY, ORANGE, make_figure, save_figure
from potstill.theory import TheoryResult

BOUNDS = {"theorem 1": (ORANGE, "Theorem 1"), "corollary 1": (BLUE, "Corollary 1")}
PURPLE = "#7d5ba6"
CURVES = {
    "q-gap": (GREEN, "-", "Q-gap"),
    "corollary 1": (GREY, "-", "Corollary 1"),
    "pbc": (ORANGE, "-", "PBC"),
    "av-pbc": (BLUE, "-", "Av-PBC, weights q*"),
    "av-pbc, exact sum": (BLUE, "--", "Av-PBC, exact sum"),
    "av-pbc, clipped": (PURPLE, ":", "Av-PBC, weights clipped"),
    "av-pbc, ranged": (PURPLE, "-", "Av-PBC, weights ranged"),
}


def plot_theory(path: Path, result: TheoryResult, *, share: float | None = None, discount: float | None = None) -> Path:
    """Plot the looseness of the bounds over γ and over the distance of the policies, and the effect of reward shifts.

    Curves are medians over MDPs, bands contain the middle 90 % of the MDPs.

    Args:
        path: the image to write.
        result: the measurements.
        share: share of a random policy in the students of the left panel. Default: the second, or the only one.
        discount: γ of the other panels. Default: the middle one.

    Raises:
        PotstillError: the share or the discount was not measured.
    """
    figure, (left, middle, right) = make_figure(3, height=3.6, width=4.4)
    share = result.shares[min(1, len(result.shares) - 1)] if share is None else share
    gammas = [found.discount for found in result.discounts]
    discount = gammas[len(gammas) // 2] if discount is None else discount
    _draw_discounts(left, result, share)
    _draw_distances(middle, result, discount)
    _draw_shifts(right, result, discount)
    figure.legend(*right.get_legend_handles_labels(), loc="outside right upper", fontsize=8, frameon=False)
    figure.supxlabel("lines: medians over MDPs; bands: the middle 90 % of the MDPs", fontsize=8)
    return save_figure(figure, path)


def _draw_discounts(axis: Axes, result: TheoryResult, share: float) -> None:
    horizons = [1.0 / (1.0 - found.discount) for found in result.discounts]
    axis.set(xscale="log", yscale="log", xlim=(min(horizons) / 1.2, max(horizons) * 1.2))
    for name, (colour, label) in BOUNDS.items():
        factors = [found.find_bound(name, share).factor for found in result.discounts]
        axis.fill_between(horizons, [f.low for f in factors], [f.high for f in factors], color=colour, alpha=0.2, lw=0)
        axis.plot(horizons, [f.median for f in factors], "o-", color=colour, markersize=4, label=label)
    axis.axhline(1.0, color=GREEN, linewidth=1.2, label="Theorem 2 (an equality)")
    axis.set(xlabel="1 / (1 − γ)", ylabel="bound / lost return")
    axis.set_xticks(horizons, [f"{horizon:.0f}" for horizon in horizons])
    _label_decades(axis)
    axis.set_title(f"students with {share:.0%} of a random policy", fontsize=9)
    axis.legend(frameon=False, fontsize=8)


def _draw_distances(axis: Axes, result: TheoryResult, discount: float) -> None:
    found = result.find_discount(discount)
    distances = [found.find_bound("theorem 1", share).distance for share in result.shares]
    axis.set(xscale="log", yscale="log", xlim=(min(distances) / 1.2, max(distances) * 1.2))
    for name, (colour, label) in BOUNDS.items():
        entries = [found.find_bound(name, share) for share in result.shares]
        low, high = ([getattr(entry.factor, end) for entry in entries] for end in ("low", "high"))
        axis.fill_between(distances, low, high, color=colour, alpha=0.2, linewidth=0)
        axis.plot(distances, [entry.factor.median for entry in entries], "o-", color=colour, markersize=4, label=label)
    axis.axhline(1.0, color=GREEN, linewidth=1.2)
    axis.set(xlabel="mean total-variation distance", ylabel="bound / lost return")
    axis.set_ylim(bottom=0.5)
    axis.xaxis.set_major_formatter("{x:g}")
    _label_decades(axis)
    axis.set_title(f"γ = {discount:g}", fontsize=9)


def _label_decades(axis: Axes) -> None:
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()


def _draw_shifts(axis: Axes, result: TheoryResult, discount: float) -> None:
    found = result.find_discount(discount)
    for name, (colour, line, label) in CURVES.items():
        if name in result.objectives:
            medians = [found.find_shift(name, shift).correlation.median for shift in result.shifts]
            axis.plot(result.shifts, medians, line, color=colour, marker="o", markersize=3, label=label)
    axis.axhline(0.0, color=GREY, linewidth=0.8)
    axis.set_xlim(min(result.shifts) - 0.05, max(result.shifts) + 0.05)
    axis.set(xlabel="shift of all rewards", ylabel="rank correlation with the lost return", ylim=(-1.05, 1.05))
    axis.set_title(f"γ = {discount:g}", fontsize=9)
