"""What :func:`potstill.theory.measure_theory` returns: plain numbers that can be written as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float64

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonMapping

LOW, HIGH = 0.05, 0.95  # quantiles of a spread
Key, Entry = TypeVar("Key"), TypeVar("Entry")


@check_arguments
@dataclass(frozen=True)
class Spread:
    """The median of a quantity over MDPs, and the interval that contains the middle 90 % of them.

    Example:
        >>> spread = Spread.of(np.linspace(0.0, 100.0, 101))
        >>> spread.low, spread.median, spread.high
        (5.0, 50.0, 95.0)
    """

    low: float
    """The quantile of 5 %."""
    median: float
    """The median."""
    high: float
    """The quantile of 95 %."""

    @classmethod
    def of(cls, values: Sequence[float] | Float64[np.ndarray, " n"]) -> Spread:
        """The spread of these values.

        >>> Spread.of([1.0, 2.0, 9.0]).median
        2.0
        """
        return cls(*np.quantile(np.asarray(values, np.float64), (LOW, 0.5, HIGH)).tolist())


@check_arguments
@dataclass(frozen=True)
class BoundSummary:
    """A bound on the lost return, over MDPs, for students at one distance from the teacher.

    Example:
        >>> from potstill.theory import TheorySettings, measure_theory
        >>> [found] = measure_theory(TheorySettings((0.9,), mdps=5, ranked=1)).discounts
        >>> bound = found.find_bound("theorem 1", share=0.5)
        >>> bound.least_slack > 0.0, bound.factor.median > 2.0
        (True, True)
    """

    bound: str
    """``theorem 1``, ``corollary 1`` or ``advantages``."""
    share: float
    """The share of a random policy in the student; the rest is the teacher."""
    distance: float
    """Mean over MDPs of E_{s~d_π*} [D_TV(π*, π)]."""
    lost: Spread
    """The lost return."""
    slack: Spread
    """The bound minus the lost return."""
    factor: Spread
    """The bound divided by the lost return."""
    least_slack: float
    """The least slack of all MDPs, not negative except by rounding."""


@check_arguments
@dataclass(frozen=True)
class ShiftSummary:
    """An objective after all rewards were shifted, over MDPs.

    Example:
        >>> from potstill.theory import TheorySettings, measure_theory
        >>> [found] = measure_theory(TheorySettings((0.9,), mdps=2, ranked=5, shifts=(-1.0, 0.0))).discounts
        >>> found.find_shift("pbc", -1.0).correlation == found.find_shift("pbc", 0.0).correlation
        True
        >>> found.find_shift("av-pbc", -1.0).below_teacher > 0.9  # all values are negative
        True
    """

    objective: str
    """A name of :data:`potstill.theory.losses.OBJECTIVES`, or ``av-pbc, NAME`` for a weighting."""
    shift: float
    """What was added to all rewards."""
    correlation: Spread
    """Rank correlation, over the students of an MDP, of the objective with the lost return."""
    below_teacher: float
    """Share of the students of all MDPs for which the objective is lower than for the teacher itself."""


@check_arguments
@dataclass(frozen=True)
class DiscountResult:
    """The measurements at one discount.

    Example:
        >>> from potstill.theory import TheorySettings, measure_theory
        >>> [found] = measure_theory(TheorySettings((0.9,), mdps=5, ranked=2)).discounts
        >>> found.mdps, found.relative_residual < 1e-12, len(found.bounds)  # three bounds, four shares
        (5, True, 12)
    """

    discount: float
    """γ."""
    mdps: int
    """The number of random MDPs."""
    residual: float
    """The largest absolute residual of Theorem 2, over MDPs, teachers and students."""
    relative_residual: float
    """The same, divided by the largest possible return, R_max / (1 − γ)."""
    bounds: tuple[BoundSummary, ...]
    """For each share and bound."""
    variation: Spread
    """Standard deviation of v* over the states of the data divided by its mean: how much a weighting by q* varies."""
    shifts: tuple[ShiftSummary, ...]
    """For each shift of the reward and objective."""
    broken: tuple[float, ...]
    """For each shift, the share of students whose lost return is above the expression of Corollary 1."""
    shift_error: float
    """The largest error of :func:`potstill.theory.predict_shift`, relative to the change where that is above 1."""

    @classmethod
    def from_json(cls, fields: JsonMapping) -> DiscountResult:
        """The result that ``dataclasses.asdict`` turned into ``fields``. Other fields are ignored.

        >>> from dataclasses import asdict
        >>> from potstill.theory import TheorySettings, measure_theory
        >>> [found] = measure_theory(TheorySettings((0.9,), mdps=2, ranked=1)).discounts
        >>> DiscountResult.from_json(asdict(found)) == found
        True
        """
        own = {name: fields[name] for name in cls.__dataclass_fields__}
        own["bounds"] = tuple(_read_spreads(BoundSummary, entry) for entry in own["bounds"])
        own["shifts"] = tuple(_read_spreads(ShiftSummary, entry) for entry in own["shifts"])
        return cls(**own | {"variation": Spread(**own["variation"]), "broken": tuple(own["broken"])})

    def find_bound(self, bound: str, share: float) -> BoundSummary:
        """The summary of a bound at a share of the random policy.

        Raises:
            PotstillError: it was not measured.
        """
        found = {(entry.bound, entry.share): entry for entry in self.bounds}
        return _find("DiscountResult.find_bound", found, (bound, share))

    def find_shift(self, objective: str, shift: float) -> ShiftSummary:
        """The summary of an objective after a shift.

        Raises:
            PotstillError: it was not measured.
        """
        found = {(entry.objective, entry.shift): entry for entry in self.shifts}
        return _find("DiscountResult.find_shift", found, (objective, shift))


def _find(name: str, found: Mapping[Key, Entry], key: Key) -> Entry:
    if key not in found:
        raise PotstillError(f"{name}: {key} was not measured; measured: {', '.join(map(str, found))}")
    return found[key]


def _read_spreads(kind: type[Any], fields: JsonMapping) -> Any:
    return kind(**{name: Spread(**value) if isinstance(value, Mapping) else value for name, value in fields.items()})


@check_arguments
@dataclass(frozen=True)
class TheoryResult:
    """The measurements at all discounts, as :func:`measure_theory` returns them.

    Raises:
        PotstillError: there is no discount.

    Example:
        >>> from potstill.theory import TheorySettings, measure_theory
        >>> found = measure_theory(TheorySettings((0.5, 0.9), mdps=5, ranked=2, students=4))
        >>> found.find_discount(0.9).mdps, found.shares
        (5, (0.01, 0.1, 0.5, 1.0))
    """

    discounts: tuple[DiscountResult, ...]
    """One for each discount, in the order of the settings."""

    def __post_init__(self) -> None:
        if not self.discounts:
            raise PotstillError("TheoryResult.discounts is empty: expected at least one discount")

    def find_discount(self, discount: float) -> DiscountResult:
        """The measurements at one discount.

        Raises:
            PotstillError: it was not measured.
        """
        return _find("TheoryResult.find_discount", {found.discount: found for found in self.discounts}, discount)

    @property
    def residual(self) -> float:
        """The largest residual of Theorem 2."""
        return max(found.residual for found in self.discounts)

    @property
    def shares(self) -> tuple[float, ...]:
        """The shares of a random policy in the students."""
        return tuple(dict.fromkeys(entry.share for entry in self.discounts[0].bounds))

    @property
    def shifts(self) -> tuple[float, ...]:
        """The shifts of the reward."""
        return tuple(dict.fromkeys(entry.shift for entry in self.discounts[0].shifts))

    @property
    def objectives(self) -> tuple[str, ...]:
        """The names of the objectives."""
        return tuple(dict.fromkeys(entry.objective for entry in self.discounts[0].shifts))
