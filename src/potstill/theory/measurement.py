"""The theorems on many random MDPs: residuals, slack over the discount and the distance, shifts of the reward."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_fractions, check_ranges
from potstill.theory.distributions import as_shaped
from potstill.theory.drawing import check_above_zero, check_sizes, draw_mdp, draw_policy, mix_policies
from potstill.theory.losses import OBJECTIVES, evaluate_objectives, evaluate_shift, weighted_distance
from potstill.theory.mdp import MOST_DISCOUNT, Solution, TabularMDP, find_optimal_policy
from potstill.theory.results import BoundSummary, DiscountResult, ShiftSummary, Spread, TheoryResult
from potstill.theory.theorems import (
    bound_by_advantages,
    bound_by_corollary_1,
    bound_by_theorem_1,
    compute_lost,
    integrate_by_theorem_2,
    mean_distance,
)

MAX_REWARD = 1.0  # all quantities scale with it
MOST_SHIFT = 1e6  # times MAX_REWARD: above it, rounding hides the rewards
BOUNDS: dict[str, Callable[[Solution, Solution], np.ndarray]] = {
    "theorem 1": lambda teacher, student: bound_by_theorem_1(teacher, student, MAX_REWARD),
    "corollary 1": bound_by_corollary_1,
    "advantages": bound_by_advantages,
}
StateWeights = Callable[[Float64[np.ndarray, " S"]], Float64[np.ndarray, " S"]]
"""Maps v* in each state to the weight of the state."""


@check_arguments
@dataclass(frozen=True)
class TheorySettings:
    """How many random MDPs, of which size, with which students, discounts and shifts. Rewards are uniform in [0, 1].

    Raises:
        PotstillError: a field has a wrong type or is out of range.

    Example:
        >>> TheorySettings(mdps=10).states
        20
    """

    discounts: tuple[float, ...] = (0.5, 0.8, 0.9, 0.95, 0.99)
    """γ, each at least 0 and at most 1 − 10⁻⁹. All discounts use the same transitions, rewards and students."""
    mdps: int = 1_000
    """Random MDPs on which the theorems are evaluated."""
    states: int = 20
    """S."""
    actions: int = 4
    """A, at least 2."""
    concentration: float = 1.0
    """Of the Dirichlet distributions of next states."""
    rewarded: float = 1.0
    """Share of the state-action pairs with a reward; see :func:`draw_mdp`."""
    shares: tuple[float, ...] = (0.01, 0.1, 0.5, 1.0)
    """Share of a random policy in the student, each in (0, 1]. The rest is the teacher, an optimal policy."""
    shifts: tuple[float, ...] = (-1.0, -0.75, -0.5, -0.25, -0.1, 0.0, 0.1, 0.25, 0.5, 1.0)
    """What is added to all rewards."""
    ranked: int = 200
    """Random MDPs for the shifts, the first of the same ones."""
    students: int = 32
    """Students of each of these MDPs, which the objectives rank. At least 2."""
    seed: int = 0
    """Seeds all random numbers."""

    def __post_init__(self) -> None:
        check_ranges(self, mdps=1, states=1, actions=2, ranked=1, students=2, seed=0)
        check_sizes("TheorySettings: ", self.states, self.actions)
        check_fractions(self, "rewarded", one=True)
        check_above_zero("TheorySettings.", concentration=self.concentration)
        for name, allowed, expected in (
            ("discounts", lambda value: 0.0 <= value <= MOST_DISCOUNT, "values in [0, 1 − 1e-9]"),
            ("shares", lambda value: 0.0 < value <= 1.0, "values in (0, 1]"),
            ("shifts", lambda value: abs(value) <= MOST_SHIFT, "numbers from −1e6 to 1e6"),
        ):
            values = getattr(self, name)
            if not values or not all(map(allowed, values)):
                raise PotstillError(f"TheorySettings.{name} {values}: expected {expected}")


@check_arguments
def measure_theory(
    settings: TheorySettings | None = None, *, weightings: Mapping[str, StateWeights] | None = None
) -> TheoryResult:
    """Evaluate the theorems and the objectives on random MDPs.

    For each MDP, Theorem 2 is evaluated for an optimal teacher with a student at each share, and for two random
    policies. The bounds are evaluated for the optimal teacher. For the shifts, students differ from the optimal teacher
    by a different, random amount in each state; the data are the states that a random policy visits.

    Args:
        settings: numbers and sizes. Default: 1,000 MDPs of 20 states, which takes a minute.
        weightings: further weights of states in Av-PBC, by name. Each maps v* [S] to weights [S].

    Returns:
        Plain numbers. The same settings give the same numbers.

    Raises:
        PotstillError: a weighting is no function, or does not return a number for each state.

    Example:
        >>> found = measure_theory(TheorySettings((0.5, 0.9), mdps=5, ranked=2, students=4))
        >>> found.residual < 1e-10, found.discounts[1].find_bound("corollary 1", share=0.1).factor.median > 1.0
        (True, True)
    """
    settings, weightings = settings or TheorySettings(), weightings or {}
    for name, weigh in weightings.items():
        if not callable(weigh):
            raise PotstillError(f"measure_theory: weighting '{name}' is {weigh!r}: expected a function")
        if f"av-pbc, {name}" in OBJECTIVES:
            raise PotstillError(f"measure_theory: weighting '{name}': expected another name, this one is an objective")
    return TheoryResult(tuple(_measure_discount(settings, gamma, weightings) for gamma in settings.discounts))


def _draw(settings: TheorySettings, discount: float, index: int) -> tuple[np.random.Generator, TabularMDP]:
    """MDP number ``index``, the same at every discount, and a generator for its policies."""
    rng = np.random.default_rng((settings.seed, index))
    kind = {"concentration": settings.concentration, "rewarded": settings.rewarded, "max_reward": MAX_REWARD}
    return rng, draw_mdp(rng, settings.states, settings.actions, discount=discount, **kind)


def _measure_discount(
    settings: TheorySettings, discount: float, weightings: Mapping[str, StateWeights]
) -> DiscountResult:
    residuals, lost, distances = [], [], []
    bounds: dict[str, list[np.ndarray]] = {name: [] for name in BOUNDS}
    for index in range(settings.mdps):
        rng, mdp = _draw(settings, discount, index)
        teacher = Solution(mdp, find_optimal_policy(mdp))
        drawn = [draw_policy(rng, *mdp.rewards.shape) for _ in range(2)]
        mixed = [mix_policies(teacher.policy, drawn[0], share) for share in settings.shares]
        students = Solution(mdp, np.stack(mixed))
        for pair in ((teacher, students), [Solution(mdp, policy) for policy in drawn]):
            residuals.append(np.abs(compute_lost(*pair) - integrate_by_theorem_2(*pair)).max())
        lost.append(compute_lost(teacher, students))
        distances.append(mean_distance(teacher.policy, students.policy, teacher.states))
        for name, evaluate in BOUNDS.items():
            bounds[name].append(evaluate(teacher, students))
    summaries = tuple(
        _summarise(name, share, *(np.array(rows)[:, i] for rows in (distances, lost, bounds[name])))
        for i, share in enumerate(settings.shares)
        for name in BOUNDS
    )
    residual = float(max(residuals))
    relative = residual * (1.0 - discount) / MAX_REWARD
    shifts = _measure_shifts(settings, discount, weightings)
    return DiscountResult(discount, settings.mdps, residual, relative, summaries, *shifts)


def _summarise(
    name: str,
    share: float,
    distances: Float64[np.ndarray, " M"],
    lost: Float64[np.ndarray, " M"],
    bounds: Float64[np.ndarray, " M"],
) -> BoundSummary:
    slack = bounds - lost
    lost_spread, slack_spread, factor = (Spread.of(values) for values in (lost, slack, bounds / lost))
    return BoundSummary(name, share, float(distances.mean()), lost_spread, slack_spread, factor, float(slack.min()))


def _measure_shifts(
    settings: TheorySettings, discount: float, weightings: Mapping[str, StateWeights]
) -> tuple[Spread, tuple[ShiftSummary, ...], tuple[float, ...], float]:
    """The variation of v*, the objectives after each shift, how often Corollary 1 fails, and the largest error."""
    names = (*OBJECTIVES, *(f"av-pbc, {name}" for name in weightings))
    correlations: dict[tuple[float, str], list[float]] = {(c, name): [] for c in settings.shifts for name in names}
    below: dict[tuple[float, str], list[float]] = {key: [] for key in correlations}
    broken: dict[float, list[float]] = {shift: [] for shift in settings.shifts}
    variations, errors = [], []
    for index in range(settings.ranked):
        case = _Case(*_draw(settings, discount, index), settings.students)
        variations.append(case.variation)
        for shift in settings.shifts:
            found, error = case.shift(shift, weightings)
            errors.append(error)
            broken[shift].append(float(np.mean(found["corollary 1"] < case.lost)))
            for name in names:
                correlations[shift, name].append(correlate_ranks(found[name], case.lost))
                below[shift, name].append(float(np.mean(found[name] < 0.0)))
    shifts = (
        ShiftSummary(name, shift, Spread.of(of), float(np.mean(below[shift, name])))
        for (shift, name), of in correlations.items()
    )
    means = tuple(float(np.mean(broken[shift])) for shift in settings.shifts)
    return Spread.of(variations), tuple(shifts), means, max(errors)


class _Case:
    """An optimal teacher of an MDP, the states of the data, K students and their objectives."""

    def __init__(self, rng: np.random.Generator, mdp: TabularMDP, count: int) -> None:
        shape, best = mdp.rewards.shape, find_optimal_policy(mdp)
        self.data = Solution(mdp, draw_policy(rng, *shape)).states
        drawn = [mix_policies(best, draw_policy(rng, *shape), rng.uniform(size=shape[0])) for _ in range(count)]
        self.teacher, self.students = Solution(mdp, best), Solution(mdp, np.stack(drawn))
        self.lost = compute_lost(self.teacher, self.students)
        self.before = evaluate_objectives(self.teacher, self.students, self.data)

    @property
    def variation(self) -> float:
        """Standard deviation of v* over the data divided by its mean."""
        mean = self.data @ self.teacher.state_values
        return float(np.sqrt(self.data @ (self.teacher.state_values - mean) ** 2) / mean)

    def shift(
        self, shift: float, weightings: Mapping[str, StateWeights]
    ) -> tuple[dict[str, Float64[np.ndarray, " K"]], float]:
        """Shift the rewards, solve everything again; the objectives, and the largest error of their predictions."""
        mdp = self.teacher.mdp.shift_rewards(shift)
        teacher, students = Solution(mdp, self.teacher.policy), Solution(mdp, self.students.policy)
        found = evaluate_objectives(teacher, students, self.data)
        changes = evaluate_shift(self.teacher, self.students, self.data, shift)
        errors = [np.abs(compute_lost(teacher, students) - self.lost).max()]
        for name, change in changes.items():
            error = found[name] - self.before[name] - change
            errors.append((np.abs(error) / np.maximum(1.0, np.abs(change))).max())
        for name, weigh in weightings.items():
            weights = self.data * as_shaped(f"weighting '{name}'", weigh(teacher.state_values), self.data.shape)
            found[f"av-pbc, {name}"] = weighted_distance(teacher.policy, students.policy, weights)
        return found, float(max(errors))


def correlate_ranks(first: Float64[np.ndarray, " K"], second: Float64[np.ndarray, " K"]) -> float:
    """Spearman's rank correlation of two quantities without ties; 0 if one is constant.

    >>> correlate_ranks(np.array([1.0, 5.0, 2.0]), np.array([0.0, 9.0, 3.0]))
    1.0
    """
    if np.ptp(first) == 0.0 or np.ptp(second) == 0.0:
        return 0.0
    ranks = [np.argsort(np.argsort(values)) - (len(values) - 1) / 2.0 for values in (first, second)]
    return float(ranks[0] @ ranks[1] / (ranks[0] @ ranks[0]))
