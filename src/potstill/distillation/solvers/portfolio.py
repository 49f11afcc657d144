"""A portfolio: pairs for students of several kinds.

Pairs that are distilled for one kind of student may be code that only this kind can read. A portfolio has a solver for
each of several kinds, and each key draws one of them. The outer loss is then an expectation over the kinds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from potstill.distillation.solvers.base import Solver
from potstill.distillation.solvers.drawn import DrawnKernelDescent
from potstill.runtime.arguments import check_arguments
from potstill.students.recipe import RECIPES
from potstill.students.training import Pairs


@check_arguments
@dataclass(frozen=True)
class Portfolio(Solver):
    """Kernel descent with drawn kernels for two kinds of students, of which each key draws one.

    The kinds are students of SGD (the recipe ``default``) and networks as PyTorch users build them, trained by Adam
    (the recipe ``pytorch``). The recipe of the portfolio takes the place of the one with its optimiser. A subclass with
    other :attr:`parts` is a portfolio of other kinds.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from potstill.students import Pairs
        >>> pairs = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> Portfolio()(pairs, jnp.zeros((4, 3)), jax.random.key(0)).shape
        (4, 1)
    """

    networks: int = 3
    """Number of networks whose kernels are averaged."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.parts  # which refuse what they cannot describe

    @property
    def parts(self) -> tuple[Solver, ...]:
        """A solver for each kind of student."""
        sgd = self.recipe.optimiser == "sgd"
        recipes = (self.recipe, RECIPES["pytorch"]) if sgd else (RECIPES["default"], self.recipe)
        return tuple(DrawnKernelDescent(recipe, networks=self.networks) for recipe in recipes)

    def __call__(self, pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray) -> Float[Array, "B A"]:
        """Actions in ``states`` of a student of the kind that ``key`` draws."""
        solve = [lambda part=part: part(pairs, states, key) for part in self.parts]
        actions: Array = jax.lax.switch(self._draw_kind(key), solve)
        return actions

    def policy(self, pairs: Pairs, key: PRNGKeyArray) -> Callable[[Float[Array, "B S"]], Float[Array, "B A"]]:
        """A student of the kind that ``key`` draws, as a function of states."""
        return self.parts[int(self._draw_kind(key))].policy(pairs, key)

    def _draw_kind(self, key: PRNGKeyArray) -> Int[Array, ""]:
        return jax.random.randint(jax.random.fold_in(key, len(self.parts)), (), 0, len(self.parts))
