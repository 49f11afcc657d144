"""Each algorithm's losses and rows against numbers computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from lqr import lqr_logs

from potstill.errors import PotstillError
from potstill.networks.mlp import init_mlp
from potstill.teachers import ALGORITHMS
from potstill.teachers.algorithms import bc, cal_ql, critics, edac, gaussian, iql, rebrac
from potstill.teachers.rows import TrainingRows, TrainingTable, load_rows, load_with_returns

# Constant networks, two rows.


def constant(sizes, bias):
    """A network that returns ``bias`` (before any tanh) for every input."""
    layers = [{k: jnp.zeros_like(v) for k, v in layer.items()} for layer in init_mlp(jax.random.key(0), sizes)]
    layers[-1]["bias"] = jnp.asarray(bias, jnp.float32)
    return layers


def stacked(*networks):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)


ROWS = TrainingRows(
    states=jnp.zeros((2, 3)),
    actions=jnp.array([[0.5, 0.0], [0.0, 0.0]]),
    rewards=jnp.array([1.0, 2.0]),
    next_states=jnp.zeros((2, 3)),
    next_actions=jnp.zeros((2, 2)),
    alive=jnp.array([1.0, 0.0]),
    returns=jnp.array([5.0, 2.0]),
    weights=jnp.array([1.0, 1.0]),
)
CRITICS = stacked(constant((5, 4, 1), [1.0]), constant((5, 4, 1), [0.0]))
TARGETS = stacked(constant((5, 4, 1), [10.0]), constant((5, 4, 1), [8.0]))


def test_rebrac_critic_by_hand(monkeypatch):
    monkeypatch.setattr(rebrac, "TARGET_NOISE", 0.0)
    actor = constant((3, 4, 2), [float(np.arctanh(0.6)), 0.0])
    # y = r + 0.9 · alive · (min(10, 8) − 0.25 · 0.6²): 1 + 0.9 · 7.91 = 8.119 and 2
    target = rebrac.critic_target(TARGETS, actor, ROWS, jax.random.key(0), penalty=0.25, normed=True, discount=0.9)
    np.testing.assert_allclose(target, [8.119, 2.0], rtol=1e-5)
    wanted = ((8.119 - 1) ** 2 + (2 - 1) ** 2) / 2 + (8.119**2 + 2**2) / 2
    assert float(critics.critic_loss(CRITICS, target, ROWS, normed=True)[0]) == pytest.approx(wanted, rel=1e-5)


def test_rebrac_actor_by_hand():
    actor = constant((3, 4, 2), [0.0, 0.0])
    two = stacked(constant((5, 4, 1), [-4.0]), constant((5, 4, 1), [3.0]))
    # 0.5 · mean(0.25, 0) − (−4) / |−4|
    assert float(rebrac.actor_loss(actor, two, ROWS, penalty=0.5, normed=True)[0]) == pytest.approx(
        0.0625 + 1.0, rel=1e-5
    )


def test_bc_by_hand():
    actor = constant((3, 4, 2), [0.0, 0.0])
    assert float(bc.actor_loss(actor, ROWS)[0]) == pytest.approx((0.25 + 0.0) / 2)
    chosen = ROWS._replace(weights=jnp.array([1.0, 0.0]))
    assert float(bc.actor_loss(actor, chosen)[0]) == pytest.approx(0.25)
    target = critics.bootstrap(ROWS, jnp.array([8.0, 8.0]), 0.9)
    np.testing.assert_allclose(target, [1 + 0.9 * 8, 2.0])
    found = critics.critic_loss(CRITICS, target, ROWS, normed=True)[0]
    assert float(found) == pytest.approx((7.2**2 + 1 + 8.2**2 + 4) / 2)


def test_iql_by_hand():
    value = constant((3, 4, 1), [3.0])
    # L₂^0.7 of 4 − 3 = 1 and 1 − 3 = −2: 0.7 · 1 and 0.3 · 4
    assert float(iql.value_loss(value, jnp.array([4.0, 1.0]), ROWS, expectile=0.7)[0]) == pytest.approx((0.7 + 1.2) / 2)
    actor: iql.IqlActor = {"layers": constant((3, 4, 2), [0.0, 0.0]), "log_std": jnp.array([0.0, 0.0])}
    density = [-0.5 * 0.25 - np.log(2 * np.pi), -np.log(2 * np.pi)]
    # weights e^{2 · 0.5} and min(e^{2 · 9}, 100)
    wanted = -(np.e * density[0] + 100.0 * density[1]) / 2
    assert float(iql.actor_loss(actor, jnp.array([0.5, 9.0]), ROWS, temperature=2.0)[0]) == pytest.approx(
        wanted, rel=1e-5
    )


def test_cal_ql_by_hand():
    target = jnp.array([8.0, 2.0])
    proposed = cal_ql.ProposedActions(
        actions=jnp.zeros((2, 3, 2)),
        log_densities=jnp.log(jnp.array([[0.25, 0.5, 1.0], [0.25, 0.5, 1.0]])),
        floors=jnp.array([[-jnp.inf, 5.0, 5.0], [-jnp.inf, 2.0, 2.0]]),
    )
    # critic 1 (value 1): log(e/0.25 + e^5/0.5 + e^5) − 1 and log(4 e + 3 e²) − 1; critic 2 (value 0) likewise
    lse = lambda q, g: np.log(4 * np.exp(q) + 3 * np.exp(max(q, g)))  # noqa: E731
    penalty = (lse(1, 5) - 1 + lse(1, 2) - 1 + lse(0, 5) + lse(0, 2)) / 2
    errors = (49 + 1 + 64 + 4) / 2
    found = cal_ql.critic_loss(CRITICS, target, proposed, ROWS, alpha=2.0)[0]
    assert float(found) == pytest.approx(errors + 2.0 * penalty, rel=1e-5)


def test_the_actions_that_cal_ql_proposes():
    actor = constant((3, 4, 4), [0.0, 0.0, -1.0, -1.0])
    proposed = cal_ql.propose_actions(actor, ROWS, jax.random.key(0), count=1, calibrated=True)
    np.testing.assert_allclose(proposed.log_densities[:, 0], -2 * np.log(2), rtol=1e-6)  # uniform on [−1, 1]²
    assert np.isneginf(proposed.floors[:, 0]).all()
    np.testing.assert_array_equal(proposed.floors[:, 1:], np.tile(ROWS.returns, (2, 1)).T)
    plain = cal_ql.propose_actions(actor, ROWS, jax.random.key(0), count=1, calibrated=False)
    assert np.isneginf(plain.floors).all()


def test_entropy_regularised_actor_by_hand():
    actor = constant((3, 4, 4), [0.0, 0.0, 0.0, 0.0])
    _, density = gaussian.sample_actions(actor, ROWS.states, jax.random.key(1), 1)
    loss, _ = gaussian.actor_loss(actor, CRITICS, jnp.asarray(0.5), ROWS, jax.random.key(1))
    assert float(loss) == pytest.approx(0.5 * float(density.mean()) - 0.0, rel=1e-5)
    # the weight rises while the entropy, here 1, is below its target of −A = −2? no: −log π + (−2) > 0
    slope = jax.grad(gaussian.weight_loss)(jnp.zeros(()), jnp.array([5.0, 5.0]), 2)
    assert float(slope) == pytest.approx(-3.0)  # entropy −5 < −2: descending raises log w


def test_density_of_a_squashed_gaussian_integrates_to_one():
    actor = constant((1, 4, 2), [0.3, -0.5])
    actions, log_density = gaussian.sample_actions(actor, jnp.zeros((1, 1)), jax.random.key(0), 40_000)
    # E_π[1 / π(a)] over the support is its length, 2
    inside = np.abs(actions[:, 0, 0]) < 0.9
    assert float(np.mean(np.exp(-log_density[:, 0]) * inside)) == pytest.approx(1.8, abs=0.05)


def test_edac_by_hand():
    slopes = jnp.array([[[3.0, 4.0], [1.0, 0.0]], [[3.0, 4.0], [0.0, 2.0]]])
    # unit gradients agree in the first row (2 ordered pairs of 1), are orthogonal in the second
    assert float(edac.gradient_similarity(slopes)) == pytest.approx((2.0 + 0.0) / 2, rel=1e-5)
    ahead = [{"weight": jnp.eye(5, 5), "bias": jnp.full(5, 10.0)}, {"weight": jnp.zeros((5, 1)), "bias": jnp.zeros(1)}]
    one, other = (jax.tree.map(jnp.array, ahead) for _ in range(2))
    one[1]["weight"] = one[1]["weight"].at[3].set(2.0)
    other[1]["weight"] = other[1]["weight"].at[4].set(1.0)
    found = edac.action_gradients(stacked(one, other), ROWS)
    np.testing.assert_allclose(found, [[[2.0, 0.0]] * 2, [[0.0, 1.0]] * 2])


def test_returns_stop_at_ends_of_episodes(data):
    table = load_with_returns(data, 0.5)
    assert float(table.returns[24]) == pytest.approx(float(data.rewards[24]))
    assert float(table.returns[23]) == pytest.approx(float(data.rewards[23] + 0.5 * data.rewards[24]), abs=1e-6)


def test_the_best_episodes(data):
    best = bc.select_episodes(data, 0.25)  # 3 of 12
    assert best.sum() == 3
    assert set(np.flatnonzero(best)) == set(np.argsort(-data.episode_returns())[:3])
    weights = TrainingTable(data, episode_weights=best).read(np.arange(300)).weights
    np.testing.assert_array_equal(weights, np.repeat(best, 25))


def test_rows_out_of_order_are_refused(data):
    for name in ("rebrac", "cal-ql"):
        with pytest.raises(PotstillError, match=rf"{name} requires rows in the order.*next state of row 0"):
            ALGORITHMS[name]().prepare(data, 0.99)
    for name in ("bc", "iql", "edac"):
        ALGORITHMS[name]().prepare(data, 0.99)


def test_truncated_rows_have_no_next_action():
    logs = lqr_logs(20)
    table = load_rows(rebrac.Rebrac().prepare(logs, 0.99))
    assert len(table.states) == 180
    np.testing.assert_allclose(table.next_actions[0], logs.actions[1], atol=1e-6)
