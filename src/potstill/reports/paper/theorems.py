"""Format the measurements of the paper's theorems on random MDPs: tables, CSV and sentences."""

from __future__ import annotations

from potstill.reports.paper.csv_files import write_lines
from potstill.reports.paper.markdown import format_table
from potstill.theory import Spread, TheoryResult

SHARE = 0.1  # share of a random policy in the students, for the table over the discount
DISCOUNT = 0.9  # discount of the table over shifts
EXACT = 1e-10  # residuals of an equality and violations of a bound up to this size are rounding errors
SHOWN_SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0)
BOUNDS = {"theorem 1": "Theorem 1", "corollary 1": "Corollary 1"}
THEORY_TEXT = (
    "Random MDPs with 20 states, four actions and rewards in [0, 1]. The teacher is optimal. Students take the actions "
    f"of a random policy with probability {SHARE:g}, otherwise the teacher's. Bounds are divided by the lost return: 1 "
    "would be exact. Medians over MDPs, in brackets the interval of the middle 90 %."
)


def format_theory(result: TheoryResult) -> str:
    """Format two tables: the theorems over the discount, and the objectives after shifts of all rewards."""
    head = ["γ", "MDPs", "Theorem 2, largest residual", *(f"{name} / lost return" for name in BOUNDS.values())]
    rows = []
    for found in result.discounts:
        bounds = [_format_spread(found.find_bound(name, SHARE).factor) for name in BOUNDS]
        rows.append([f"{found.discount:g}", f"{found.mdps:,}", f"{found.residual:.1e}", *bounds])
    return f"{format_table(head, rows)}\n\n{SHIFT_TEXT}\n\n{_format_shifts(result)}"


SHIFT_TEXT = (
    "Rank correlation of each objective with the lost return, over the students of an MDP, after a constant was added "
    "to all rewards. A shift does not change which students lose less."
)


def _format_shifts(result: TheoryResult) -> str:
    found = result.find_discount(_choose_discount(result))
    shifts = [shift for shift in SHOWN_SHIFTS if shift in result.shifts]
    rows = []
    for objective in result.objectives:
        medians = [f"{found.find_shift(objective, shift).correlation.median:.2f}" for shift in shifts]
        rows.append([objective, *medians])
    return format_table([f"objective, γ = {found.discount:g}", *(f"shift {shift:+g}" for shift in shifts)], rows)


def _choose_discount(result: TheoryResult) -> float:
    """Choose the discount of the table over shifts: 0.9, or the first one if 0.9 was not measured."""
    known = [found.discount for found in result.discounts]
    return DISCOUNT if DISCOUNT in known else known[0]


def _format_spread(spread: Spread) -> str:
    return f"{spread.median:.3g} [{spread.low:.3g}, {spread.high:.3g}]"


def compare_theory(result: TheoryResult) -> list[str]:
    """State whether the theorems hold, how loose the bounds are, and what shifts of the rewards change."""
    number = sum(found.mdps for found in result.discounts)
    holds = "holds" if result.residual < EXACT else "does not hold"
    found = [f"Theorem 2 {holds} on {number:,} MDPs: its largest residual is {result.residual:.1e}."]
    for name, label in BOUNDS.items():
        least = min(entry.least_slack for one in result.discounts for entry in one.bounds if entry.bound == name)
        first, last = (one.find_bound(name, SHARE).factor.median for one in (result.discounts[0], result.discounts[-1]))
        kept = "is never violated" if least > -EXACT else "is violated"
        found.append(
            f"{label} {kept} (least slack {least:.1e}). Its bound is {first:.3g} times the lost return at "
            f"γ = {result.discounts[0].discount:g} and {last:.3g} times at γ = {result.discounts[-1].discount:g}."
        )
    return [*found, *_compare_shifts(result)]


def _compare_shifts(result: TheoryResult) -> list[str]:
    """List the objectives that a shift of the rewards changes."""
    found = result.find_discount(_choose_discount(result))
    ranges = {}
    for objective in result.objectives:
        medians = [found.find_shift(objective, shift).correlation.median for shift in result.shifts]
        ranges[objective] = min(medians), max(medians)
    changed = {name: ends for name, ends in ranges.items() if ends[1] - ends[0] > 0.01}
    same = [name for name in ranges if name not in changed]
    texts = [f"{name} from {low:.2f} to {high:.2f}" for name, (low, high) in changed.items()]
    text = (
        f"Shifts of all rewards by {min(result.shifts):g} to {max(result.shifts):g} change the rank correlation with "
        f"the lost return of {'; '.join(texts) or 'no objective'}."
    )
    return [f"{text} They do not change that of {', '.join(same)}." if same else text]


def list_theory(result: TheoryResult) -> str:
    """List all measurements as CSV."""
    rows: list[dict[str, object]] = []
    for found in result.discounts:
        at = {"discount": found.discount, "mdps": found.mdps}
        rows.append({**at, "quantity": "residual", "name": "theorem 2", "median": found.residual})
        for bound in found.bounds:
            for quantity in ("lost", "slack", "factor"):
                place = {**at, "quantity": quantity, "name": bound.bound, "share": bound.share}
                rows.append(place | _to_columns(getattr(bound, quantity)))
        for shift in found.shifts:
            place = {**at, "quantity": "correlation", "name": shift.objective, "shift": shift.shift}
            rows.append(place | _to_columns(shift.correlation))
    return write_lines(["discount", "mdps", "quantity", "name", "share", "shift", "low", "median", "high"], rows)


def _to_columns(spread: Spread) -> dict[str, object]:
    return {"low": spread.low, "median": spread.median, "high": spread.high}
