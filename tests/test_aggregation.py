"""Statistics over seeds, students and episodes, and retention over datasets, by hand."""

import numpy as np
import pytest

from potstill.errors import PotstillError
from potstill.evaluation.aggregation import bootstrap_means, estimate_mean, summarise_retention


def test_resamples_are_drawn_on_each_of_the_three_levels():
    seeds = np.array([0.0, 10.0])[:, None, None]
    means = bootstrap_means(np.broadcast_to(seeds, (2, 3, 4)))
    assert set(means) == {0.0, 5.0, 10.0}  # only whole seeds differ
    assert np.mean(means == 5.0) == pytest.approx(0.5, abs=0.05)
    students = np.broadcast_to(np.array([0.0, 10.0])[:, None], (1, 2, 4))
    assert set(bootstrap_means(students)) == {0.0, 5.0, 10.0}
    episodes = bootstrap_means(np.arange(40.0).reshape(1, 1, 40))
    assert episodes.std() == pytest.approx(np.arange(40.0).std() / np.sqrt(40), rel=0.1)


def test_the_interval_is_wider_if_seeds_differ_than_if_only_episodes_do():
    values = np.random.default_rng(0).normal(size=(4, 5, 6))
    between = values[:, :1, :1] + np.zeros((4, 5, 6))
    mean, low, high = estimate_mean(between)
    assert low < mean < high
    flat = estimate_mean(values.reshape(1, 1, 120))
    assert high - low > 2.0 * (flat.high - flat.low)


def test_large_tables_are_resampled_in_parts(monkeypatch):
    values = np.random.default_rng(1).normal(50.0, 10.0, size=(3, 4, 5))
    whole = estimate_mean(values)
    monkeypatch.setattr("potstill.evaluation.aggregation.PART", 500)
    parts = estimate_mean(values)
    assert parts.mean == whole.mean
    assert parts.low == pytest.approx(whole.low, abs=1.5)


def test_summaries_of_retention_by_hand():
    constant = {name: np.full((2, 2, 2), value) for name, value in {"a": 20.0, "b": 150.0, "c": 30.0}.items()}
    found = summarise_retention(constant, {"a": 40.0, "b": 100.0, "c": 40.0})
    assert found["mean_of_ratios"] == pytest.approx((0.5 + 1.5 + 0.75) / 3)
    assert (found["low"], found["high"]) == pytest.approx((found["mean_of_ratios"],) * 2)
    assert found["ratio_of_means"] == pytest.approx(200.0 / 180.0)
    assert found["median"] == pytest.approx(0.75)
    assert found["capped"] == pytest.approx((0.5 + 1.0 + 0.75) / 3)
    assert found["datasets"] == 3


@pytest.mark.parametrize(
    ("scores", "teachers", "message"),
    [({}, {}, "at least one dataset"), ({"a": np.ones((1, 1, 1))}, {"a": -2.0}, "a: the teacher's score is -2.0")],
)
def test_ratios_that_say_nothing_are_refused(scores, teachers, message):
    with pytest.raises(PotstillError, match=message):
        summarise_retention(scores, teachers)
