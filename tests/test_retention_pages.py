"""Pages of the default states: which cells they show, intervals, variants, and choices by the world model."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.pages import headline, imagination, judging
from benchmarks.pages.retention import RESAMPLES, draw_retention, retention
from potstill.worlds.settings import LEAST_HORIZON


def scores(returns):
    return {"mean": float(np.mean(returns)), "returns": np.asarray(returns, float).tolist()}


def cell(file, method, share, *, seed=0, horizon=None, teacher=50.0):
    """A record of two students × two episodes, all with the same share of the teacher's return."""
    own = {kind: scores(np.full((2, 2), share * teacher)) for kind in headline.KINDS}
    found = {"file": file, "method": method, "seed": seed, "teacher_score": teacher, "teacher": scores([[teacher]])}
    model = {} if horizon is None else {"imagined": {"horizon": horizon}}
    return {**found, **own, **model, "seconds": {"distilling": 9.0 + seed}}


RECORDS = [
    cell("hopper-medium", "imagined", 0.4, horizon=LEAST_HORIZON),
    cell("hopper-medium", "imagined", 0.6, horizon=LEAST_HORIZON, seed=1),
    cell("hopper-medium", "data", 0.9),
    cell("hopper-medium", "last", 0.3, horizon=LEAST_HORIZON, seed=1),
    cell("halfcheetah-medium", "imagined", 1.4, horizon=LEAST_HORIZON - 1),
    cell("halfcheetah-medium", "portfolio", 0.7),
    cell("halfcheetah-medium", "data", 0.5),
]


def test_states_are_chosen_by_the_horizon_and_not_by_returns():
    shown = [(record["file"], record["method"], record["seed"]) for record in headline.select_default(RECORDS)]
    expected = [
        ("hopper-medium", "imagined", 0),
        ("hopper-medium", "imagined", 1),
        ("halfcheetah-medium", "portfolio", 0),
    ]
    assert shown == expected


def test_headline_has_all_seeds_and_the_mean_over_files():
    text = headline.make_headline(RECORDS)
    assert "Two D4RL-like datasets, best teachers, one to two distillation seeds × 2 students × 2 episodes" in text
    assert "| hopper-medium | 50.0 | imagined | 25.0, 25.0 | 25.0, 25.0 | 10 |" in text
    assert "| halfcheetah-medium | 50.0 | data | 35.0, 35.0 | 35.0, 35.0 | 9 |" in text
    assert f"**{(0.5 + 0.7) / 2:.2f}** [0.55, 0.65], " in text  # one of the files has two seeds, which differ
    assert text.endswith("Used to develop the method: one of the two datasets.")


def test_intervals_resample_seeds_within_files():
    drawn = draw_retention(headline.select_default(RECORDS), "student")
    assert drawn.shape == (RESAMPLES,)
    np.testing.assert_allclose(np.unique(drawn.round(6)), [0.55, 0.6, 0.65])
    assert retention(RECORDS[:2], "student") == pytest.approx(0.5)


def test_methods_are_compared_on_common_files_and_seeds():
    first, second = ([record for record in RECORDS if record["method"] == method] for method in ("imagined", "data"))
    of_data = imagination.make_comparison(RECORDS, first, second, ("imagined", "data")).split("\n")
    assert of_data[2].startswith("| hopper-medium * | 1 | 0.40 | 0.90 |")
    assert of_data[3].startswith("| halfcheetah-medium ° | 1 | 1.40 | 0.50 |")
    assert of_data[4].startswith("| mean of all: 2 | | **0.90** | **0.70** |")
    assert of_data[5].startswith("| mean of those with an accurate model: 1 | | **0.40** | **0.90** |")


def test_variants_appear_when_they_are_measured(monkeypatch):
    monkeypatch.setattr(imagination, "load_imagination_records", lambda: RECORDS)
    text = imagination.variants()
    assert text.count("Imagined states, and the same ") == 1
    assert "| halfcheetah-medium ° | 1 | 0.70 | 1.40 |" in text  # the data's states with the portfolio
    assert "| hopper-medium * | 1 | 0.60 | 0.30 | 0.60 | 0.30 |" in text
    few = [record for record in RECORDS if record["method"] not in ("last", "portfolio")]
    monkeypatch.setattr(imagination, "load_imagination_records", lambda: few)
    assert imagination.variants() == ""


def judged(file, imagined, real, best, seed=0):
    model = {"best": best, "horizon": 50, "student": scores(np.repeat(np.c_[imagined], 2, axis=1))}
    students = scores(np.repeat(np.c_[real], 2, axis=1))
    return {"file": file, "seed": seed, "teacher": {"mean": 10.0}, "imagined": model, "student": students}


def test_choice_by_the_model_by_hand():
    found = judging.judge(judged("hopper-medium", [1.0, 2.0, 6.0], [10.0, 5.0, 3.0], best=2))
    assert found["ranks"] == pytest.approx(-1.0)
    assert found["correlation"] == pytest.approx(np.corrcoef([1, 2, 6], [10, 5, 3])[0, 1])
    kept = [found[name] for name in ("model", "mean", "preferred", "best", "regret")]
    np.testing.assert_allclose(kept, [0.3, 0.6, 0.3, 1.0, 0.7])


@pytest.mark.parametrize(
    ("orders", "verdict"), [((1, 1), "The choice gains"), ((-1, -1), "The choice loses"), ((1, -1), "No gain is shown")]
)
def test_verdict_on_choices(orders, verdict):
    real = [2.0, 4.0, 9.0]
    files = zip(("hopper-medium", "walker2d-medium"), orders, strict=True)
    text = judging.make_judging_table([judged(file, real[::o], real, best=2 if o > 0 else 0) for file, o in files])
    assert f"\n{verdict}: " in text
    assert f"mean in {orders.count(1)} of 2 distillates" in text
