"""Tables and pictures of the page on theory."""

from __future__ import annotations

import functools
from pathlib import Path

from benchmarks.experiments import load_records
from benchmarks.experiments.theory import KINDS
from benchmarks.pages.text import make_table, select_records
from potstill.reports.theory import plot_theory
from potstill.theory import DiscountResult, ShiftSummary, Spread, TheoryResult

SHARE = 0.1  # of a random policy in the students of the table over γ
DISCOUNT = 0.9  # of the tables over distances and shifts
NAMES = {"theorem 1": "Theorem 1", "corollary 1": "Corollary 1", "advantages": "by advantages"}
OBJECTIVES = {
    "pbc": "PBC",
    "av-pbc": "Av-PBC, weights q\\*",
    "av-pbc, exact sum": "Av-PBC, exact sum",
    "av-pbc, clipped": "Av-PBC, `clipped`",
    "av-pbc, softplus": "Av-PBC, `softplus`",
    "av-pbc, shifted": "Av-PBC, `shifted`",
    "av-pbc, ranged": "Av-PBC, `ranged`",
    "corollary 1": "Corollary 1",
    "q-gap": "Q-gap",
}


@functools.cache
def load_results() -> dict[str, TheoryResult]:
    """The committed measurements of each kind of MDPs, discounts in ascending order."""
    records = sorted(load_records("theory"), key=lambda record: record["discount"])
    return {
        kind: TheoryResult(tuple(map(DiscountResult.from_json, select_records(records, method=kind)))) for kind in KINDS
    }


def format_spread(spread: Spread) -> str:
    """The median, and in brackets the interval of the middle 90 %."""
    return f"{format_number(spread.median)} [{format_number(spread.low)}, {format_number(spread.high)}]"


def format_number(value: float) -> str:
    """A number with two significant digits, or a whole number from ten on."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def residuals() -> str:
    """The largest residual of Theorem 2 and the least slacks, a row for each kind of MDPs."""
    lines = []
    for kind, result in load_results().items():
        least = {
            name: min(entry.least_slack for found in result.discounts for entry in found.bounds if entry.bound == name)
            for name in NAMES
        }
        cells = [f"{sum(found.mdps for found in result.discounts):,}", f"{result.residual:.1e}"]
        cells += [f"{max(found.relative_residual for found in result.discounts):.1e}"]
        lines.append([kind, *cells, *(f"{slack:.1e}" for slack in least.values())])
    heads = ("MDPs", "number", "Theorem 2: largest residual", "relative to R_max / (1 − γ)")
    return make_table((*heads, *(f"{name}: least slack" for name in NAMES.values())), lines)


def discounts() -> str:
    """Lost return, slack and factor of the bounds, a row for each kind of MDPs and discount."""
    lines = []
    for kind, result in load_results().items():
        for found in result.discounts:
            first, second = (found.find_bound(name, SHARE) for name in ("theorem 1", "corollary 1"))
            cells = [f"{first.lost.median:.2g}"]
            for entry in (first, second):
                cells += [format_number(entry.slack.median), format_spread(entry.factor)]
            lines.append([kind, f"{found.discount:g}", *cells])
    heads = ["MDPs", "γ", "lost return"]
    for name in ("Theorem 1", "Corollary 1"):
        heads += [f"{name}: slack", "bound / lost return"]
    return make_table(heads, lines)


def distances() -> str:
    """Factors of the bounds, a row for each kind of MDPs and share of a random policy."""
    lines = []
    for kind, result in load_results().items():
        found = result.find_discount(DISCOUNT)
        for share in result.shares:
            entries = [found.find_bound(name, share) for name in ("theorem 1", "corollary 1")]
            cells = [f"{share:.0%}", f"{entries[0].distance:.2g}", f"{entries[0].lost.median:.2g}"]
            lines.append([kind, *cells, *(format_spread(entry.factor) for entry in entries)])
    heads = (
        "MDPs",
        "random share",
        "distance",
        "lost return",
        "Theorem 1: bound / lost return",
        "Corollary 1: the same",
    )
    return make_table(heads, lines)


def variation() -> str:
    """How much v* varies over the states of the data, a row for each kind of MDPs."""
    results = load_results()
    gammas = [found.discount for found in results["dense"].discounts]
    rows = [[kind, *(format_spread(f.variation) for f in result.discounts)] for kind, result in results.items()]
    return make_table(("MDPs", *(f"γ = {gamma:g}" for gamma in gammas)), rows)


def shifts() -> str:
    """Rank correlations with the lost return after shifts, a table for each kind of MDPs."""
    parts = []
    for kind, result in load_results().items():
        found, lines = result.find_discount(DISCOUNT), []
        for name, label in OBJECTIVES.items():
            entries = [found.find_shift(name, shift) for shift in result.shifts]
            lines.append([label, *(format_correlation(entry) for entry in entries)])
        for name in ("av-pbc", "av-pbc, exact sum"):
            entries = [found.find_shift(name, shift) for shift in result.shifts]
            lines.append([f"{OBJECTIVES[name]}: below 0", *(f"{entry.below_teacher:.0%}" for entry in entries)])
        lines.append(["Corollary 1: below the lost return", *(f"{share:.0%}" for share in found.broken)])
        heads = ["shift", *(f"{shift:+g}".replace("-", "−") if shift else "0" for shift in result.shifts)]
        parts.append(f"`{kind}`, γ = {DISCOUNT:g}:\n\n{make_table(heads, lines)}")
    return "\n\n".join(parts)


def format_correlation(entry: ShiftSummary) -> str:
    """The median correlation; without a shift, with the interval of the middle 90 %."""
    values = (entry.correlation.median, entry.correlation.low, entry.correlation.high)
    median, low, high = (f"{value:.2f}".replace("-", "−") for value in values)
    return median if entry.shift else f"{median} [{low}, {high}]"


def draw_dense(path: Path) -> None:
    """The bounds and the shifts for dense MDPs."""
    plot_theory(path, load_results()["dense"], share=SHARE, discount=DISCOUNT)


def draw_sparse(path: Path) -> None:
    """The same for sparse MDPs."""
    plot_theory(path, load_results()["sparse"], share=SHARE, discount=DISCOUNT)
