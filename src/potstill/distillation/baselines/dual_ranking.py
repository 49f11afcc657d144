"""Stepwise dual ranking (SDR): rows of high value in states of low density, step by step of an episode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from potstill.distillation.baselines.base import Candidates
from potstill.distillation.baselines.selection import Index, Selection
from potstill.distillation.objectives.density import log_density
from potstill.distillation.state_table import count_episode_steps
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_fractions, check_ranges


def rank_stepwise(
    steps: Int[np.ndarray, " M"],
    values: Float[np.ndarray, " M"],
    log_densities: Float[np.ndarray, " M"],
    shares: tuple[float, float],
    horizon: float,
) -> Bool[np.ndarray, " M"]:
    """Whether each row is kept by both rankings, which compare it with the rows at the same step of other episodes.

    At step t, a row is kept if its value is at least the λ_q tanh(t / T)-quantile of the values and its density at most
    the (1 − λ_d tanh(t / T))-quantile of the densities.

    Args:
        steps: t, the number of steps before each row in its episode.
        values: q*(s, π*(s)).
        log_densities: log p(s).
        shares: λ_q and λ_d.
        horizon: T.

    >>> steps = np.full(4, 1_000_000)
    >>> values, densities = np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.0, 0.0, 0.0, 9.0])
    >>> rank_stepwise(steps, values, densities, (0.5, 0.25), 100.0).tolist()  # low value; high density
    [False, False, True, False]
    """
    kept = np.zeros(len(steps), np.bool_)
    order = np.argsort(steps, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(steps[order])) + 1):
        late = np.tanh(steps[rows[0]] / horizon)
        least = np.quantile(values[rows], shares[0] * late)
        most = np.quantile(log_densities[rows], 1.0 - shares[1] * late)
        kept[rows] = (values[rows] >= least) & (log_densities[rows] <= most)
    return kept


@check_arguments
@dataclass(frozen=True)
class DualRanking(Selection):
    """SDR, stepwise dual ranking: N random rows that two rankings keep, with the teacher's actions.

    Both rankings drop more rows the later the step, so rows of early steps are preferred; see :func:`rank_stepwise`.
    Source: Lei, Cheng and Tao 2025 (arXiv 2512.18246), with the settings of their published commands. It differs from
    their code: the density is estimated by nearest neighbours (theirs: a masked autoregressive flow), and the value and
    the action are those of the teacher's mean action, by the minimum over the critics (theirs: means over ten sampled
    actions, by one critic).

    Raises:
        PotstillError: a field is out of range; rows are not in the order of their episodes, or too few are kept (when
            pairs are made).

    Example:
        >>> DualRanking(value_share=0.3).needs_teacher
        True
    """

    needs_teacher: ClassVar[bool] = True
    labels: ClassVar[Literal["data", "teacher"]] = "teacher"

    value_share: float = 0.2
    """λ_q: the share of late rows that is dropped because of a low value."""
    density_share: float = 0.2
    """λ_d: the share of late rows that is dropped because of a high density."""
    horizon: float = 100.0
    """T: steps after which tanh(t / T) = 0.76 of these shares are dropped."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fractions(self, "value_share", "density_share")
        check_ranges(self, horizon=1e-6)

    def select_rows(self, candidates: Candidates, size: int, rng: np.random.Generator) -> Index:
        """Draw rows that both rankings keep."""
        table = candidates.table
        kept = rank_stepwise(
            count_episode_steps(candidates.data)[candidates.index],
            np.asarray(table.values, np.float64),
            np.asarray(log_density(table.states), np.float64),
            (self.value_share, self.density_share),
            self.horizon,
        )
        pool = np.flatnonzero(kept)
        if len(pool) < size:
            raise PotstillError(f"{size} pairs: SDR keeps only {len(pool)} rows of {candidates.data.name}")
        return rng.choice(pool, size, replace=False)
