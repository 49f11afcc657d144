"""`potstill audit`: likelihood ratios, shadows whose members are known, canaries, and the command."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest
from conftest import SMALL_STUDENT, random_teacher
from pages import Page

import potstill
from potstill.cli import main
from potstill.data.bounds import DiscreteActions
from potstill.distillation import INITIAL_STATES, KernelDescent, PolicyCloning
from potstill.distillation.objectives.weights import weigh_uniform
from potstill.distillation.settings import OuterSettings
from potstill.errors import PotstillError
from potstill.evaluation.privacy.attacks import compute_ratios, find_partners, score_attack
from potstill.evaluation.privacy.audit import Parts, Plan, audit_distillate, measure_distances
from potstill.evaluation.privacy.shadows import CANARY_ROWS, draw_members, make_canaries
from potstill.students import RECIPES

RECIPE = dataclasses.replace(RECIPES["plain"], steps=60, width=32)


def draw(shift, shadows=8, episodes=300, seed=0):
    """A log-normal statistic that is smaller in members by ``shift`` standard deviations, and the members."""
    rng = np.random.default_rng(seed)
    inside = draw_members(shadows, episodes, rng)
    values = rng.normal(size=(shadows, episodes)) + 3.0 * rng.normal(size=episodes) - shift * inside
    return np.exp(values), inside


def test_an_attack_finds_members_and_only_members():
    found = {shift: score_attack(compute_ratios(*(drawn := draw(shift))), drawn[1], 0) for shift in (0.0, 1.0, 8.0)}
    low, high = found[0.0]["interval"]
    assert low < 0.0 < high  # nothing to find
    assert abs(found[0.0]["auc"] - 0.5) < 0.03
    assert 0.25 < found[1.0]["advantage"] < 0.5  # the best possible is 0.383
    assert found[1.0]["interval"][0] > 0.1
    assert found[8.0]["advantage"] > 0.98
    assert found[8.0]["true_at_1"] > 0.98
    for each in found.values():
        assert each["interval"][0] <= each["advantage"] <= each["interval"][1]
        assert each["curve"] == sorted(each["curve"])
        assert each["curve"][-1] == 1.0


def test_ratios_by_hand():
    """Members of the first episode: shadows 0 and 1. Without the target and its partner, each mean is one value."""
    inside = np.array([[True], [True], [False], [False]])
    logs = np.array([[0.0], [1.0], [4.0], [6.0]])
    ratios = compute_ratios(np.exp(logs), inside)
    assert find_partners(inside).ravel().tolist() == [2, 3, 0, 1]
    within, without = 1.0, 4.0  # the variances: (0 − 1)², (1 − 0)²; (4 − 6)², (6 − 4)²
    gaussian = lambda x, mean, variance: -0.5 * (x - mean) ** 2 / variance - 0.5 * np.log(variance)  # noqa: E731
    expected = [gaussian(0.0, 1.0, within) - gaussian(0.0, 6.0, without)]
    expected += [gaussian(4.0, 1.0, within) - gaussian(4.0, 6.0, without)]
    np.testing.assert_allclose(ratios[[0, 2], 0], expected, atol=1e-4)


def test_canaries_are_far_from_the_data(data):
    teacher = random_teacher()
    canaries = make_canaries(data, teacher.policy.scaling, 3, np.random.default_rng(0))
    assert len(canaries) == 3 * CANARY_ROWS
    assert np.diff(canaries.episode_bounds).tolist() == [CANARY_ROWS] * 3
    norms = np.linalg.norm(teacher.normaliser(data.observations), axis=1)
    assert np.linalg.norm(teacher.normaliser(canaries.observations), axis=1).min() > 1.1 * np.quantile(norms, 0.99)
    discrete = dataclasses.replace(
        data, action_bounds=DiscreteActions(4), actions=np.eye(4, dtype=np.float32)[np.zeros(len(data), int)]
    )
    scaling = potstill.Scaling(data.normaliser, DiscreteActions(4))
    planted = make_canaries(discrete, scaling, 2, np.random.default_rng(0))
    assert planted.actions.sum(axis=1).tolist() == [1.0] * 40


def make_parts(objective, steps):
    settings = OuterSettings(batch=64, learning_rate=0.05)
    return Parts(objective, KernelDescent(RECIPE), settings, weigh_uniform, INITIAL_STATES["random"], "data")


def make_distillate(data, pairs=40):
    metadata = dict.fromkeys(("env_id", "dataset", "objective", "solver", "potstill")) | {"recipe": "plain"}
    scaling = potstill.Scaling(data.normaliser, data.action_bounds)
    return potstill.Distillate(data.observations[:pairs], data.actions[:pairs], scaling, metadata)


def test_real_rows_are_found_and_distilled_ones_less(data):
    """Pairs that are rows of the data betray their episodes. A few outer steps move them away."""
    distillate, teacher = make_distillate(data), random_teacher()
    plan = Plan(shadows=8, steps=4, episodes=12, canaries=4)
    real = audit_distillate(distillate, data, None, make_parts(None, 0), plan)
    assert real["membership"]["distance"]["advantage"] > 0.8
    assert real["membership"]["distance"]["interval"][0] > 0.5
    assert (real["distances"]["copies"], real["distances"]["closest"], real["distances"]["near"]) == (40, 0.0, 1.0)
    assert (real["steps"], real["episodes"], real["attacked"]) == (0, 12, 12)
    moved = audit_distillate(distillate, data, teacher, make_parts(PolicyCloning(), 4), plan)
    assert moved["membership"]["distance"]["advantage"] < real["membership"]["distance"]["advantage"]
    assert moved == audit_distillate(distillate, data, teacher, make_parts(PolicyCloning(), 4), plan)
    jax.clear_caches()


def test_distances_of_rows_are_to_other_episodes(data):
    found = measure_distances(make_distillate(data), data, 0)
    states = data.normaliser(data.observations).astype(np.float64)
    every = np.linalg.norm(states[:, None] - states, axis=-1)
    episode = np.arange(len(data)) // 25
    every[episode[:, None] == episode] = np.inf
    np.testing.assert_allclose(found["rows_values"], every.min(axis=1), rtol=1e-6)


def test_few_episodes_are_refused(data):
    few = data.take(np.arange(50))
    with pytest.raises(PotstillError, match="an audit needs at least 8 episodes, found 2"):
        audit_distillate(make_distillate(few), few, None, make_parts(None, 0), Plan(shadows=4, steps=0))


def test_the_command(tmp_path, capsys):
    from test_teachers import bandit, write_npz

    path = write_npz(tmp_path / "logs.npz", bandit(200))
    teacher = random_teacher(states=1, actions=1).save(tmp_path / "t.safetensors")
    recipe = dataclasses.replace(SMALL_STUDENT, steps=10)
    options: dict[str, Any] = {"size": 6, "objective": "random", "students": 1, "recipe": recipe}
    run = potstill.distill(path, teacher=teacher, out=tmp_path / "run", **options)
    made = potstill.audit(run, shadows=4, steps=1, episodes=20, canaries=4, out=tmp_path / "audit")
    said = " ".join(capsys.readouterr().out.split())
    assert "What this does not show: - Shadows share the teacher" in said
    assert "nothing here is differential privacy" in said
    result = made.result
    assert (result.sha256, result.shadows, result.attacked) == (run.result.sha256, 4, 20)
    assert set(result.membership) == set(result.canaries) == {"distance", "fit", "both"}
    assert (made / "audit.png").read_bytes()[:4] == b"\x89PNG"
    page = Page((potstill.report(run, out=tmp_path / "report") / "report.html").read_text())
    assert "What the pairs reveal about episodes" in page.text
    assert any("nothing here is differential privacy" in part for part in page.text)
    assert page.unlabelled == page.foreign == []
    assert main(["audit", str(run), "--shadows", "5", "--out", str(tmp_path / "odd")]) == 2
    assert "--shadows 5: expected an even number" in capsys.readouterr().err
    assert not (tmp_path / "odd").exists()
