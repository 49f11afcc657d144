"""Returns of students with discrete actions."""

from __future__ import annotations

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.experiments.discrete import ENVIRONMENTS, METHODS
from benchmarks.grid import Record
from benchmarks.pages.text import make_table, select_records

HEAD = """\
Experiment `discrete`: `potstill distill` with 32 pairs and 100 outer steps. {seeds} distillation seeds, each of three
students × ten episodes and ten episodes of the ensemble. Undiscounted returns, as mean ± standard deviation over seeds;
500 is the highest return of CartPole. *Episodes*: those of the data. *Random pairs*: as many rows of the data, cloned
by the same students. *Seconds*: of a distillation, the median, on a machine with other load."""
LABELS = {
    **{name: f"{name}, {rows:,} steps of DQN's training" for name, rows in ENVIRONMENTS.items()},
    "stable-baselines": "CartPole-v1, expert log of stable-baselines",
    "imitation": "CartPole-v1, expert log of imitation",
}
GOAL = 475
HEADS = ("data", "objective", "episodes", "teacher", "random pairs", "one student", "worst seed", "ensemble", "seconds")


def list_returns(records: list[Record], kind: str) -> list[float]:
    """The mean undiscounted return of each seed."""
    return [record[kind]["raw_mean"] for record in records]


def discrete() -> str:
    """A row for each dataset and objective."""
    found, lines = load_records("discrete"), []
    for name, label in LABELS.items():
        for method in METHODS:
            records = select_records(found, method=method, data=name)
            if not records:
                continue
            scores = [list_returns(records, kind) for kind in ("teacher", "random", "student", "ensemble")]
            teacher, random, student, ensemble = (f"{np.mean(x):.1f} ± {np.std(x, ddof=1):.1f}" for x in scores)
            seconds = np.median([record["seconds"] for record in records])
            own = f"{records[0]['data_return']:.1f}"
            row = [label, f"`{method}`", own, teacher, random, student, f"{min(scores[2]):.1f}", ensemble]
            lines.append([*row, f"{seconds:.0f}"])
    seeds = len({record["seed"] for record in found})
    return "\n\n".join([HEAD.format(seeds=seeds), make_table(HEADS, lines), compare_with_goal(found)])


def compare_with_goal(found: list[Record]) -> str:
    """Which datasets of CartPole have students with a mean return of 475, at which the environment counts as solved."""
    means = {
        name: np.mean(list_returns(select_records(found, method="q-gap", data=name), "student"))
        for name in LABELS
        if name != "Acrobot-v1"
    }
    reached = [f"{name} ({mean:.0f})" for name, mean in means.items() if mean >= GOAL]
    missed = [f"{name} ({mean:.0f})" for name, mean in means.items() if mean < GOAL]
    parts = [f"One student reaches {GOAL} of 500 on average over seeds with: {', '.join(reached) or 'none'}."]
    parts += [f"It does not with: {', '.join(missed)}."] if missed else []
    return " ".join(parts)
