"""Students that are trained with random batches of the pairs."""

import jax
import jax.numpy as jnp
import numpy as np

from potstill.students import Pairs, Recipe
from potstill.students.training import bc_loss, initialise_student, take_optimiser_step, train_network


def test_batches_are_drawn_anew_for_each_step():
    states, actions, weights = jnp.eye(6, 3), jnp.linspace(-0.5, 0.5, 6)[:, None], jnp.arange(1.0, 7.0)
    pairs, recipe = Pairs(states, actions, weights), Recipe(batch=2, steps=3, width=8, momentum=0.5)
    state, keys = initialise_student(jax.random.key(0), pairs, recipe)
    assert keys is not None
    drawn = [jax.random.randint(jax.random.split(key)[1], (2,), 0, 6) for key in keys]
    assert len({tuple(rows.tolist()) for rows in drawn}) > 1
    for rows in drawn:
        batch = Pairs(states[rows], actions[rows], weights[rows])
        state = take_optimiser_step(state, jax.grad(bc_loss)(state.params, batch), recipe)
    trained = train_network(jax.random.key(0), pairs, recipe)
    for found, wanted in zip(jax.tree.leaves(trained), jax.tree.leaves(state.params), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)
