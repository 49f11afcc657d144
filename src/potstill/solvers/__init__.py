"""Solvers of the inner problem: from pairs to the actions of a student trained on them.

One interface: ``solver(pairs, states, key) -> actions``, pure and differentiable in ``pairs``. The outer
loss is an objective of those actions, so that objectives and solvers combine freely.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from jaxtyping import Array, Float, PRNGKeyArray

from potstill.clone import Pairs
from potstill.errors import unknown
from potstill.recipes import Recipe
from potstill.solvers.kernel import kernel_actions
from potstill.solvers.unroll import unrolled_actions

Solver = Callable[[Pairs, Float[Array, "B S"], PRNGKeyArray], Float[Array, "B A"]]

SOLVERS: dict[str, Callable[..., Float[Array, "B A"]]] = {
    "kernel": kernel_actions,
    "unroll": unrolled_actions,
    "sweep": functools.partial(unrolled_actions, adjoint="sweep"),
}


def make_solver(name: str, recipe: Recipe) -> Solver:
    """The solver called ``name`` for students trained by ``recipe``."""
    if name not in SOLVERS:
        raise unknown("solver", name, SOLVERS)
    return functools.partial(SOLVERS[name], recipe=recipe)
