"""How well a world model and fitted Q-evaluation choose among the policies of a training run."""

from __future__ import annotations

import numpy as np
from scipy.stats import spearmanr

from benchmarks.experiments import load_records
from benchmarks.experiments.judged_teachers import PLAYED, POLICIES
from benchmarks.grid import Record
from benchmarks.pages.text import make_table
from potstill.evaluation.imagined import TEACHER_EPISODES

HEAD = """\
Experiment `judged-teachers`: {policies} policies of each training run, from early to late. Scores are normalised
returns, of {played} episodes in the environment and of {episodes} in the model. *Model*: the policy with the highest
return in the world model. *FQE*: that with the highest pessimistic value by fitted Q-evaluation, as without a model.
Both skip the first policy, as `potstill teach` does. *Best*: the best in hindsight, by the same episodes and
therefore biased upwards. Rank correlations are those of the estimates with the returns."""
HEADS = ("run", "lowest", "last", "model", "FQE", "best", "model's rank correlation", "FQE's")
FORMATS = (".1f",) * 5 + (".2f",) * 2  # of the numbers of a row


def judge_run(record: Record) -> list[float]:
    """Returns of the lowest, the last, both chosen and the best policy, and both rank correlations."""
    real, estimates = np.array(record["returns"]), [[each["mean"] for each in record["imagined"]], record["values"]]
    chosen = [float(real[1 + int(np.argmax(found[1:]))]) for found in estimates]
    ranks = [float(spearmanr(found, real).statistic) for found in estimates]
    return [float(real.min()), float(real[-1]), *chosen, float(real.max()), *ranks]


def judged_teachers() -> str:
    """A row for each training run, their mean, and both regrets."""
    records = load_records("judged-teachers")
    head = HEAD.format(policies=POLICIES, played=PLAYED, episodes=TEACHER_EPISODES)
    found = np.array([judge_run(record) for record in records])
    lines = [
        [f"{record['method']}, {record['file']}, seed {record['seed']}", *map(format, row, FORMATS)]
        for record, row in zip(records, found, strict=True)
    ]
    mean = found.mean(axis=0)
    lines.append([f"mean of {len(found)} runs", *(f"**{value}**" for value in map(format, mean, FORMATS))])
    regrets = (
        f"Regret, the best minus the chosen: {mean[4] - mean[2]:.1f} by the model, {mean[4] - mean[3]:.1f} by fitted\n"
        f"Q-evaluation, {mean[4] - mean[1]:.1f} for the last policy."
    )
    return "\n\n".join([head, make_table(HEADS, lines), regrets])
