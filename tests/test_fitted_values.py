"""Fitted Q-evaluation: values of policies, pessimism, and early stopping."""

import dataclasses
import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from lqr import OPTIONS, TUNED, Linear, lqr_answer, lqr_logs
from test_teachers import write_npz

import potstill
from potstill.teachers import Teacher, Training, load_teacher
from potstill.teachers.evaluation import diagnostics, fqe
from potstill.teachers.rows import load_with_returns

pytestmark = pytest.mark.usefixtures("narrow_networks")


class Beside(Linear):
    """Takes the action 0.3 everywhere."""

    def __init__(self, normaliser):
        super().__init__(normaliser, 0.0)

    def act(self, states):
        return jnp.full((*states.shape[:-1], 1), 0.3)


def test_fitted_values_rank_policies():
    data, (k, p) = lqr_logs(), lqr_answer()
    training = Training(**OPTIONS)
    starts = data.observations[fqe.select_held_out_starts(data)]
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


def test_pessimism_penalises_action_deviation():
    """Without rewards, a policy 0.3 away from all actions of the data has the exact value −λ γ 0.09 / (1 − γ)."""
    data = dataclasses.replace(lqr_logs(), rewards=np.zeros(len(lqr_logs()), np.float32))
    data.actions[:, 0] = 0.6 * (np.arange(len(data)) % 3 == 0)
    training = Training(batch=64, discount=0.5)
    table = load_with_returns(data, 0.5)
    plain, pessimistic = (
        fqe.Evaluator(table, data, training, np.arange(9), c)(Beside(data.normaliser), 200) for c in (0.0, 2.0)
    )
    assert pessimistic - plain == pytest.approx(-2.0 * 0.5 * 0.09 / 0.5, abs=0.03)


def test_fitted_values_scale_with_rewards():
    """Rewards 1,024 times as large are learned equally fast and have values 1,024 times as large."""
    data = lqr_logs()
    large, training = dataclasses.replace(data, rewards=1024.0 * data.rewards), Training(batch=64, discount=0.9)
    teacher = Linear(data.normaliser, 0.5)
    own, other = (
        fqe.make_pessimistic_evaluator(load_with_returns(d, 0.9), d, training)(teacher, 100) for d in (data, large)
    )
    assert other == pytest.approx(1024.0 * own, rel=1e-6)


def test_no_penalty_where_the_next_action_is_unknown():
    """If the next row has another state, the data's next action is unknown, and there is no penalty."""
    data = lqr_logs()
    mixed = np.random.default_rng(0).permutation(len(data))
    training, mixed = Training(batch=64), data.take(mixed)
    ordered, shuffled = (
        fqe.make_pessimistic_evaluator(load_with_returns(d, 0.99), d, training).penalties for d in (data, mixed)
    )
    assert float((ordered > 0).mean()) > 0.8
    assert float((shuffled > 0).mean()) < 0.05


def test_patience_keeps_the_best_but_not_the_first_teacher(tmp_path, monkeypatch):
    lqr = write_npz(tmp_path / "lqr.npz", lqr_logs())
    fitted_and_pessimistic = iter([9.0, 5.0, 8.0, 3.0, 7.0, 2.0, 6.0, 2.5, 9.0, 9.0])
    monkeypatch.setattr(fqe.Evaluator, "__call__", lambda *_: next(fitted_and_pessimistic))
    options: dict[str, Any] = {**OPTIONS, "algorithm": TUNED["bc"], "updates": 40, "evaluate_every": 8}
    run = potstill.teach(lqr, patience=2, out=tmp_path / "run", **options)
    result = json.loads((run / "result.json").read_text())
    assert (result["updates"], result["stopped"]) == (16, 32)
    assert [entry["pessimistic_value"] for entry in result["history"]] == [5.0, 3.0, 2.0, 2.5]
    assert load_teacher(run / "teacher.safetensors").metadata["updates"] == 16


def test_one_row_is_fitted_and_held_out():
    row = {
        "observations": [[0.5]],
        "actions": [[0.1]],
        "rewards": [1.0],
        "terminals": [1],
        "next_observations": [[0.4]],
    }
    data = potstill.load_dataset({name: np.array(values) for name, values in row.items()})
    scores = diagnostics.OfflineScores(data, Training(batch=4, discount=0.5))
    assert np.isfinite(scores(Linear(data.normaliser, 0.3), 2)["fitted_value"])
