import numpy as np
import pytest

from potstill.evaluation.statistics import bootstrap_interval, interquartile_mean, summarise


def test_interquartile_mean_by_hand():
    assert interquartile_mean(np.array([9.0, 1.0, 2.0, 3.0, 100.0, 4.0, 5.0, -50.0])) == pytest.approx(3.5)
    assert interquartile_mean(np.array([7.0])) == pytest.approx(7.0)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    hits = 0
    for trial in range(100):
        students = rng.normal(50.0, 10.0, size=(12, 1))
        low, high = bootstrap_interval(students + rng.normal(0.0, 5.0, size=(12, 10)), seed=trial)
        hits += low <= 50.0 <= high
    assert 80 <= hits <= 100


def test_interval_of_one_policy_is_over_its_episodes():
    low, high = bootstrap_interval(np.arange(20.0)[None])
    assert low < 9.5 < high


def test_summary_is_normalised():
    returns = np.array([[3234.3, 3234.3], [-20.272305, -20.272305]])
    found = summarise(returns, "Hopper-v5")
    assert found["mean"] == pytest.approx(50.0)
    assert found["std"] == pytest.approx(np.std([100.0, 0.0], ddof=1))
    assert (found["std_over"], found["policies"], found["episodes"]) == ("policies", 2, 2)
    assert found["returns"] == [[100.0, 100.0], [0.0, 0.0]]
    assert summarise(returns[:1], "Hopper-v5")["std_over"] == "episodes"
