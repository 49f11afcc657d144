"""Fine-tuning in the environment: four ways to start, and what the constraint prevents."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.experiments.finetuning import ARMS, COMMON, ENVIRONMENTS, SEEDS
from benchmarks.grid import Record
from benchmarks.pages.text import make_table, select_records
from potstill.finetuning.curve import compute_area, find_steps_to
from potstill.finetuning.settings import FineTuning
from potstill.reports.plots import BLUE, GREEN, GREY, ORANGE, make_figure, save_figure

HEAD = """\
Experiment `finetuning`: `potstill finetune` with up to {seeds} seeds, an update for every {every} environment steps,
batches of {batch}, critics of {width} × {width} units, and otherwise default settings. All arms see standardised
observations. Returns are those of {episodes} episodes without noise, always from the same initial states, as shares of
the teacher's in these: 0 is the mean of random actions, 1 the teacher. *Over steps*: area under the curve, divided by
its length. *Lowest*: the lowest evaluation as a share of the first one, and in brackets the seeds in which it is below
{floor}. *Teacher after*: the steps of the first evaluation that is not below the teacher, median over seeds, and in
brackets the seeds that reach it. The table has means over seeds, with 95 % bootstrap intervals if there are several."""
LABELS = {
    "constrained": "student, constraint",
    "free": "student, no constraint",
    "teacher": "teacher, constraint",
    "scratch": "from scratch",
    "pairs": "student, constraint without the prior",
    "faded": "student, a constraint of 5 that fades to 0",
}
COLOURS = {"constrained": BLUE, "free": ORANGE, "teacher": GREEN, "scratch": GREY}
HEADS = ("start", "seeds", "first", "last", "over steps", "lowest", "teacher after")
PICTURE = "![Return over environment steps](images/finetuning.png)"
FLOOR, FACTOR, RESAMPLES = 0.8, 5.0, 4_000
Values = np.ndarray


def compute_shares(records: Sequence[Record]) -> Values:
    """The returns [seeds, evaluations] as shares of the teacher's, with 0 for random actions."""
    return np.array([(np.array(r["returns"]) - r["random"]) / (r["teacher"] - r["random"]) for r in records])


def find_times(records: Sequence[Record]) -> Values:
    """The steps after which each seed reaches the teacher; infinite if it does not."""
    found = [find_steps_to(record["teacher"], record["steps"], record["returns"]) for record in records]
    return np.array([np.inf if steps is None else steps for steps in found])


def compute_lows(records: Sequence[Record]) -> Values:
    """The lowest evaluation of each seed as a share of its first one."""
    shares = compute_shares(records)
    return shares.min(axis=1) / shares[:, 0]


def format_interval(values: Values) -> str:
    """Format a mean over seeds with its 95 % bootstrap interval, if there are several seeds."""
    if len(values) == 1:
        return f"{values[0]:.2f}"
    index = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(values[index].mean(axis=1), [0.025, 0.975])
    return f"{values.mean():.2f} [{low:.2f}, {high:.2f}]"


def format_times(times: Values, last: int) -> str:
    """Format the median of the steps until the teacher is reached, with the number of seeds that reach it."""
    median, reached = float(np.median(times)), int(np.isfinite(times).sum())
    return f"{f'{median:,.0f}' if np.isfinite(median) else f'> {last:,}'} ({reached} of {len(times)})"


def make_row(arm: str, records: Sequence[Record]) -> list[str]:
    """The row of an arm."""
    shares, lows = compute_shares(records), compute_lows(records)
    areas = np.array([compute_area(record["steps"], list(row)) for record, row in zip(records, shares, strict=True)])
    lowest = "" if arm == "scratch" else f"{lows.mean():.2f} ({(lows < FLOOR).sum()} of {len(lows)})"
    return [
        LABELS[arm],
        str(len(records)),
        f"{shares[:, 0].mean():.2f}",
        format_interval(shares[:, -1]),
        format_interval(areas),
        lowest,
        format_times(find_times(records), records[0]["steps"][-1]),
    ]


def judge(found: dict[str, list[Record]], env_id: str) -> str:
    """Compare the warm start with the constraint with the targets, and with the other arms."""
    ours, scratch = found["constrained"], found["scratch"]
    if not ours or not scratch:
        return ""
    times = [float(np.median(find_times(records))) for records in (ours, scratch)]
    last, lows = ours[0]["steps"][-1], compute_lows(ours)
    least = min(times[1], last) / times[0] if times[0] > 0 else np.inf
    if not np.isfinite(times[0]):
        alone = "the student does not" if np.isfinite(times[1]) else "student and scratch do not"
        speed = f"{alone} reach the teacher in {last:,} steps, missed"
    elif times[0] == 0:
        speed = "the student is at the teacher's level from the start, so there is nothing to reach"
    else:
        ends = bool(np.isfinite(times[1]))
        verdict = "reached" if least >= FACTOR else "missed" if ends else f"undecided in {last:,} steps"
        speed = f"{'' if ends else 'at least '}{least:.1f} × fewer, {verdict}"
    free = compute_shares(found["free"]).mean(axis=0) if found["free"] else np.ones(1)
    below = int((lows < FLOOR).sum())
    dip = "reached" if not below else f"missed in {below} of {len(lows)} seeds"
    lowest = float(compute_shares(ours).mean(axis=0).min() / compute_shares(ours)[:, 0].mean())
    return (
        f"Target in {env_id}: {FACTOR:.0f} × fewer steps to the teacher than from scratch: {speed}. Target: no "
        f"evaluation below {FLOOR} of the student's: {dip}; the lowest point of the mean curve is {lowest:.2f} of the "
        f"student{f', and {free.min() / free[0]:.2f} without the constraint' if found['free'] else ''}."
        f"{f' {len(ours)} of {len(SEEDS)} seeds so far: no claim.' if len(ours) < len(SEEDS) else ''}"
    )


def group_by_arm(env_id: str) -> dict[str, list[Record]]:
    """The records of an environment by arm, in the order of the seeds."""
    records = select_records(load_records("finetuning"), env=env_id)
    return {arm: sorted(select_records(records, method=arm), key=lambda one: int(one["seed"])) for arm in LABELS}


def list_unfinished(env_id: str) -> list[int]:
    """The seeds of an environment in which an arm is not measured yet."""
    found = group_by_arm(env_id)
    return [seed for seed in SEEDS if any(seed not in {one["seed"] for one in found[arm]} for arm in ARMS)]


def finetuning() -> str:
    """A table for each environment, and how the targets are met."""
    fields = {
        "every": COMMON["update_every"],
        "width": COMMON["critic_width"],
        **{name: COMMON[name] for name in ("batch", "episodes")},
    }
    parts = [HEAD.format(seeds=len(SEEDS), floor=FLOOR, **fields)]
    for env_id in ENVIRONMENTS:
        found = group_by_arm(env_id)
        rows = [make_row(arm, records) for arm, records in found.items() if records]
        if not rows:
            continue
        first = next(records[0] for records in found.values() if records)
        scale = f"return of the teacher {first['teacher']:,.0f}, of random actions {first['random']:,.0f}"
        rate = ENVIRONMENTS[env_id].get("learning_rate", FineTuning.learning_rate)
        length = f"{first['steps'][-1]:,} steps, of which {ENVIRONMENTS[env_id]['warmup']:,} are the warm-up"
        length += f", learning rate of the critics {rate:g} and of the actor {FineTuning.actor_learning_rate:g}"
        length += f" (from scratch: {rate:g})"
        parts += [f"**{env_id}**, {length}: {scale}.", make_table(HEADS, rows)]
        parts += [judge(found, env_id)]
    lacking = [f"{env} (seeds {', '.join(map(str, left))})" for env in ENVIRONMENTS if (left := list_unfinished(env))]
    parts += [f"Declared and not measured yet: {'; '.join(lacking)}."] if lacking else []
    return "\n\n".join([*filter(None, parts), PICTURE])


def draw(path: Path) -> None:
    """The mean curve of each arm in each environment, with bands from the lowest to the highest seed."""
    measured = [env_id for env_id in ENVIRONMENTS if any(group_by_arm(env_id).values())]
    figure, grid = make_figure(len(measured))
    axes = np.atleast_1d(grid)
    for axis, env_id in zip(axes, measured, strict=True):
        for arm, records in group_by_arm(env_id).items():
            if records and arm in COLOURS:
                steps, shares = records[0]["steps"], compute_shares(records)
                axis.fill_between(steps, shares.min(axis=0), shares.max(axis=0), color=COLOURS[arm], alpha=0.15, lw=0)
                axis.plot(steps, shares.mean(axis=0), color=COLOURS[arm], label=LABELS[arm])
        axis.axhline(1.0, color="black", linewidth=1.0, linestyle="--", label="teacher")
        axis.axvline(
            ENVIRONMENTS[env_id]["warmup"], color=GREY, linewidth=0.8, linestyle=":", label="end of the warm-up"
        )
        axis.set(xlabel="environment steps", ylabel="share of the teacher's return", title=env_id)
    axes[-1].legend(
        frameon=False,
        fontsize=7,
        title="line = mean, band = all seeds",
        title_fontsize=7,
        loc="center right",
        bbox_to_anchor=(1.0, 0.4),
    )
    save_figure(figure, path)
