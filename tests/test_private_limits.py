"""What a private distillation refuses, and what must not decide about it: other episodes, and what is not private."""

import dataclasses
import json
import shutil
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import random_teacher
from linear import linear_rows
from test_cli import refused
from test_private import UNBATCHED
from test_resume import NARROW, interrupted
from test_teachers import write_npz

import potstill
from potstill.commands import distillation_loop as command
from potstill.commands.distillation_job import Job, check_step
from potstill.commands.distillation_tables import Tables
from potstill.commands.push import describe_scores
from potstill.commands.resolve import resolve_problem
from potstill.config import DistillConfig
from potstill.distillation import PrivateGradients
from potstill.errors import PotstillError
from potstill.evaluation.privacy.accounting import compute_epsilon, describe_privacy, round_up
from potstill.runtime import checkpoints
from potstill.runtime.interruption import Interrupted
from potstill.students.training import Pairs

pytestmark = pytest.mark.filterwarnings("ignore::potstill.errors.PotstillWarning")


@pytest.fixture
def given(tmp_path, monkeypatch):
    pytest.importorskip("dp_accounting", reason="needs the extra 'private'")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoints.CheckpointFile, "is_due", True)
    write_npz(tmp_path / "linear.npz", linear_rows(30, 40))
    random_teacher(states=2, actions=1).save(tmp_path / "t.safetensors")
    return {"dataset": "linear.npz", "teacher": "t.safetensors", **UNBATCHED, "steps": 3, "private_noise": 1.0}


def estimate_epsilon(noise, share, steps, delta, points=1 << 16, span=40.0):
    """Convolve the distribution of privacy losses on a grid, for removing an episode, which has the larger epsilon."""
    width = 2 * span / points
    x = np.linspace(-12 * noise, 12 * noise + 1, 200_001)
    middle = (x[1:] + x[:-1]) / 2
    density = (1 - share) * np.exp(-(middle**2) / (2 * noise**2)) + share * np.exp(
        -((middle - 1) ** 2) / (2 * noise**2)
    )
    losses = np.log(1 - share + share * np.exp((2 * middle - 1) / (2 * noise**2)))
    place = np.round(losses / width).astype(int) % points
    one = np.bincount(place, weights=density / density.sum(), minlength=points)
    many = np.fft.ifft(np.fft.fft(one) ** steps).real
    grid = np.fft.fftfreq(points, 1.0 / (width * points))
    low, high = 0.0, span
    for _ in range(40):
        epsilon = (low + high) / 2
        found = np.sum(many * np.maximum(1.0 - np.exp(np.minimum(epsilon - grid, 0.0)), 0.0))
        low, high = (epsilon, high) if found > delta else (low, epsilon)
    return high


@pytest.mark.parametrize(("noise", "share", "steps", "delta"), [(1.0, 64 / 300, 150, 1 / 3000), (2.0, 0.16, 150, 1e-3)])
def test_epsilon_agrees_with_another_computation(noise, share, steps, delta):
    pytest.importorskip("dp_accounting", reason="needs the extra 'private'")
    found = compute_epsilon(noise=noise, share=share, steps=steps, delta=delta)
    assert found == pytest.approx(estimate_epsilon(noise, share, steps, delta), rel=2e-3)


def test_statements_are_not_rounded_to_stronger_ones():
    pytest.importorskip("dp_accounting", reason="needs the extra 'private'")
    for value in (0.34219, 3.4234, 12.31, 15.9995, 183.2, 99.99, 1e-5, 1 / 3000):
        written = round_up(value, 3)
        assert value <= float(written) <= 1.011 * value, written
    private = PrivateGradients(np.arange(300), np.ones(300, int), noise=2.0, expected=48)
    described = describe_privacy(private, 150, 1 / 3000)
    epsilon, delta = described["statement"].partition("(")[2].partition(")")[0].split(", ")
    assert described["epsilon"] <= float(epsilon)
    assert float(delta) >= 1 / 3000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--private-noise 1e300", "--private-noise 1e+300: expected 0, or at least 0.1 and at most 1e+06"),
        ("--private-noise inf", "--private-noise inf"),
        ("--private-noise 1 --private-clip inf", "--private-clip inf: expected at most 1e+06"),
        ("--private-noise 1 --private-delta 1e-300", "delta 1e-300 is too small"),
        ("--private-noise 1 --batch 64", "--batch 64 has no effect with --private-noise"),
        ("--private-noise 1 --out-of-bounds scale", "--out-of-bounds scale cannot be used"),
    ],
)
@pytest.mark.usefixtures("given")
def test_options_that_mean_nothing(words, message, tmp_path, capsys):
    line = refused(capsys, "distill", "linear.npz", "--teacher", "t.safetensors", *words.split(), "--out", "run")
    assert message in line
    assert not (tmp_path / "run").exists()


def test_a_run_that_has_lost_its_secret_is_not_resumed(given, tmp_path, monkeypatch):
    """New noise would not continue the old run; a second copy of the folder would release the data once more."""
    with monkeypatch.context() as patch:
        patch.setattr(command, "optimise_pairs", interrupted(command.optimise_pairs, 2))
        with pytest.raises(Interrupted):
            potstill.distill(**given, out="run")
    parts = json.loads((tmp_path / "run" / "parts.json").read_text())
    for secret, message in ((None, "the secret of its noise is gone"), ("zz", "is damaged"), (5, "is damaged")):
        changed = {**parts, "secret": secret}
        if secret is None:
            del changed["secret"]
        shutil.copytree(tmp_path / "run", tmp_path / "copy")
        (tmp_path / "copy" / "parts.json").write_text(json.dumps(changed))
        before = {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir() if path.name != ".potstill"}
        with pytest.raises(PotstillError, match=message):
            potstill.distill(**given, out="copy", resume=True)
        assert before == {path.name: path.read_bytes() for path in (tmp_path / "copy").iterdir() if path.name in before}
        shutil.rmtree(tmp_path / "copy")


def test_one_infinite_loss_does_not_stop_a_private_run(given, tmp_path):
    """Otherwise, whether there are pairs would tell of one episode."""
    del given["dataset"]
    rows = linear_rows(30, 40)
    for column in (rows.observations, rows.next_observations):
        column[-40:] *= 1e25
    write_npz(tmp_path / "far.npz", rows)
    run = potstill.distill("far.npz", **given, private_episodes=30, out="run")
    losses = [line["loss"] for line in run.metrics if "loss" in line]
    assert len(losses) == 3
    assert np.isfinite(losses).all()  # the mean of the others; NaN is not JSON
    assert np.isfinite(potstill.load(run).states).all()
    infinite = {"loss": jnp.array(np.nan), "gradient_norm": jnp.array(np.inf)}
    job: Any = dataclasses.make_dataclass("Job", ["privacy"])({"epsilon": 1.0})
    assert list(Job._select_checked(job, infinite)) == ["gradient_norm"]
    with pytest.raises(PotstillError, match="gradient norm inf"):
        check_step(1, Pairs(jnp.zeros((1, 1)), jnp.zeros((1, 1))), infinite, NARROW)


def test_the_unit_of_actions_does_not_follow_from_the_data():
    """Bounds of the data may be their largest actions; those of the teacher are not."""
    teacher = random_teacher(states=2, actions=1)
    data = linear_rows(4, 40)
    wider = dataclasses.replace(data, action_bounds=potstill.ActionBounds(np.array([-4.0]), np.array([4.0])))
    config = DistillConfig("x", teacher="t", private_noise=1.0, objective="dbc", size=4)
    found = [Tables.build(resolve_problem(config), one, teacher).training.actions for one in (data, wider)]
    np.testing.assert_array_equal(found[0], found[1])
    plain = dataclasses.replace(config, private_noise=None)
    other = [Tables.build(resolve_problem(plain), one, teacher).training.actions for one in (data, wider)]
    assert not np.allclose(other[0], other[1])


def test_a_published_card_has_no_scores_of_the_data(tmp_path):
    score = {"mean": 1.0, "std": 0.1, "policies": 1, "episodes": 1}
    result = {"student": score, "random": score, "offline": {"states": 9, "imitation_error": score}}
    (tmp_path / "config.json").write_text(json.dumps({"command": "distill"}))
    found = []
    for privacy in ({}, {"privacy": {"epsilon": 1.0}}):
        (tmp_path / "result.json").write_text(json.dumps(result | privacy))
        found.append(" ".join(describe_scores(tmp_path / "distillate.safetensors")))
    assert all(words in found[0] for words in ("one student", "random real pairs", "held-out states"))
    assert "one student" in found[1]
    assert "random" not in found[1]
    assert "held-out" not in found[1]


@pytest.mark.parametrize(("first", "length"), [([0, 5], [6, 5]), ([5, 0], [5, 6]), ([-1, 5], [2, 2])])
def test_episodes_that_share_rows_are_refused(first, length):
    with pytest.raises(PotstillError, match="episodes share rows, or begin before"):
        PrivateGradients(np.array(first), np.array(length), noise=1.0, expected=1)
