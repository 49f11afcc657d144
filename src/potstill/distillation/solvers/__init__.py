"""Solvers of the inner problem: from pairs to the actions of a student trained on them.

One interface: ``solver(pairs, states, key) -> actions``, pure and differentiable in ``pairs``. The outer
loss is an objective of those actions, so that objectives and solvers combine freely.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from jaxtyping import Array, Float, PRNGKeyArray

from potstill.distillation.solvers.empirical import empirical_actions
from potstill.distillation.solvers.kernel import kernel_actions
from potstill.distillation.solvers.ridge import feature_actions, ridge_actions
from potstill.distillation.solvers.unroll import check_window, unrolled_actions
from potstill.errors import PotstillError, unknown
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs

Solver = Callable[[Pairs, Float[Array, "B S"], PRNGKeyArray], Float[Array, "B A"]]

SOLVERS: dict[str, Callable[..., Float[Array, "B A"]]] = {
    "kernel": kernel_actions,
    "empirical": empirical_actions,
    "ridge": ridge_actions,
    "features": feature_actions,
    "unroll": unrolled_actions,
    "sweep": functools.partial(unrolled_actions, adjoint="sweep"),
}

NETWORKS = ("unroll", "sweep")
"""Solvers that train real students; the others follow them in function space."""

SINGLE = ("empirical", "features")
"""Solvers that look into one network at a time; of a student of several towers that is one of them."""


def make_solver(name: str, recipe: Recipe, settings: Any = None) -> Solver:
    """The solver called ``name`` for students trained by ``recipe``; ``settings`` are the solver's own.

    Raises:
        PotstillError: an unknown name, or a recipe that the solver cannot follow.
    """
    if name not in SOLVERS:
        raise unknown("solver", name, SOLVERS)
    if name not in NETWORKS and (recipe.sampled or recipe.optimiser != "sgd"):
        raise PotstillError(
            f"--solver {name} follows SGD on mean actions: use --solver unroll with students that sample or use Adam"
        )
    if name in NETWORKS:
        check_window(recipe, settings)
    if name in SINGLE:
        recipe = dataclasses.replace(recipe, towers=1)
    chosen = {} if settings is None else {"settings": settings}
    return functools.partial(SOLVERS[name], recipe=recipe, **chosen)
