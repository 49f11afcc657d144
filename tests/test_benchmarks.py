"""The programs that benchmarks compare compute the same thing."""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from potstill import clone
from potstill.clone import Pairs
from potstill.recipes import RECIPES


def test_pytorch_and_ours_are_the_same_mathematics(x64):
    torch = pytest.importorskip("torch", reason="needs PyTorch")
    from outer_step import inputs, torch_outer

    states, actions, queries, targets = (x.astype(np.float64) for x in inputs())
    start = clone.start(jax.random.key(0), states.shape[1], actions.shape[1], RECIPES["paper"])

    def outer(pairs):
        trained = clone.descend(clone.begin(start, RECIPES["paper"]), None, pairs, RECIPES["paper"], 100).params
        return jnp.sum((clone.mean_actions(trained, jnp.asarray(queries), 3) - targets) ** 2, -1).mean()

    value, gradient = jax.value_and_grad(outer)(Pairs(jnp.asarray(states), jnp.asarray(actions)))
    give = lambda x: torch.from_numpy(np.array(x))  # noqa: E731
    params = [(give(layer["weight"]), give(layer["bias"])) for layer in start]
    pairs = (give(states).requires_grad_(), give(actions).requires_grad_())
    theirs, their_gradient = torch_outer(params, *pairs, give(queries), give(targets))
    assert float(value) == pytest.approx(theirs, rel=1e-8)
    for ours, other in zip(jax.tree.leaves(gradient), their_gradient, strict=True):
        np.testing.assert_allclose(ours, other.numpy(), atol=1e-6 * float(jnp.abs(ours).max()))
