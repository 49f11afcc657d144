"""Portfolios draw one kind of student for each key and use the solver of that kind."""

from typing import cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from potstill.distillation import SOLVERS, DrawnKernelDescent, KernelInterpolation, Portfolio
from potstill.errors import PotstillError
from potstill.students import RECIPES, Pairs, Recipe

PAIRS = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
QUERIES = jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32)
SMALL = Recipe(steps=5, width=8)


def test_each_key_draws_a_kind():
    portfolio = Portfolio(SMALL, networks=1)
    solve = [jax.jit(solver) for solver in (portfolio, *portfolio.parts)]
    kinds = []
    for i in range(8):
        found, *wanted = (np.asarray(f(PAIRS, QUERIES, jax.random.key(i))) for f in solve)
        kinds.append(int(np.argmin([np.abs(found - x).max() for x in wanted])))
        np.testing.assert_allclose(found, wanted[kinds[-1]], atol=1e-6)
    assert set(kinds) == {0, 1}


def test_parts_of_a_portfolio():
    own, other = Portfolio(SMALL, networks=2).parts
    assert own == DrawnKernelDescent(SMALL, networks=2)
    assert other == KernelInterpolation(RECIPES["pytorch"], networks=1)
    adam = Portfolio(RECIPES["adam"], networks=1)
    assert [part.recipe for part in adam.parts] == [RECIPES["default"], RECIPES["adam"]]
    towers = Portfolio(RECIPES["adam-towers"], networks=1)
    assert [part.recipe for part in towers.parts] == [RECIPES[x] for x in ("default", "pytorch", "adam-towers")]
    assert cast(type[Portfolio], SOLVERS["portfolio"])().with_recipe(SMALL).parts[0].recipe == SMALL


def test_refused_input(unchecked):
    with pytest.raises(PotstillError, match="DrawnKernelDescent does not support residual students"):
        Portfolio(Recipe(residual=True))
    with pytest.raises(PotstillError, match=r"Portfolio\.networks is 'two'"):
        Portfolio(networks="two")  # type: ignore[arg-type]
