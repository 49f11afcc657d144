"""Initial pairs."""

import jax.numpy as jnp
import numpy as np
import pytest

import potstill
from potstill.distillation import INITIAL_STATES, StateTable, make_initial_pairs
from potstill.distillation.initial_states import cluster_states, draw_apart, draw_diverse_states
from potstill.errors import PotstillError


def table_of(states, values=None):
    states = jnp.asarray(states, jnp.float32)
    values = jnp.zeros(len(states)) if values is None else jnp.asarray(values, jnp.float32)
    return StateTable(states, states * 0.1, states * 0.2, values[:, None], jnp.ones(len(states)), jnp.ones(()))


def clusters(rows=400):
    """Eight tight clusters, one of them with nine tenths of the states."""
    rng = np.random.default_rng(0)
    which = np.where(rng.random(rows) < 0.9, 0, rng.integers(8, size=rows))
    centres = rng.normal(size=(8, 3)) * 10
    return centres[which] + 0.01 * rng.normal(size=(rows, 3)), which


@pytest.mark.parametrize("choose", INITIAL_STATES.values(), ids=list(INITIAL_STATES))
class TestEveryChoice:
    def test_states_are_real_and_distinct(self, choose):
        states = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
        for size in (1, 10, 100):
            pairs = make_initial_pairs(table_of(states), size, choose, rng=np.random.default_rng(0))
            index = [int(np.flatnonzero((states == s).all(1))[0]) for s in np.asarray(pairs.states)]
            assert len(set(index)) == size
            np.testing.assert_allclose(pairs.actions, 0.2 * states[index], rtol=1e-6)

    def test_same_seed_same_states(self, choose):
        table = table_of(clusters()[0])
        first, again = (
            make_initial_pairs(table, 8, choose, actions="data", rng=np.random.default_rng(3)) for _ in range(2)
        )
        np.testing.assert_array_equal(first.states, again.states)
        np.testing.assert_allclose(first.actions, 0.1 * first.states, rtol=1e-6)

    def test_fewer_different_states_than_pairs(self, choose):
        states = np.repeat(np.eye(3), 20, axis=0)
        assert make_initial_pairs(table_of(states), 10, choose, rng=np.random.default_rng(0)).states.shape == (10, 3)


@pytest.mark.parametrize("choose", [cluster_states, draw_diverse_states])
def test_every_cluster_gets_a_pair(choose):
    states, which = clusters()
    pairs = make_initial_pairs(table_of(states), 8, choose, rng=np.random.default_rng(0))
    found = [which[np.argmin(np.sum((states - s) ** 2, 1))] for s in np.asarray(pairs.states)]
    assert set(found) == set(range(8))


def test_diverse_states_have_high_values():
    states = np.random.default_rng(0).normal(size=(2000, 3))
    pairs = make_initial_pairs(table_of(states, states[:, 0]), 50, draw_diverse_states, rng=np.random.default_rng(0))
    assert float(pairs.states[:, 0].mean()) > 0.5
    assert float(pairs.states[:, 1].std()) > float(states[:, 1].std())


def test_states_without_weight_are_drawn_last():
    found = draw_apart(np.arange(6.0)[:, None], np.array([0, 0, 1, 1, 0, 0.0]), 3, np.random.default_rng(0))
    assert set(found[:2]) == {2, 3}


def test_k_means_is_the_default():
    table = table_of(clusters()[0])
    found, wanted = (make_initial_pairs(table, 8, *c, rng=np.random.default_rng(0)) for c in ((), (cluster_states,)))
    np.testing.assert_array_equal(found.states, wanted.states)


def test_more_pairs_than_states():
    with pytest.raises(PotstillError, match="4 pairs: the table has only 3 states"):
        make_initial_pairs(table_of(np.eye(3)), 4, rng=np.random.default_rng(0))


def test_unknown_choice():
    with pytest.raises(PotstillError, match="did you mean 'k-means'"):
        potstill.distill("hopper-medium-replay", initial="kmeans")
