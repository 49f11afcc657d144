"""The interface of a solver, which maps pairs to the actions of a student trained on them."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias, TypeVar

import jax
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.errors import PotstillError, name_option
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_types
from potstill.students.recipe import RECIPES, Recipe
from potstill.students.training import Pairs

StudentPolicy: TypeAlias = Callable[[Float[Array, "B S"]], Float[Array, "B A"]]
"""A student as a function of standardised states that JAX can differentiate."""
AnySolver = TypeVar("AnySolver", bound="Solver")


@check_arguments
@dataclass(frozen=True)
class Solver(ABC):
    """A solver of the inner problem: θ(D) = argmin ℓ_BC(θ, D), or an approximation of it.

    A subclass is a frozen dataclass with settings and a ``__call__`` method that is pure and differentiable in the
    pairs. The outer loss depends only on the returned actions, so any objective can be combined with any solver. A
    solver that does not train networks describes students trained by SGD and refuses all others by :func:`require_sgd`.

    Example:
        >>> @dataclass(frozen=True)
        ... class NearestPair(Solver):
        ...     def __call__(self, pairs, states, key):
        ...         distances = ((states[:, None] - pairs.states[None]) ** 2).sum(-1)
        ...         return pairs.actions[distances.argmin(-1)]
    """

    trains_networks: ClassVar[bool] = False
    """Whether the solver trains networks. Only such solvers can average over several students or change their width."""

    recipe: Recipe = RECIPES["default"]
    """The recipe of the student."""

    def __post_init__(self) -> None:
        check_types(self)

    @abstractmethod
    def __call__(self, pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray) -> Float[Array, "B A"]:
        """Return the actions in ``states`` of a student trained on ``pairs``.

        Args:
            pairs: standardised states [N, S], actions [N, A] in [−1, 1] or beyond, and optional weights [N]. If the
                recipe's loss is the cross-entropy, actions are the probabilities of A discrete actions.
            states: standardised states [B, S].
            key: determines everything random, such as the initial network.

        Returns:
            Actions [B, A] in [−1, 1]; with the cross-entropy, probabilities.
        """

    @property
    def kinds(self) -> tuple[Recipe, ...]:
        """The recipes of the kinds of students that the pairs are for. By default, there is one."""
        return (self.recipe,)

    def make_policy(self, pairs: Pairs, key: PRNGKeyArray) -> StudentPolicy:
        """Make the trained student as a function of states, for rollouts.

        By default, each call solves the inner problem again. Solvers that can solve it once override this method.
        """
        return jax.jit(lambda states: self(pairs, states, key))

    def measure_student(
        self, measure: Callable[[StudentPolicy], Float[Array, ""]], pairs: Pairs, key: PRNGKeyArray
    ) -> Float[Array, ""]:
        """Compute ``measure`` of the trained student, differentiably: its loss in rollouts, for example.

        ``measure`` is a pure function of the student, which is itself a function of states, see :meth:`make_policy`.
        """
        return measure(self.make_policy(pairs, key))

    def with_recipe(self: AnySolver, recipe: Recipe) -> AnySolver:
        """Return the same solver for another recipe."""
        return dataclasses.replace(self, recipe=recipe)

    def make_exact(self) -> Solver:
        """Make the solver that evaluates pairs when no gradient is needed. The default is this solver."""
        return self


def require_trained(solver: Solver) -> None:
    """Raise unless the recipe trains on mean actions for at least one step."""
    if not solver.recipe.steps:
        raise PotstillError(f"{type(solver).__name__} requires a recipe with at least 1 step, not Recipe.steps 0")
    if solver.recipe.sampled:
        raise _refuse(solver, "training on mean actions", "sample actions", ("unroll",))


def require_sgd(solver: Solver) -> None:
    """Raise unless the recipe is SGD on mean actions, the only training that exact kernels describe."""
    require_trained(solver)
    if solver.recipe.optimiser != "sgd":
        raise _refuse(solver, "SGD on mean actions", f"use {solver.recipe.optimiser}", ("interpolation", "unroll"))


def require_continuous(solver: Solver) -> None:
    """Raise unless the recipe is for continuous actions."""
    if solver.recipe.loss == "cross-entropy":
        raise PotstillError(
            f"{type(solver).__name__} fits the squared error of continuous actions: for discrete actions, choose "
            f"{name_option('solver', 'kernel')}, drawn, empirical or unroll"
        )


def name_solvers(names: Sequence[str]) -> str:
    """Name the option that chooses one of these solvers.

    >>> name_solvers(["kernel", "unroll"])
    "solver='kernel' or unroll"
    """
    return " or ".join([name_option("solver", names[0]), *names[1:]])


def _refuse(solver: Solver, described: str, found: str, others: Sequence[str]) -> PotstillError:
    return PotstillError(
        f"{type(solver).__name__} describes {described}, but students of this recipe {found}: choose "
        f"{name_solvers(others)}"
    )
