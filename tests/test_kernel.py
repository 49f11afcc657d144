import jax
import jax.numpy as jnp
import numpy as np
import pytest

from potstill import clone
from potstill.clone import Pairs
from potstill.networks import apply_mlp
from potstill.recipes import Recipe
from potstill.solvers.kernel import kernel_actions, tangent_kernel


def some_states(count, size=5, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(count, size)))


def empirical(x, y, key, recipe):
    """Tangent kernel of one finite network, first output."""
    params = clone.start(key, x.shape[-1], 1, recipe)
    gradient = jax.jacobian(lambda p, s: apply_mlp(p, s)[..., 0])
    flat = lambda s: jnp.concatenate([g.reshape(len(s), -1) for g in jax.tree.leaves(gradient(params, s))], 1)  # noqa: E731
    return flat(x) @ flat(y).T


def test_values_on_paper(x64):
    x = jnp.array([[3.0, 4.0]])
    # equal states: every angle is 0, so each of L layers adds |x|² + 1
    for layers in (1, 2, 4):
        np.testing.assert_allclose(tangent_kernel(x, x, layers), [[26.0 * layers]], rtol=2e-3)
    # at right angles, two layers: s₁ = |x||y| / π, and the first layer's share is halved
    y = jnp.array([[4.0, -3.0]])
    np.testing.assert_allclose(tangent_kernel(x, y, 2), [[25.0 / np.pi + 1.0 + 0.5]], rtol=1e-6)


@pytest.mark.parametrize("start", ["orthogonal", "antisymmetric"])
def test_finite_networks_approach_it(x64, start):
    x, y = some_states(6), some_states(7, seed=1)
    limit = tangent_kernel(x, y)

    def error(width, networks):
        keys = jax.random.split(jax.random.key(0), networks)
        found = sum(empirical(x, y, key, Recipe(width=width, start=start)) for key in keys) / networks
        return float(jnp.linalg.norm(found - limit) / jnp.linalg.norm(limit))

    narrow, wide = error(32, 4), error(512, 4)
    assert wide < 0.1
    assert wide < 0.5 * narrow


def test_training_approaches_it(x64):
    rng = np.random.default_rng(0)
    pairs = Pairs(some_states(20), jnp.asarray(rng.uniform(-0.8, 0.8, size=(20, 2))))
    query = some_states(30, seed=2)

    def error(width):
        recipe = Recipe(steps=30, momentum=0.5, width=width, start="antisymmetric")
        limit = kernel_actions(pairs, query, jax.random.key(0), recipe=recipe)
        keys = jax.random.split(jax.random.key(1), 4)
        actions = jax.vmap(lambda k: clone.mean_actions(clone.train(k, pairs, recipe), query, 2))(keys)
        return float(jnp.sqrt(jnp.mean((actions.mean(0) - limit) ** 2)))

    assert error(512) < 0.6 * error(64)


def test_gradient_survives_coinciding_states(x64):
    states = some_states(4)
    pairs = Pairs(states, jnp.zeros((4, 1)) + 0.3)
    loss = lambda p: jnp.sum(kernel_actions(p, states, jax.random.key(0), recipe=Recipe(steps=5)))  # noqa: E731
    gradient = jax.grad(loss)(pairs)
    assert all(bool(jnp.isfinite(g).all()) for g in jax.tree.leaves(gradient))
