"""State density weighted distillation (SDW): policy-based cloning with larger weights on rare states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
from jaxtyping import PRNGKeyArray

from potstill.distillation.baselines.base import Baseline, Candidates, make_generator
from potstill.distillation.defaults import choose_default_action_limit
from potstill.distillation.initial_states import make_initial_pairs
from potstill.distillation.objectives.cloning import PolicyCloning
from potstill.distillation.objectives.weights import combine_weightings, weigh_sdw
from potstill.distillation.outer_loop import optimise_pairs
from potstill.distillation.schedule import Schedule
from potstill.distillation.settings import OuterSettings
from potstill.distillation.solvers.base import Solver
from potstill.distillation.solvers.interpolation import KernelInterpolation
from potstill.distillation.solvers.kernel_descent import KernelDescent
from potstill.distillation.state_table import build_state_table
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs


def choose_solver(recipe: Recipe) -> Solver:
    """Choose the default solver of ``potstill distill`` for a recipe."""
    return (KernelDescent if recipe.optimiser == "sgd" else KernelInterpolation)(recipe)


@check_arguments
@dataclass(frozen=True)
class DensityWeighted(Baseline):
    """SDW: PBC whose weights are a power of the reciprocal state density, p(s)^−0.02.

    Source: Lei, Cheng and Tao 2025 (arXiv 2512.06692). It differs from theirs: the density is estimated by nearest
    neighbours (theirs: a masked autoregressive flow), and the inner problem is solved by kernel descent (theirs: by an
    unroll). ``potstill distill --objective pbc --weighting sdw`` has these and all other options.

    Raises:
        PotstillError: a field is out of range.

    Example:
        >>> DensityWeighted(steps=20).needs_teacher
        True
    """

    needs_teacher: ClassVar[bool] = True

    steps: int = 150
    """Number of outer steps."""
    batch: int = 1024
    """States in an outer step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, steps=1, batch=1)

    def find_pairs(self, candidates: Candidates, size: int, key: PRNGKeyArray) -> Pairs:
        """Optimise initial pairs for the weighted objective."""
        start_key, loop_key = jax.random.split(key)
        table = build_state_table(candidates.data, candidates.teacher, combine_weightings(weigh_sdw), candidates.index)
        pairs = make_initial_pairs(table, size, rng=make_generator(start_key))
        limit = 1.0 if self.recipe.loss == "cross-entropy" else choose_default_action_limit(self.recipe)
        steps = optimise_pairs(
            pairs,
            table,
            candidates.teacher,
            objective=PolicyCloning(),
            solver=choose_solver(self.recipe),
            schedule=Schedule(steps=self.steps),
            settings=OuterSettings(batch=self.batch, action_limit=limit),
            key=loop_key,
        )
        for step in steps:
            pairs = step.pairs
        return pairs
