"""Private outer steps: sampling, clipping, noise, the accountant, and what must not reach the pairs."""

import dataclasses
import json
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_table, random_teacher
from linear import linear_rows
from scipy.stats import norm
from test_resume import NARROW, QUICK, interrupted
from test_teachers import write_npz

import potstill
from potstill.cli import main
from potstill.commands import distillation_loop as command
from potstill.commands import distillation_privacy
from potstill.data.split import split_episodes
from potstill.distillation import KernelDescent, PolicyCloning, PrivateGradients, Schedule, optimise_pairs
from potstill.distillation.private import clip_gradient, find_episodes, find_public_scale, make_private_gradient
from potstill.distillation.settings import OuterSettings
from potstill.errors import PotstillError
from potstill.evaluation.privacy.accounting import compute_epsilon, describe_privacy
from potstill.runtime import checkpoints
from potstill.runtime.interruption import Interrupted

KEY = jax.random.key(3)
UNBATCHED = {name: value for name, value in QUICK.items() if name != "batch"}  # which has no effect
VARIABLES = {"a": jnp.array([1.0, -2.0, 0.5]), "b": jnp.array(2.0)}


def make_steps(episodes=20, **changes):
    """Episodes of one row each: what is drawn of an episode is known."""
    rows = np.arange(episodes)
    return PrivateGradients(rows, np.ones(episodes, int), **{"noise": 0.0, "expected": 5, "secret": 7, **changes})


def measure_loss(variables, batch, key):
    """A loss whose gradient in a and b is the mean state, and the mean of the first teacher action times 3 b²."""
    del key
    return jnp.mean(batch.states @ variables["a"] + batch.teacher_actions[:, 0] * variables["b"] ** 3)


def clip_by_hand(table, episode, most):
    found = np.append(np.asarray(table.states)[episode], 12.0 * np.asarray(table.teacher_actions)[episode, 0])
    return found * min(1.0, most / np.linalg.norm(found)) if np.isfinite(found).all() else 0.0 * np.ones(4)


def flatten(gradient):
    return np.append(np.asarray(gradient["a"], np.float64), float(gradient["b"]))


@pytest.mark.parametrize("expected", [20, 11, 3])
def test_the_gradient_by_hand(expected):
    """The mean of the clipped gradients of sampled episodes, of which some blocks are full and one is padded."""
    table, steps = random_table(20), make_steps(expected=expected, clip=2.0)
    chosen = steps.draw_episodes(steps.make_generator(KEY))
    assert len(chosen) == 20 if expected == 20 else 0 < len(chosen) < 20
    loss, gradient = make_private_gradient(measure_loss, steps)(VARIABLES, table, KEY)
    clipped = [clip_by_hand(table, episode, 2.0) for episode in chosen]
    assert any(np.linalg.norm(one) > 1.99 for one in clipped)
    assert any(np.linalg.norm(one) < 1.9 for one in clipped)
    np.testing.assert_allclose(flatten(gradient), np.sum(clipped, 0) / expected, rtol=1e-5, atol=1e-6)
    each = [
        measure_loss(VARIABLES, jax.tree.map(lambda x, e=e: x[e : e + 1] if x.ndim else x, table), KEY) for e in chosen
    ]
    np.testing.assert_allclose(loss, np.mean(each), rtol=1e-5)


@pytest.mark.parametrize("value", [1.0, 1e6, np.nan, 1e38])
def test_an_episode_changes_the_sum_by_at_most_the_clip(value):
    table, clip = random_table(20), 0.5
    table = table._replace(states=table.states.at[19].multiply(value))
    sums = []
    for episodes in (20, 19):
        steps = make_steps(episodes, expected=episodes, clip=clip)
        sums.append(episodes * flatten(make_private_gradient(measure_loss, steps)(VARIABLES, table, KEY)[1]))
    difference = np.linalg.norm(sums[0] - sums[1])
    assert difference <= clip + 1e-5
    assert difference > 0.49 or value in (np.nan, 1e38)


def test_an_empty_sample_gives_noise_of_the_right_size():
    steps = make_steps(noise=3.0, expected=1, clip=0.5)
    keys = [key for key in jax.random.split(KEY, 30) if not len(steps.draw_episodes(steps.make_generator(key)))]
    compute = make_private_gradient(lambda variables, batch, key: jnp.mean(batch.states) * variables.sum(), steps)
    loss, found = compute(jnp.zeros((400, 30)), random_table(20), keys[0])
    assert (len(keys) > 3, float(loss)) == (True, 0.0)
    noise = np.asarray(found)
    assert abs(noise.mean()) < 4 * 1.5 / np.sqrt(noise.size)
    assert abs(noise.std() - 1.5) < 0.05
    again = [np.asarray(compute(jnp.zeros((400, 30)), random_table(20), key)[1]) for key in keys[:2]]
    assert (again[0] == noise).all()
    assert abs(np.corrcoef(again[0].ravel(), again[1].ravel())[0, 1]) < 0.05


def test_the_secret_decides_and_is_not_shown():
    draw = lambda secret: make_steps(secret=secret).make_generator(KEY).random()  # noqa: E731
    assert draw(1) == draw(1) != draw(1 + 2**100)
    one, other = (PrivateGradients(np.arange(9), np.ones(9, int), 1.0, 2) for _ in range(2))
    assert one.secret != other.secret
    assert max(one.secret, other.secret) > 2**100
    assert str(one.secret) not in repr(one)


def test_rows_are_drawn_of_one_episode_and_samples_have_the_right_size():
    table = random_table(40)._replace(states=jnp.arange(40.0)[:, None] * jnp.ones((1, 3)))
    steps = PrivateGradients(np.array([0, 5, 25]), np.array([5, 20, 15]), 1.0, 1, rows=400)
    drawn = set(np.asarray(steps.draw_batch(table, jnp.asarray(1), KEY).states[:, 0]).tolist())
    assert drawn == set(range(5, 25))
    many = make_steps(1000, expected=100)
    sizes = [len(many.draw_episodes(many.make_generator(key))) for key in jax.random.split(KEY, 100)]
    assert abs(np.mean(sizes) - 100) < 5
    assert 5 < np.std(sizes) < 14  # Poisson sampling, not batches of one size


def test_rows_of_an_episode_do_not_depend_on_the_others():
    bounds = np.array([0, 3, 44, 70])
    training, held = split_episodes(bounds)
    assert held.tolist() == [22, 42, 63]
    assert sorted([*training, *held]) == list(range(70))
    few = split_episodes(np.array([0, 41, 67]))[0]
    assert (training[training >= 3] - 3).tolist() == few.tolist()
    first, length = find_episodes(training, bounds)
    assert (first.tolist(), length.tolist()) == ([0, 3, 42], [3, 39, 25])


def test_epsilon_is_that_of_known_mechanisms():
    """A Gaussian mechanism in closed form (Balle & Wang 2018); 25 steps of noise 5 are one of noise 1."""
    pytest.importorskip("dp_accounting", reason="needs the extra 'private'")
    delta_of = lambda eps: norm.cdf(0.5 - eps) - np.exp(eps) * norm.cdf(-0.5 - eps)  # noqa: E731
    one = compute_epsilon(noise=1.0, share=1.0, steps=1, delta=1e-5)
    assert delta_of(one) <= 1e-5 < delta_of(one - 0.01)
    assert abs(compute_epsilon(noise=5.0, share=1.0, steps=25, delta=1e-5) - one) < 0.02
    assert 0.9 < compute_epsilon(noise=4.0, share=0.01, steps=10_000, delta=1e-5) < 1.26  # Abadi et al. 2016: 1.26
    base: dict[str, Any] = {"noise": 2.0, "share": 0.1, "steps": 20, "delta": 1e-4}
    less: list[dict[str, Any]] = [{"noise": 3.0}, {"share": 0.05}, {"steps": 10}, {"delta": 1e-3}, {"steps": 0}]
    assert all(compute_epsilon(**{**base, **change}) < 0.9 * compute_epsilon(**base) for change in less)
    assert compute_epsilon(**{**base, "steps": 0}) == 0.0
    assert describe_privacy(make_steps(), 3, 0.1)["epsilon"] is None
    for wrong in ({"noise": 0.0}, {"share": 1.5}, {"steps": -1}, {"delta": 1.0}):
        with pytest.raises(PotstillError, match="out of range"):
            compute_epsilon(**{**base, **wrong})


def test_wrong_gradients_get_one_line():
    for changes, message in (
        ({"noise": -1.0}, "PrivateGradients.noise"),
        ({"noise": float("inf")}, "PrivateGradients.noise"),
        ({"clip": 0.0}, "PrivateGradients.clip"),
        ({"expected": 21}, "expected at most the number of episodes, 20"),
        ({"length": np.zeros(20, int)}, "at least 1 for each"),
    ):
        with pytest.raises(PotstillError, match=message):
            dataclasses.replace(make_steps(), **changes)
    assert clip_gradient(jnp.array([3.0, 4.0]), 10.0).tolist() == [3.0, 4.0]


def test_a_loop_that_would_not_be_private_is_refused():
    teacher, table = random_teacher(), random_table(20)._replace(weights=jnp.ones(20))
    pairs = potstill.distillation.make_public_pairs(teacher, 4, KEY)
    parts: dict[str, Any] = {"objective": PolicyCloning(), "solver": KernelDescent(NARROW), "key": KEY}
    given: dict[str, Any] = {"table": table, "schedule": Schedule(1), "settings": OuterSettings(batch=8)}
    for changes, message in (
        ({"schedule": Schedule(None, lambda pairs: 1.0)}, "a given number of steps"),
        ({"table": random_table(20)}, "uniform weights"),
        ({"settings": OuterSettings(polish=1)}, "nor a polish"),
        ({"table": random_table(10)._replace(weights=jnp.ones(10))}, "beyond the 10"),
    ):
        with pytest.raises(PotstillError, match=message):
            list(optimise_pairs(pairs, teacher=teacher, private=make_steps(), **parts, **{**given, **changes}))
    assert float(find_public_scale(teacher)) > 0.0


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Thirty episodes, a teacher, and options of a short run."""
    pytest.importorskip("dp_accounting", reason="needs the extra 'private'")
    monkeypatch.setattr("potstill.worlds.returns.DEFAULT_STEPS", 20)
    monkeypatch.setattr(checkpoints.CheckpointFile, "is_due", True)
    path = write_npz(tmp_path / "linear.npz", linear_rows(30, 40))
    teacher = random_teacher(states=2, actions=1).save(tmp_path / "teacher.safetensors")
    return {"dataset": path, "teacher": teacher, **UNBATCHED, "steps": 4, "private_noise": 1.0, "private_episodes": 2}


def test_an_episode_that_is_not_sampled_leaves_no_trace(given, tmp_path, monkeypatch):
    """The files of two datasets, of which the last episodes differ, are equal if no step samples these."""
    secret = next(s for s in range(99) if not any(29 in _sample(s, step) for step in range(1, 5)))
    monkeypatch.setattr(distillation_privacy.secrets, "token_hex", lambda size: f"{secret:x}")
    options = given | {"recipe": dataclasses.replace(NARROW, learning_rate=5.0), "objective": "q-gap"}
    before = potstill.distill(**options, out=tmp_path / "before")
    rows, other = linear_rows(30, 40), linear_rows(1, 31, seed=5)
    changed = rows.take(np.arange(29 * 40 + 31))
    for name in ("observations", "actions", "rewards", "next_observations"):
        getattr(changed, name)[29 * 40 :] = 50.0 * getattr(other, name) if name != "actions" else 0.5
    changed.truncations[-1], changed.terminations[-1] = False, True
    write_npz(given["dataset"], changed)
    after = potstill.distill(**options, out=tmp_path / "after")
    assert (before / "distillate.safetensors").read_bytes() == (after / "distillate.safetensors").read_bytes()
    seen = next(s for s in range(99) if 29 in _sample(s, 1))
    monkeypatch.setattr(distillation_privacy.secrets, "token_hex", lambda size: f"{seen:x}")
    third = potstill.distill(**options, out=tmp_path / "third")
    assert not np.allclose(potstill.load(third).states, potstill.load(after).states)


def _sample(secret, step):
    key = jax.random.fold_in(jax.random.key(0), step)
    steps = PrivateGradients(np.arange(30), np.ones(30, int), 1.0, 2, secret=secret)
    return steps.draw_episodes(steps.make_generator(key))


def test_a_private_run(given, tmp_path, capsys, monkeypatch):
    """Interrupted and resumed to the same bytes; the finished folders do not hold the secret, but the statement."""
    with monkeypatch.context() as patch:
        patch.setattr(command, "optimise_pairs", interrupted(command.optimise_pairs, 2))
        with pytest.raises(Interrupted):
            potstill.distill(**given, out=tmp_path / "run")
    said = " ".join(capsys.readouterr().out.split())
    secret = json.loads((tmp_path / "run" / "parts.json").read_text())["secret"]
    assert (tmp_path / "run" / "parts.json").stat().st_mode & 0o077 == 0
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    resumed = [potstill.distill(**given, out=tmp_path / name, resume=True) for name in ("run", "copy")]
    monkeypatch.setattr(distillation_privacy.secrets, "token_hex", lambda size: secret)
    whole = potstill.distill(**given, out=tmp_path / "whole")
    monkeypatch.undo()
    other = potstill.distill(**given, out=tmp_path / "other")
    files = [(run / "distillate.safetensors").read_bytes() for run in (*resumed, whole, other)]
    assert files[0] == files[1] == files[2] != files[3]
    for run in (*resumed, whole):
        for path in (path for path in run.path.rglob("*") if path.is_file()):
            content = path.read_bytes()
            assert secret.encode() not in content, path
            assert str(int(secret, 16)).encode() not in content, path
            assert bytes.fromhex(secret) not in content, path
    statement = other.result.privacy.statement
    assert statement in said
    assert "(ε" not in statement
    assert "given the teacher" in statement
    assert "Not covered: the teacher" in said
    found = potstill.load(other).metadata
    assert found["privacy"] == other.result.privacy.to_dict()
    assert (found["privacy"]["episodes"], found["privacy"]["delta"], found["privacy"]["unit"]) == (
        30,
        1 / 300,
        "episode",
    )
    assert found["privacy"]["epsilon"] == compute_epsilon(1.0, 2 / 30, 4, 1 / 300)
    assert found["dataset"] == {"name": "linear"}
    assert "warnings" not in found
    shown = potstill.inspect(other, out=tmp_path / "shown")
    assert statement in (shown / "inspect.html").read_text()
    assert statement in (potstill.report(other, out=tmp_path / "report") / "report.html").read_text()
    for refused in (potstill.reproduce, potstill.audit):
        with pytest.raises(PotstillError, match="private_noise= cannot be"):
            refused(other, out=tmp_path / "refused")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--private-clip 2", "--private-clip has no effect without --private-noise"),
        ("--private-noise -1", "--private-noise"),
        ("--private-noise 0.01", "expected 0, or at least 0.1"),
        ("--private-noise 1 --private-delta 1", "expected a number between 0 and 1"),
        ("--private-noise 1 --states imagined", "--states imagined cannot be used"),
        ("--private-noise 1 --choose held-out", "--choose held-out cannot be used"),
        ("--private-noise 1 --weighting ranged", "--weighting ranged cannot be used"),
        ("--private-noise 1 --initial random", "--initial random cannot be used"),
        ("--private-noise 1 --initial-actions data", "--initial-actions data cannot be used"),
        ("--private-noise 1 --learn weights", "--learn weights cannot be used"),
        ("--private-noise 1 --polish 2", "--polish 2 cannot be used"),
        ("--private-noise 1 --budget 5s", "--budget 5s cannot be used"),
        ("--private-noise 1 --objective random", "--objective random cannot be used"),
        ("--private-noise 1 --devices 2", "--devices 2 cannot be used"),
        ("--private-noise 1 --max-steps 9", "--max-steps 9 applies only"),
        ("--private-noise 1", "--private-noise requires --teacher"),
        ("--private-noise 1 --teacher t.safetensors --private-episodes 31", "has only 30 episodes"),
    ],
)
def test_refused_options(given, words, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(given["teacher"], "t.safetensors")
    assert main(["distill", "linear.npz", *words.split(), "--out", "run"]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not (tmp_path / "run").exists()


def test_the_accountant_is_asked_for_before_any_work(capsys, monkeypatch):
    monkeypatch.setattr("potstill.errors.find_spec", lambda name: None)
    assert main(["distill", "missing.npz", "--private-noise", "1", "--teacher", "t.safetensors"]) == 2
    assert "dp-accounting is not installed: pip install 'potstill[private]'" in capsys.readouterr().err
