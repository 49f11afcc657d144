"""What every teacher algorithm inherits, and each one's losses against numbers worked out by hand."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_teachers import write_npz

import potstill
from potstill.config import BcConfig, CalQlConfig, EdacConfig, IqlConfig, RebracConfig, Settings, TeachConfig
from potstill.errors import PotstillError
from potstill.networks import init_mlp
from potstill.teachers import bc, calql, diagnostics, edac, fitted, gaussian, iql, rebrac, rows, values
from potstill.teachers.base import Teacher, load_teacher
from potstill.teachers.registry import ALGORITHMS
from potstill.teachers.rows import Rows
from potstill.teachers.training import Learner, begin_adam, cut, descend, run, run_seeds
from potstill.types import Normaliser, Transitions

DISCOUNT, PULL, PUSH, EFFORT = 0.8, 0.9, 0.5, 0.1  # s′ = 0.9 s + 0.5 a, r = −s² − 0.1 a²


def lqr_answer():
    """(K, P) of the optimal a = −K s and V(s) = −P s², from the scalar Riccati recursion."""
    p = 0.0
    for _ in range(200):
        k = DISCOUNT * p * PULL * PUSH / (EFFORT + DISCOUNT * p * PUSH**2)
        p = 1.0 + EFFORT * k**2 + DISCOUNT * p * (PULL - PUSH * k) ** 2
    return k, p


def lqr_logs(episodes=240, length=10):
    """Episodes of mixed quality: every gain from −0.3 K to 1.7 K, with noise; time-outs, no terminations."""
    rng = np.random.default_rng(0)
    gain = lqr_answer()[0] * np.linspace(-0.3, 1.7, episodes)
    state, columns = rng.uniform(-1, 1, episodes), []
    for _ in range(length):
        action = np.clip(-gain * state + 0.3 * rng.normal(size=episodes), -1.0, 1.0)
        after = np.clip(PULL * state + PUSH * action, -2.0, 2.0)
        columns.append((state, action, -(state**2) - EFFORT * action**2, after))
        state = after
    states, actions, rewards, after = (
        np.stack(c, 1).reshape(-1).astype(np.float32) for c in zip(*columns, strict=True)
    )
    last = np.arange(episodes * length) % length == length - 1
    bound = np.ones(1, np.float32)
    none = np.zeros(len(states), bool)
    return Transitions(
        states[:, None], actions[:, None], rewards, after[:, None], none, last, -bound, bound, name="lqr"
    )


SETTINGS = {
    "bc": {"bc": BcConfig(best_episodes=0.4, learning_rate=1e-3)},
    "rebrac": {"rebrac": RebracConfig(actor_penalty=0.0, critic_penalty=0.0, hidden_layers=2)},
    "iql": {"iql": IqlConfig(expectile=0.9, temperature=3.0, learning_rate=1e-3)},
    "cal-ql": {"cal_ql": CalQlConfig(alpha=0.01, actions=2, learning_rate=1e-3, policy_learning_rate=1e-3)},
    "edac": {"edac": EdacConfig(critics=2, learning_rate=1e-3)},
}


def test_settings_name_every_algorithm():
    assert set(SETTINGS) == set(ALGORITHMS)


@pytest.fixture(scope="module")
def lqr(tmp_path_factory):
    return write_npz(tmp_path_factory.mktemp("lqr") / "lqr.npz", lqr_logs())


OPTIONS = {"updates": 1500, "batch": 64, "discount": DISCOUNT, "target_rate": 0.02}


@pytest.fixture(scope="module", params=SETTINGS)
def taught(request, lqr, tmp_path_factory):
    """Each algorithm's name, options and run."""
    options = {**OPTIONS, "algorithm": request.param, **SETTINGS[request.param]}
    return options, potstill.teach(lqr, out=tmp_path_factory.mktemp("taught") / "run", **options)


def test_it_solves_a_problem_whose_answer_is_known(taught):
    teacher = load_teacher(taught[1] / "teacher.safetensors")
    assert isinstance(teacher, Teacher)
    k, p = lqr_answer()
    raw = np.linspace(-0.7, 0.7, 15, dtype=np.float32)[:, None]
    error = np.abs(teacher.policy(raw) + k * raw).mean()
    states = jnp.asarray(teacher.normaliser(raw))
    values = np.asarray(teacher.action_values(states, jnp.asarray(-k * raw))).mean(0)
    worst = np.asarray(teacher.action_values(states, jnp.asarray(k * raw))).mean(0)
    print("K", k, "P", p, "error", error, "values", np.abs(values + p * raw[:, 0] ** 2).mean())
    assert error < 0.15
    assert (worst[[0, -1]] < values[[0, -1]]).all()
    assert np.abs(values + p * raw[:, 0] ** 2).mean() < 0.4


def test_resumed_and_uninterrupted_training_give_the_same_bytes(taught, lqr, tmp_path, monkeypatch):
    options = {**taught[0], "updates": 24, "evaluate_every": 8, "fitted_updates": 5}
    whole = potstill.teach(lqr, out=tmp_path / "whole", **options)
    advance, calls = Learner.advance, []

    def interrupted(self):
        calls.append(self.done)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return advance(self)

    monkeypatch.setattr(Learner, "advance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        potstill.teach(lqr, out=tmp_path / "parts", **options)
    monkeypatch.undo()
    options = {**options, "out": tmp_path / "parts", "resume": True}
    with pytest.raises(PotstillError, match="batch 64, not 16"):
        potstill.teach(lqr, **{**options, "batch": 16})
    resumed = potstill.teach(lqr, **options)
    assert (resumed / "teacher.safetensors").read_bytes() == (whole / "teacher.safetensors").read_bytes()
    lines = [json.loads(line) for line in (resumed / "metrics.jsonl").read_text().splitlines()]
    assert [line["update"] for line in lines if "critic_loss" in line] == [8, 16, 24]
    history = [json.loads((run / "result.json").read_text())["history"] for run in (whole, resumed)]
    assert history[0] == history[1]
    assert not (resumed / "checkpoint.safetensors").exists()
    with pytest.raises(PotstillError, match="finished"):
        potstill.teach(lqr, **options)


@dataclasses.dataclass
class Linear:
    """A user's own teacher: a = −gain · s, valued as the optimal policy is."""

    normaliser: Normaliser
    gain: float

    def act(self, states):
        return jnp.clip(-self.gain * self.normaliser.invert(states), -1.0, 1.0)

    def sample(self, states, key):
        return self.act(states)

    def action_values(self, states, actions):
        return -lqr_answer()[1] * self.normaliser.invert(states)[None, ..., 0] ** 2 - actions[None, ..., 0] * 0.0


def test_the_data_alone_rank_policies():
    data, (k, p) = lqr_logs(), lqr_answer()
    config = TeachConfig("x", **{name: value for name, value in OPTIONS.items() if name != "updates"})
    starts = data.observations[fitted.held_out_starts(data)]
    found = {}
    for gain in (k, 0.0, -0.5 * k):
        teacher = Linear(data.normaliser, gain)
        assert isinstance(teacher, Teacher)
        found[gain] = diagnostics.OfflineScores(data, config)(teacher, 1500)
    worth = [scores["fitted_value"] for scores in found.values()]
    assert worth[0] == pytest.approx(-p * float(np.mean(starts**2)), abs=0.15)
    assert worth[0] > worth[1] + 0.2 > worth[2] + 0.4
    assert found[k]["data_value"] < worth[0] - 0.1
    assert found[k]["claimed_value"] == pytest.approx(-p * float(np.mean(starts**2)), abs=1e-3)
    assert found[k]["value_correlation"] > 0.3


def test_patience_keeps_the_best_teacher(lqr, tmp_path, monkeypatch):
    worth = iter([1.0, 3.0, 2.0, 2.5, 9.0])
    monkeypatch.setattr(fitted.Evaluator, "__call__", lambda *_: next(worth))
    options = {**OPTIONS, **SETTINGS["bc"], "algorithm": "bc", "updates": 40, "evaluate_every": 8}
    run = potstill.teach(lqr, patience=2, out=tmp_path / "run", **options)
    result = json.loads((run / "result.json").read_text())
    assert (result["updates"], result["stopped"]) == (16, 32)
    assert load_teacher(run / "teacher.safetensors").metadata["updates"] == 16


def test_seeds_side_by_side_are_the_seeds_alone():
    settings = TeachConfig("x", algorithm="iql", batch=8).settings
    algorithm, data = ALGORITHMS["iql"], lqr_logs(20)
    table, keys = algorithm.prepare(data, settings), jax.random.split(jax.random.key(0), 2)
    states = [algorithm.begin(key, 1, 1, settings, 4) for key in keys]
    how = {"update": algorithm.update, "settings": settings, "batches": 1}
    together, _ = run_seeds(jax.tree.map(lambda *x: jnp.stack(x), *states), table, keys, 4, **how)
    alone, _ = run(states[1], table, keys[1], 4, **how)
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a[1], b, rtol=2e-3, atol=2e-5)


def test_a_batch_in_pieces_gives_the_gradient_of_the_whole():
    params, batch = jnp.array([1.0, -2.0]), jnp.arange(12.0).reshape(6, 2)
    loss = lambda p, rows: (jnp.mean((rows @ p) ** 2), {"mean": rows.mean()})  # noqa: E731
    whole = descend(lambda p: loss(p, batch), params, begin_adam(params), 0.1)
    pieces = cut(batch, 4)  # two pieces: four do not divide six
    assert pieces.shape == (2, 3, 2)
    parts = descend(loss, params, begin_adam(params), 0.1, pieces)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_evaluations_fall_where_their_number_is_passed(lqr, tmp_path):
    options = {**OPTIONS, **SETTINGS["rebrac"], "updates": 12, "evaluate_every": 5, "fitted_updates": 0}
    run = potstill.teach(lqr, algorithm="rebrac", out=tmp_path / "run", **options)
    history = json.loads((run / "result.json").read_text())["history"]
    assert [entry["update"] for entry in history] == [6, 10, 12]  # two updates a call


# Losses by hand: constant networks, two rows.


def given(own):
    return Settings(own, batch=2, discount=0.9, target_rate=0.005)


REBRAC = given(RebracConfig(actor_penalty=0.5, critic_penalty=0.25))
IQL = given(IqlConfig(expectile=0.7, temperature=2.0))
CAL_QL = given(CalQlConfig(alpha=2.0, actions=1))


def constant(sizes, bias):
    """A network that gives ``bias`` (before any tanh) whatever comes in."""
    layers = [{k: jnp.zeros_like(v) for k, v in layer.items()} for layer in init_mlp(jax.random.key(0), sizes)]
    layers[-1]["bias"] = jnp.asarray(bias, jnp.float32)
    return layers


def stacked(*networks):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *networks)


ROWS = Rows(
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
    target = rebrac.critic_target(TARGETS, actor, ROWS, jax.random.key(0), REBRAC)
    np.testing.assert_allclose(target, [8.119, 2.0], rtol=1e-5)
    wanted = ((8.119 - 1) ** 2 + (2 - 1) ** 2) / 2 + (8.119**2 + 2**2) / 2
    assert float(values.critic_loss(CRITICS, target, ROWS, normed=True)[0]) == pytest.approx(wanted, rel=1e-5)


def test_rebrac_actor_by_hand():
    actor = constant((3, 4, 2), [0.0, 0.0])
    critics = stacked(constant((5, 4, 1), [-4.0]), constant((5, 4, 1), [3.0]))
    # 0.5 · mean(0.25, 0) − (−4) / |−4|
    assert float(rebrac.actor_loss(actor, critics, ROWS, REBRAC)[0]) == pytest.approx(0.0625 + 1.0, rel=1e-5)


def test_bc_by_hand():
    actor = constant((3, 4, 2), [0.0, 0.0])
    assert float(bc.actor_loss(actor, ROWS)[0]) == pytest.approx((0.25 + 0.0) / 2)
    chosen = ROWS._replace(weights=jnp.array([1.0, 0.0]))
    assert float(bc.actor_loss(actor, chosen)[0]) == pytest.approx(0.25)
    target = values.bootstrapped(ROWS, jnp.array([8.0, 8.0]), 0.9)
    np.testing.assert_allclose(target, [1 + 0.9 * 8, 2.0])
    found = values.critic_loss(CRITICS, target, ROWS, normed=True)[0]
    assert float(found) == pytest.approx((7.2**2 + 1 + 8.2**2 + 4) / 2)


def test_iql_by_hand():
    value = constant((3, 4, 1), [3.0])
    # L₂^0.7 of 4 − 3 = 1 and 1 − 3 = −2: 0.7 · 1 and 0.3 · 4
    assert float(iql.value_loss(value, jnp.array([4.0, 1.0]), ROWS, IQL)[0]) == pytest.approx((0.7 + 1.2) / 2)
    actor = {"layers": constant((3, 4, 2), [0.0, 0.0]), "log_std": jnp.array([0.0, 0.0])}
    density = [-0.5 * 0.25 - np.log(2 * np.pi), -np.log(2 * np.pi)]
    # weights e^{2 · 0.5} and min(e^{2 · 9}, 100)
    wanted = -(np.e * density[0] + 100.0 * density[1]) / 2
    assert float(iql.actor_loss(actor, jnp.array([0.5, 9.0]), ROWS, IQL)[0]) == pytest.approx(wanted, rel=1e-5)


def test_cal_ql_by_hand():
    target = jnp.array([8.0, 2.0])
    drawn = calql.Drawn(
        actions=jnp.zeros((2, 3, 2)),
        log_densities=jnp.log(jnp.array([[0.25, 0.5, 1.0], [0.25, 0.5, 1.0]])),
        floors=jnp.array([[-jnp.inf, 5.0, 5.0], [-jnp.inf, 2.0, 2.0]]),
    )
    # critic 1 (value 1): log(e/0.25 + e^5/0.5 + e^5) − 1 and log(4 e + 3 e²) − 1; critic 2 (value 0) likewise
    lse = lambda q, g: np.log(4 * np.exp(q) + 3 * np.exp(max(q, g)))  # noqa: E731
    penalty = (lse(1, 5) - 1 + lse(1, 2) - 1 + lse(0, 5) + lse(0, 2)) / 2
    errors = (49 + 1 + 64 + 4) / 2
    found = calql.critic_loss(CRITICS, target, drawn, ROWS, CAL_QL)[0]
    assert float(found) == pytest.approx(errors + 2.0 * penalty, rel=1e-5)


def test_what_cal_ql_draws():
    actor = constant((3, 4, 4), [0.0, 0.0, -1.0, -1.0])
    drawn = calql.draw_actions(actor, ROWS, jax.random.key(0), CAL_QL)
    np.testing.assert_allclose(drawn.log_densities[:, 0], -2 * np.log(2), rtol=1e-6)  # uniform on [−1, 1]²
    assert np.isneginf(drawn.floors[:, 0]).all()
    np.testing.assert_array_equal(drawn.floors[:, 1:], np.tile(ROWS.returns, (2, 1)).T)
    plain = given(CalQlConfig(calibrated=False, actions=1))
    assert np.isneginf(calql.draw_actions(actor, ROWS, jax.random.key(0), plain).floors).all()


def test_entropy_regularised_actor_by_hand():
    actor = constant((3, 4, 4), [0.0, 0.0, 0.0, 0.0])
    _, density = gaussian.draw(actor, ROWS.states, jax.random.key(1), 1)
    loss, _ = gaussian.actor_loss(actor, CRITICS, jnp.asarray(0.5), ROWS, jax.random.key(1))
    assert float(loss) == pytest.approx(0.5 * float(density.mean()) - 0.0, rel=1e-5)
    # the weight rises while the entropy, here 1, is below its target of −A = −2? no: −log π + (−2) > 0
    slope = jax.grad(gaussian.weight_loss)(jnp.zeros(()), jnp.array([5.0, 5.0]), 2)
    assert float(slope) == pytest.approx(-3.0)  # entropy −5 < −2: descending raises log w


def test_density_of_a_squashed_gaussian_integrates_to_one():
    actor = constant((1, 4, 2), [0.3, -0.5])
    actions, log_density = gaussian.draw(actor, jnp.zeros((1, 1)), jax.random.key(0), 40_000)
    # E_π[1 / π(a)] over the support is its length, 2
    inside = np.abs(actions[:, 0, 0]) < 0.9
    assert float(np.mean(np.exp(-log_density[:, 0]) * inside)) == pytest.approx(1.8, abs=0.05)


def test_edac_by_hand():
    slopes = jnp.array([[[3.0, 4.0], [1.0, 0.0]], [[3.0, 4.0], [0.0, 2.0]]])
    # unit gradients agree in the first row (2 ordered pairs of 1), are orthogonal in the second
    assert float(edac.diversity(slopes)) == pytest.approx((2.0 + 0.0) / 2, rel=1e-5)
    ahead = [{"weight": jnp.eye(5, 5), "bias": jnp.full(5, 10.0)}, {"weight": jnp.zeros((5, 1)), "bias": jnp.zeros(1)}]
    one, other = (jax.tree.map(jnp.array, ahead) for _ in range(2))
    one[1]["weight"] = one[1]["weight"].at[3].set(2.0)
    other[1]["weight"] = other[1]["weight"].at[4].set(1.0)
    found = edac.action_gradients(stacked(one, other), ROWS)
    np.testing.assert_allclose(found, [[[2.0, 0.0]] * 2, [[0.0, 1.0]] * 2])


def test_returns_stop_where_episodes_end(data):
    table = rows.prepare(data, 0.5)
    assert float(table.returns[24]) == pytest.approx(float(data.rewards[24]))
    assert float(table.returns[23]) == pytest.approx(float(data.rewards[23] + 0.5 * data.rewards[24]), abs=1e-6)


def test_the_best_episodes(data):
    best = bc.best_rows(data, 0.25)  # 3 of 12
    assert len(best) == 75
    returns = data.episode_returns()
    assert set(best // 25) == set(np.argsort(-returns)[:3])


def test_algorithms_that_need_the_order_of_rows_say_so(data):
    for name in ("rebrac", "cal-ql"):
        with pytest.raises(PotstillError, match=rf"{name} needs rows in the order.*next state of row 0"):
            ALGORITHMS[name].prepare(data, TeachConfig("x", algorithm=name).settings)
    for name in ("bc", "iql", "edac"):
        ALGORITHMS[name].prepare(data, TeachConfig("x", algorithm=name).settings)


def test_truncated_rows_have_no_next_action():
    logs = lqr_logs(20)
    table = rebrac.prepare(logs, REBRAC)
    assert len(table.states) == 180
    np.testing.assert_allclose(table.next_actions[0], logs.actions[1], atol=1e-6)
