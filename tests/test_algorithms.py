"""What every teacher algorithm inherits."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_teachers import write_npz

import potstill
from potstill.config import BcConfig, CalQlConfig, EdacConfig, IqlConfig, RebracConfig, TeachConfig
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser, Transitions
from potstill.errors import PotstillError
from potstill.teachers import rows
from potstill.teachers.base import Teacher, load_teacher
from potstill.teachers.evaluation import diagnostics
from potstill.teachers.evaluation import fqe as fitted
from potstill.teachers.registry import ALGORITHMS
from potstill.teachers.rows import on_device
from potstill.teachers.training import Learner, begin_adam, cut, descend, run, run_seeds

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
    none = np.zeros(len(states), bool)
    return Transitions(
        states[:, None], actions[:, None], rewards, after[:, None], none, last, ActionBounds.unit(1), name="lqr"
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
        found[gain] = diagnostics.OfflineScores(data, config)(teacher, 250)
    worth = [scores["fitted_value"] for scores in found.values()]
    assert worth[0] == pytest.approx(-p * float(np.mean(starts**2)), abs=0.15)
    assert worth[0] > worth[1] + 0.2 > worth[2] + 0.4
    assert found[k]["data_value"] < worth[0] - 0.1
    assert found[k]["claimed_value"] == pytest.approx(-p * float(np.mean(starts**2)), abs=1e-3)
    assert found[k]["value_correlation"] > 0.3


def test_caution_takes_off_what_the_data_cannot_answer_for():
    """Without rewards, a policy 0.3 beside all actions of the data is worth −λ γ 0.09 / (1 − γ), on paper."""
    data = dataclasses.replace(lqr_logs(), rewards=np.zeros(len(lqr_logs()), np.float32))
    data.actions[:, 0] = 0.6 * (np.arange(len(data)) % 3 == 0)
    config = TeachConfig("x", batch=64, discount=0.5)
    table = rows.prepare(data, 0.5)
    bold, cautious = (
        fitted.Evaluator(table, data, config, np.arange(9), c)(Beside(data.normaliser), 200) for c in (0.0, 2.0)
    )
    assert cautious - bold == pytest.approx(-2.0 * 0.5 * 0.09 / 0.5, abs=0.03)


def test_fitted_values_come_in_any_unit():
    """Rewards 1,024 times as large are learned as soon, and their value is 1,024 times as large."""
    data = lqr_logs()
    large, config = dataclasses.replace(data, rewards=1024.0 * data.rewards), TeachConfig("x", batch=64, discount=0.9)
    teacher = Linear(data.normaliser, 0.5)
    own, other = (fitted.cautious(rows.prepare(d, 0.9), d, config)(teacher, 100) for d in (data, large))
    assert other == pytest.approx(1024.0 * own, rel=1e-6)


def test_how_fast_targets_follow_depends_on_the_algorithm():
    found = {name: TeachConfig("x", algorithm=name).settings.target_rate for name in ALGORITHMS}
    assert found == {"bc": 0.005, "rebrac": 0.05, "iql": 0.02, "cal-ql": 0.005, "edac": 0.005}
    assert TeachConfig("x", target_rate=0.01).settings.target_rate == 0.01


class Beside(Linear):
    """Acts 0.3 everywhere."""

    def __init__(self, normaliser):
        super().__init__(normaliser, 0.0)

    def act(self, states):
        return jnp.full((*states.shape[:-1], 1), 0.3)


def test_no_caution_where_the_next_row_is_of_another_episode():
    """What the data did in the next state is unknown where no row holds it: nothing can be taken off."""
    data = lqr_logs()
    mixed = np.random.default_rng(0).permutation(len(data))
    config, mixed = TeachConfig("x", batch=64), data.take(mixed)
    ordered, strewn = (fitted.cautious(rows.prepare(d, 0.99), d, config).caution for d in (data, mixed))
    assert float((ordered > 0).mean()) > 0.8
    assert float((strewn > 0).mean()) < 0.05


def test_patience_keeps_the_best_teacher_but_never_the_first(lqr, tmp_path, monkeypatch):
    fitted_value_and_worth = iter([9.0, 5.0, 8.0, 3.0, 7.0, 2.0, 6.0, 2.5, 9.0, 9.0])
    monkeypatch.setattr(fitted.Evaluator, "__call__", lambda *_: next(fitted_value_and_worth))
    options = {**OPTIONS, **SETTINGS["bc"], "algorithm": "bc", "updates": 40, "evaluate_every": 8}
    run = potstill.teach(lqr, patience=2, out=tmp_path / "run", **options)
    result = json.loads((run / "result.json").read_text())
    assert (result["updates"], result["stopped"]) == (16, 32)
    assert [entry["worth"] for entry in result["history"]] == [5.0, 3.0, 2.0, 2.5]
    assert load_teacher(run / "teacher.safetensors").metadata["updates"] == 16


def test_seeds_side_by_side_are_the_seeds_alone():
    settings = TeachConfig("x", algorithm="iql", batch=8).settings
    algorithm, data = ALGORITHMS["iql"], lqr_logs(20)
    table, keys = on_device(algorithm.prepare(data, settings)), jax.random.split(jax.random.key(0), 2)
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
