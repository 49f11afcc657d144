"""What is gained if the world model chooses among the students of a distillate."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from benchmarks.grid import Record
from benchmarks.pages.headline import load_imagination_records
from benchmarks.pages.retention import format_interval, group_by_file
from benchmarks.pages.text import make_table, select_records

RESAMPLES = 2000
HEAD = """\
Experiment `imagination`, method `imagined`: ten own students of each distillate, ten episodes of each in the model and
in the environment. Scores are shares of the teacher's return in the environment. *In the model*: mean of the ten
students in the model. *Mean*: in the environment, as if a student were drawn at random. *Preferred*: the student with
the highest score in the model. *Best*: the best in hindsight, chosen by the same episodes and therefore biased upwards.
*Regret*: best minus preferred. *Correlation* and *rank correlation*: of the ten students' scores in the model with
those in the environment. All are means over seeds."""
FIELDS = ("model", "mean", "preferred", "best", "regret", "correlation", "ranks")
HEADS = ("in the model", "mean", "preferred", "best", "regret", "correlation", "rank correlation")


def judge(record: Record) -> dict[str, float]:
    """The choice of the world model among the students of a record, in shares of the teacher's return."""
    imagined, real = (
        np.mean(scores["returns"], axis=1) / record["teacher"]["mean"]
        for scores in (record["imagined"]["student"], record["student"])
    )
    preferred, best = float(real[record["imagined"]["best"]]), float(real.max())
    correlations = np.corrcoef(imagined, real)[0, 1], spearmanr(imagined, real).statistic
    found = (imagined.mean(), real.mean(), preferred, best, best - preferred, *correlations)
    return {name: float(value) for name, value in zip(FIELDS, found, strict=True)}


def judging() -> str:
    """The table of the committed records."""
    return make_judging_table(select_records(load_imagination_records(), method="imagined"))


def make_judging_table(records: list[Record]) -> str:
    """A row for each file, their mean, and the gain over a student drawn at random."""
    groups = group_by_file(records)
    judged = [[judge(record) for record in group] for group in groups]
    means = np.array([np.mean([list(found.values()) for found in group], axis=0) for group in judged])
    lines = []
    for group, values in zip(groups, means, strict=True):
        horizon = min(record["imagined"]["horizon"] for record in group)
        lines.append([group[0]["file"], str(horizon), str(len(group)), *(f"{value:.2f}" for value in values)])
    lines.append([f"mean of {len(groups)} files", "", "", *(f"**{value:.2f}**" for value in means.mean(axis=0))])
    table = make_table(("file", "accurate for, steps", "seeds", *HEADS), lines)
    cells = [found["preferred"] - found["mean"] for group in judged for found in group]
    return "\n\n".join([HEAD, table, describe_gain(means, cells)])


def describe_gain(means: np.ndarray, cells: list[float]) -> str:
    """Describe in words what the choice gains over a random one: ``means`` by file, ``cells`` for each distillate."""
    mean, preferred, best, regret = (means[:, FIELDS.index(x)] for x in ("mean", "preferred", "best", "regret"))
    gains = preferred - mean
    drawn = np.random.default_rng(0).choice(gains, size=(RESAMPLES, len(gains))).mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    verdict = "The choice gains" if low > 0.0 else "The choice loses" if high < 0.0 else "No gain is shown"
    return (
        f"{verdict}: the preferred student minus the mean is {gains.mean():+.2f} {format_interval(drawn, 2)} (95 %\n"
        f"bootstrap interval over files). The preferred student is better than the mean in "
        f"{sum(gain > 0.0 for gain in cells)} of {len(cells)} distillates.\nThe best student has {best.mean():.2f}. "
        f"A random choice misses {np.mean(best - mean):.2f} of it, the model's choice {regret.mean():.2f}."
    )
