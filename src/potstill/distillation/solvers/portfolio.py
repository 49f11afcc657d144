"""Portfolios: pairs for students of several kinds.

Students of other kinds may learn little from pairs that are distilled for one kind of student. A portfolio has one
solver for each of several kinds, and each key draws one of them. The outer loss is then an expectation over the kinds.
SGD stops before it fits all pairs, which kernel descent computes. Adam fits them closely, as kernel interpolation does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from potstill.distillation.solvers.base import Solver, StudentPolicy
from potstill.distillation.solvers.drawn import DrawnKernelDescent
from potstill.distillation.solvers.interpolation import KernelInterpolation
from potstill.runtime.arguments import check_arguments
from potstill.students.recipe import RECIPES, Recipe
from potstill.students.training import Pairs


@check_arguments
@dataclass(frozen=True)
class Portfolio(Solver):
    """Kernel descent and interpolation, with drawn kernels, for several kinds of students. Each key draws one kind.

    The kinds are students trained by SGD (the recipe ``default``) and networks as they are typically built in PyTorch,
    trained by Adam (the recipe ``pytorch``). The recipe of the portfolio replaces the recipe of the two with the same
    kind of optimiser. A recipe with several towers and Adam is a third kind instead, because the portfolio would
    otherwise contain no single network. For other kinds, define a subclass with other :attr:`parts`.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from potstill.students import Pairs
        >>> pairs = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> Portfolio()(pairs, jnp.zeros((4, 3)), jax.random.key(0)).shape
        (4, 1)
    """

    networks: int = 3
    """Number of networks whose kernels are averaged for SGD and for towers. Other students of Adam are single
    networks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.parts  # they check the recipe

    @property
    def parts(self) -> tuple[Solver, ...]:
        """A solver for each kind of student."""
        own, discrete = self.recipe, self.recipe.loss == "cross-entropy"
        sgd, adam = (RECIPES[name].fit_to_actions(discrete=discrete) for name in ("default", "pytorch"))
        if own.optimiser == "sgd":
            sgd = own
        elif own.towers == 1:
            adam = own
        parts = DrawnKernelDescent(sgd, networks=self.networks), KernelInterpolation(adam, networks=1)
        return parts if own in (sgd, adam) else (*parts, KernelInterpolation(own, networks=self.networks))

    @property
    def kinds(self) -> tuple[Recipe, ...]:
        """The recipe of the portfolio, and that of its part with Adam."""
        return tuple(dict.fromkeys([self.recipe, self.parts[1].recipe]))

    def __call__(self, pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray) -> Float[Array, "B A"]:
        """Actions in ``states`` of a student of the kind that ``key`` draws."""
        solve = [lambda part=part: part(pairs, states, key) for part in self.parts]
        actions: Array = jax.lax.switch(self._draw_kind(key), solve)
        return actions

    def make_policy(self, pairs: Pairs, key: PRNGKeyArray) -> StudentPolicy:
        """Make a student of the kind that ``key`` draws, as a function of states."""
        return self.parts[int(self._draw_kind(key))].make_policy(pairs, key)

    def measure_student(
        self, measure: Callable[[StudentPolicy], Float[Array, ""]], pairs: Pairs, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """Compute ``measure`` of a student of the kind that ``key`` draws."""
        measured = [lambda part=part: part.measure_student(measure, pairs, key) for part in self.parts]
        found: Array = jax.lax.switch(self._draw_kind(key), measured)
        return found

    def _draw_kind(self, key: PRNGKeyArray) -> Int[Array, ""]:
        return jax.random.randint(jax.random.fold_in(key, len(self.parts)), (), 0, len(self.parts))
