"""What every teacher algorithm inherits."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from test_teachers import write_npz

import potstill
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser, Transitions
from potstill.errors import PotstillError
from potstill.teachers import (
    ALGORITHMS,
    Bc,
    CalQl,
    Edac,
    Iql,
    Learner,
    Rebrac,
    Teacher,
    Training,
    UpdateSettings,
    load_teacher,
    train_teacher,
)
from potstill.teachers.algorithms.base import Algorithm
from potstill.teachers.evaluation import diagnostics, fqe
from potstill.teachers.optimisation import adam_step, initialise_adam, split_batch
from potstill.teachers.rows import load_rows, load_with_returns
from potstill.teachers.training import run_seeds, run_updates

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


# For every algorithm, settings with which it solves the problem above in OPTIONS["updates"] updates.
TUNED = {
    "bc": Bc(best_episodes=0.4, learning_rate=1e-3),
    "rebrac": Rebrac(actor_penalty=0.0, critic_penalty=0.0, hidden_layers=2),
    "iql": Iql(expectile=0.9, temperature=3.0, learning_rate=1e-3),
    "cal-ql": CalQl(alpha=0.01, actions=2, learning_rate=1e-3, policy_learning_rate=1e-3),
    "edac": Edac(critics=2, learning_rate=1e-3),
}


def test_every_algorithm_is_tested():
    assert set(TUNED) == set(ALGORITHMS), "add settings to TUNED"


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_every_algorithm_object_is(name, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for a user
    kind = ALGORITHMS[name]
    algorithm = kind()
    assert isinstance(algorithm, Algorithm)
    assert algorithm.name == name
    assert (algorithm, hash(algorithm)) == (kind(), hash(kind()))  # one program for both
    assert 0.0 < algorithm.target_rate <= 1.0
    assert algorithm.batches >= 1
    with pytest.raises(PotstillError, match=rf"{kind.__name__}\.learning_rate 0.*at least"):
        kind(learning_rate=0.0)
    with pytest.raises(PotstillError, match=rf"{kind.__name__}\.learning_rate is 'fast' \(str\)"):
        kind(learning_rate="fast")
    with pytest.raises(dataclasses.FrozenInstanceError):
        algorithm.learning_rate = 1.0


@pytest.fixture(scope="module")
def lqr(tmp_path_factory):
    return write_npz(tmp_path_factory.mktemp("lqr") / "lqr.npz", lqr_logs())


OPTIONS = {"updates": 1500, "batch": 64, "discount": DISCOUNT, "target_rate": 0.02}


@pytest.fixture(scope="module", params=TUNED)
def taught(request, lqr, tmp_path_factory):
    """Each algorithm's options and run."""
    options = {**OPTIONS, "algorithm": TUNED[request.param]}
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
    """A user's own teacher: a = −gain · s, with the action values of the optimal policy."""

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
    training = Training(**OPTIONS)
    starts = data.observations[fqe.held_out_starts(data)]
    found = {}
    for gain in (k, 0.0, -0.5 * k):
        teacher = Linear(data.normaliser, gain)
        assert isinstance(teacher, Teacher)
        found[gain] = diagnostics.OfflineScores(data, training)(teacher, 250)
    values = [scores["fitted_value"] for scores in found.values()]
    assert values[0] == pytest.approx(-p * float(np.mean(starts**2)), abs=0.15)
    assert values[0] > values[1] + 0.2 > values[2] + 0.4
    assert found[k]["data_value"] < values[0] - 0.1
    assert found[k]["claimed_value"] == pytest.approx(-p * float(np.mean(starts**2)), abs=1e-3)
    assert found[k]["value_correlation"] > 0.3


def test_pessimism_costs_distance_to_the_actions_of_the_data():
    """Without rewards, a policy 0.3 away from all actions of the data has the value −λ γ 0.09 / (1 − γ), on paper."""
    data = dataclasses.replace(lqr_logs(), rewards=np.zeros(len(lqr_logs()), np.float32))
    data.actions[:, 0] = 0.6 * (np.arange(len(data)) % 3 == 0)
    training = Training(batch=64, discount=0.5)
    table = load_with_returns(data, 0.5)
    plain, pessimistic = (
        fqe.Evaluator(table, data, training, np.arange(9), c)(Beside(data.normaliser), 200) for c in (0.0, 2.0)
    )
    assert pessimistic - plain == pytest.approx(-2.0 * 0.5 * 0.09 / 0.5, abs=0.03)


def test_fitted_values_come_in_any_unit():
    """Rewards 1,024 times as large are learned as fast, and their value is 1,024 times as large."""
    data = lqr_logs()
    large, training = dataclasses.replace(data, rewards=1024.0 * data.rewards), Training(batch=64, discount=0.9)
    teacher = Linear(data.normaliser, 0.5)
    own, other = (
        fqe.make_pessimistic_evaluator(load_with_returns(d, 0.9), d, training)(teacher, 100) for d in (data, large)
    )
    assert other == pytest.approx(1024.0 * own, rel=1e-6)


def test_the_default_target_rate_depends_on_the_algorithm():
    data = lqr_logs(20)
    found = {name: Learner(TUNED[name], data, Training(batch=4)).settings.target_rate for name in ALGORITHMS}
    assert found == {name: ALGORITHMS[name].target_rate for name in ALGORITHMS}
    assert found.items() >= {"bc": 0.005, "rebrac": 0.05, "iql": 0.02, "cal-ql": 0.005, "edac": 0.005}.items()
    assert Learner(TUNED["bc"], data, Training(target_rate=0.01)).settings.target_rate == 0.01


def test_a_teacher_of_the_library_call_is_that_of_the_command(lqr, tmp_path):
    options = {**OPTIONS, "updates": 8, "batch": 16}
    run = potstill.teach(lqr, algorithm=TUNED["bc"], fitted_updates=0, out=tmp_path / "run", **options)
    seen = []
    data = potstill.load_dataset(lqr)
    teacher = train_teacher(data, TUNED["bc"], Training(**options), report=lambda done, metrics: seen.append(done))
    again = teacher.save(tmp_path / "teacher.safetensors")
    assert again.read_bytes() == (run / "teacher.safetensors").read_bytes()
    assert seen == [8]


def test_training_is_checked_where_it_is_made(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for a user
    with pytest.raises(PotstillError, match=r"Training\.discount 1.0: inside \(0, 1\) is needed"):
        Training(discount=1.0)
    with pytest.raises(PotstillError, match=r"Training\.batch is 2.5 \(float\): int is needed"):
        Training(batch=2.5)


@dataclasses.dataclass(frozen=True)
class Halved(Bc):
    """A user's own algorithm: BC whose critics are extracted at half their size."""

    name = "halved"

    def extract(self, state, data):
        parts = super().extract(state, data)
        return parts._replace(critics=jax.tree.map(lambda x: x / 2, parts.critics))


def test_an_algorithm_of_the_users_own(lqr, tmp_path):
    run = potstill.teach(lqr, algorithm=Halved(), updates=4, batch=8, fitted_updates=0, out=tmp_path / "run")
    settings = load_teacher(run / "teacher.safetensors").metadata["settings"]
    assert settings["halved"] == {"best_episodes": 1.0, "learning_rate": 3e-4}


class Beside(Linear):
    """Acts 0.3 everywhere."""

    def __init__(self, normaliser):
        super().__init__(normaliser, 0.0)

    def act(self, states):
        return jnp.full((*states.shape[:-1], 1), 0.3)


def test_no_penalty_where_the_next_action_is_unknown():
    """Where the next row belongs to another state, the data's next action is unknown, and costs nothing."""
    data = lqr_logs()
    mixed = np.random.default_rng(0).permutation(len(data))
    training, mixed = Training(batch=64), data.take(mixed)
    ordered, shuffled = (
        fqe.make_pessimistic_evaluator(load_with_returns(d, 0.99), d, training).penalties for d in (data, mixed)
    )
    assert float((ordered > 0).mean()) > 0.8
    assert float((shuffled > 0).mean()) < 0.05


def test_patience_keeps_the_best_teacher_but_never_the_first(lqr, tmp_path, monkeypatch):
    fitted_and_pessimistic = iter([9.0, 5.0, 8.0, 3.0, 7.0, 2.0, 6.0, 2.5, 9.0, 9.0])
    monkeypatch.setattr(fqe.Evaluator, "__call__", lambda *_: next(fitted_and_pessimistic))
    options = {**OPTIONS, "algorithm": TUNED["bc"], "updates": 40, "evaluate_every": 8}
    run = potstill.teach(lqr, patience=2, out=tmp_path / "run", **options)
    result = json.loads((run / "result.json").read_text())
    assert (result["updates"], result["stopped"]) == (16, 32)
    assert [entry["worth"] for entry in result["history"]] == [5.0, 3.0, 2.0, 2.5]
    assert load_teacher(run / "teacher.safetensors").metadata["updates"] == 16


def test_seeds_side_by_side_are_the_seeds_alone():
    algorithm, data = Iql(), lqr_logs(20)
    how = {"algorithm": algorithm, "settings": UpdateSettings(batch=8, discount=0.99, target_rate=0.02)}
    table, keys = load_rows(algorithm.prepare(data, 0.99)), jax.random.split(jax.random.key(0), 2)
    states = [algorithm.initialise(key, 1, 1, 4) for key in keys]
    together, _ = run_seeds(jax.tree.map(lambda *x: jnp.stack(x), *states), table, keys, 4, **how)
    alone, _ = run_updates(states[1], table, keys[1], 4, **how)
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a[1], b, rtol=2e-3, atol=2e-5)


def test_a_batch_in_pieces_gives_the_gradient_of_the_whole():
    params, batch = jnp.array([1.0, -2.0]), jnp.arange(12.0).reshape(6, 2)
    loss = lambda p, rows: (jnp.mean((rows @ p) ** 2), {"mean": rows.mean()})  # noqa: E731
    whole = adam_step(lambda p: loss(p, batch), params, initialise_adam(params), 0.1)
    pieces = split_batch(batch, 4)  # two pieces: four do not divide six
    assert pieces.shape == (2, 3, 2)
    parts = adam_step(loss, params, initialise_adam(params), 0.1, pieces)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_evaluations_fall_where_their_number_is_passed(lqr, tmp_path):
    options = {**OPTIONS, "updates": 12, "evaluate_every": 5, "fitted_updates": 0}
    run = potstill.teach(lqr, algorithm=TUNED["rebrac"], out=tmp_path / "run", **options)
    history = json.loads((run / "result.json").read_text())["history"]
    assert [entry["update"] for entry in history] == [6, 10, 12]  # two updates a call
