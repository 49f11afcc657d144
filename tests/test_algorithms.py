"""The contract of every teacher algorithm."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from lqr import OPTIONS, TUNED, lqr_answer, lqr_logs, tuned
from test_teachers import write_npz

import potstill
from potstill.errors import PotstillError
from potstill.teachers import (
    ALGORITHMS,
    Bc,
    Iql,
    Learner,
    Teacher,
    Training,
    UpdateSettings,
    load_teacher,
    train_teacher,
)
from potstill.teachers.algorithms.base import Algorithm
from potstill.teachers.optimisation import initialise_adam, split_batch, take_adam_step
from potstill.teachers.rows import load_rows
from potstill.teachers.training import run_seeds, run_updates

pytestmark = pytest.mark.usefixtures("narrow_networks")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_algorithms_are_hashable_and_check_their_fields(name, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for a user
    kind: Any = ALGORITHMS[name]
    algorithm = kind()
    assert isinstance(kind(), Algorithm)
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


@pytest.fixture(scope="module", params=ALGORITHMS)
def taught(request, lqr, tmp_path_factory):
    """The name of each algorithm, its options and its run."""
    options = {**OPTIONS, "algorithm": tuned(request.param)}
    run = potstill.teach(lqr, out=tmp_path_factory.mktemp("taught") / "run", fitted_updates=0, **options)
    return request.param, options, run


def test_it_learns_a_problem_whose_answer_is_known(taught):
    """The policy is nearer to the optimal one than the zero policy; the critics prefer its actions to their opposites.

    Potstill's own algorithms, with tuned settings, approach the optimal actions and values.
    """
    teacher = load_teacher(taught[2] / "teacher.safetensors")
    assert isinstance(teacher, Teacher)
    k, p = lqr_answer()
    raw = np.linspace(-0.7, 0.7, 15, dtype=np.float32)[:, None]
    error = np.abs(teacher.policy(raw) + k * raw).mean()
    states = jnp.asarray(teacher.normaliser(raw))
    values = np.asarray(teacher.action_values(states, jnp.asarray(-k * raw))).mean(0)
    worst = np.asarray(teacher.action_values(states, jnp.asarray(k * raw))).mean(0)
    off = np.abs(values + p * raw[:, 0] ** 2).mean()
    print("K", k, "P", p, "error", error, "values", off)
    assert error < np.abs(k * raw).mean()
    assert (worst[[0, -1]] < values[[0, -1]]).all()
    if taught[0] in TUNED:
        assert error < 0.15
        assert off < 0.4


def test_resumed_and_uninterrupted_training_give_the_same_bytes(taught, lqr, tmp_path, monkeypatch):
    options = {**taught[1], "updates": 24, "evaluate_every": 8, "fitted_updates": 5}
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


def test_the_default_target_rate_depends_on_the_algorithm():
    data = lqr_logs(20)
    found = {name: Learner(tuned(name), data, Training(batch=4)).settings.target_rate for name in ALGORITHMS}
    assert found == {name: ALGORITHMS[name].target_rate for name in ALGORITHMS}
    assert found.items() >= {"bc": 0.005, "rebrac": 0.05, "iql": 0.02, "cal-ql": 0.005, "edac": 0.005}.items()
    assert Learner(TUNED["bc"], data, Training(target_rate=0.01)).settings.target_rate == 0.01


def test_library_call_and_command_give_the_same_teacher(lqr, tmp_path):
    options: dict[str, Any] = {**OPTIONS, "updates": 8, "batch": 16}
    run = potstill.teach(lqr, algorithm=TUNED["bc"], fitted_updates=0, out=tmp_path / "run", **options)
    seen = []
    data = potstill.load_dataset(lqr)
    teacher = train_teacher(data, TUNED["bc"], Training(**options), report=lambda done, metrics: seen.append(done))
    again = teacher.save(tmp_path / "teacher.safetensors")
    trained = load_teacher(run / "teacher.safetensors")
    known = {name: value for name, value in trained.metadata.items() if name != "warnings"}  # which the command adds
    same = dataclasses.replace(trained, metadata=known).save(tmp_path / "same.safetensors")
    assert again.read_bytes() == same.read_bytes()
    assert seen == [8]


def test_training_settings_are_checked(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for a user
    with pytest.raises(PotstillError, match=r"Training\.discount 1.0: expected a value in \(0, 1\)"):
        Training(discount=1.0)
    with pytest.raises(PotstillError, match=r"Training\.batch is 2.5 \(float\): expected int"):
        Training(batch=2.5)  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True)
class Halved(Bc):
    """A custom algorithm: BC whose critics are halved when they are extracted."""

    name = "halved"

    def extract(self, state, data):
        parts = super().extract(state, data)
        return parts._replace(critics=jax.tree.map(lambda x: x / 2, parts.critics))


def test_custom_algorithm(lqr, tmp_path):
    run = potstill.teach(lqr, algorithm=Halved(), updates=4, batch=8, fitted_updates=0, out=tmp_path / "run")
    settings = load_teacher(run / "teacher.safetensors").metadata["settings"]
    assert settings["halved"] == {"best_episodes": 1.0, "learning_rate": 3e-4}


def test_vectorised_seeds_match_single_seeds():
    algorithm, data = Iql(), lqr_logs(20)
    how: dict[str, Any] = {"algorithm": algorithm, "settings": UpdateSettings(batch=8, discount=0.99, target_rate=0.02)}
    table, keys = load_rows(algorithm.prepare(data, 0.99)), jax.random.split(jax.random.key(0), 2)
    states = [algorithm.initialise(key, 1, 1, 4) for key in keys]
    together, _ = run_seeds(jax.tree.map(lambda *x: jnp.stack(x), *states), table, keys, 4, **how)
    alone, _ = run_updates(states[1], table, keys[1], 4, **how)
    for a, b in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
        np.testing.assert_allclose(a[1], b, rtol=2e-3, atol=2e-5)


def test_gradient_in_pieces_matches_the_whole_batch():
    params, batch = jnp.array([1.0, -2.0]), jnp.arange(12.0).reshape(6, 2)
    loss = lambda p, rows: (jnp.mean((rows @ p) ** 2), {"mean": rows.mean()})  # noqa: E731
    whole = take_adam_step(lambda p: loss(p, batch), params, initialise_adam(params), 0.1)
    pieces = split_batch(batch, 4)  # two pieces: four do not divide six
    assert pieces.shape == (2, 3, 2)
    parts = take_adam_step(loss, params, initialise_adam(params), 0.1, pieces)
    for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)


def test_evaluations_follow_evaluate_every(lqr, tmp_path):
    options: dict[str, Any] = {**OPTIONS, "updates": 12, "evaluate_every": 5, "fitted_updates": 0}
    run = potstill.teach(lqr, algorithm=TUNED["rebrac"], out=tmp_path / "run", **options)
    history = json.loads((run / "result.json").read_text())["history"]
    assert [entry["update"] for entry in history] == [6, 10, 12]  # two updates a call
