"""Rehearsal in continual learning, and students of mixtures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.experiments.rehearsal import BATCH, EPISODES, MEMORIES, RECIPE, SEEDS, SEQUENCES, SIZE, WIRED
from benchmarks.grid import Record
from benchmarks.pages.text import make_table, select_records
from potstill.tasks import compute_forgetting

HEAD = """\
Experiment `rehearsal`: {networks} networks of {width} × {width} units learn three tasks in turn, with the task as an
input: {steps:,} updates of Adam for each task, on {batch} rows of the task, labelled by its fixed teacher, and {batch}
of the memory. *Average*: mean normalised return over the tasks after the last one, of {episodes} episodes in each.
*Forgetting*: the mean over the earlier tasks of the best return since they were learned, minus the last one. Both with
95 % bootstrap intervals over networks. *Of all data*: the ratio of averages."""
LABELS = {
    "distilled": f"{SIZE} distilled pairs a task",
    "random": f"{SIZE} random rows a task",
    "all": "all rows",
    "none": "nothing",
    "joint": "(all tasks at once)",
    "teacher": "(the teachers)",
    "mixture": "merged distillates, one student, told the task",
    "separate": "each task's distillate, one student each",
}
HEADS = ("memory", "average", "of all data", "forgetting", "tasks 1, 2, 3 at the end")
MIXED_HEADS = ("students of", "average", "tasks 1, 2, 3")
RESAMPLES = 4_000
GOAL, THIRD = 0.85, 1 / 3
Values = np.ndarray


def find_scores(records: Sequence[Record], sequence: str, method: str) -> Record | None:
    """Find the scores of a method on a sequence: ``scores[t][i]`` of all networks in task i after task t."""
    found = select_records(records, file=sequence, method=method)
    return found[0] if found else None


def compute_average(record: Record) -> Values:
    """The mean return over tasks at the end, of each network."""
    return np.mean(record["scores"][-1], axis=0)


def compute_losses(record: Record) -> Values:
    """The forgetting of each network."""
    scores, tasks = record["scores"], len(record["scores"])
    returns = np.zeros((len(scores[0][0]), tasks, tasks))
    for t, row in enumerate(scores):
        returns[:, t, : len(row)] = np.transpose(row)
    return np.array([compute_forgetting(one) for one in returns])


def bootstrap(values: Values, below: Values | None = None) -> tuple[float, float]:
    """The 95 % percentile interval of a mean over networks, or of the ratio of two means over the same networks."""
    index = np.random.default_rng(0).integers(len(values), size=(RESAMPLES, len(values)))
    means = values[index].mean(axis=1)
    found = means if below is None else means / below[index].mean(axis=1)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def format_interval(values: Values, digits: int = 1, below: Values | None = None) -> str:
    """Format a mean, or a ratio of means, with its interval."""
    mean = np.mean(values) / (1.0 if below is None else np.mean(below))
    low, high = bootstrap(values, below)
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def list_ends(record: Record) -> str:
    """The mean return in each task at the end."""
    return ", ".join(f"{np.mean(task):.1f}" for task in record["scores"][-1])


def describe_sequence(sequence: str) -> str:
    """Name the tasks of a sequence."""
    files = ", ".join(SEQUENCES[sequence])
    wired = "The second Hopper's actuators are reversed, the third's are exchanged in turn: the tasks conflict."
    return f"**{files}.** {wired if sequence in WIRED else 'The three files as they are, in one environment.'}"


def make_sequence_tables(records: Sequence[Record], sequence: str) -> list[str]:
    """The tables of a sequence, and what follows from them; nothing if it was not measured."""
    found = {method: find_scores(records, sequence, method) for method in LABELS}
    full, lines, mixed = found["all"], [], []
    for method, record in found.items():
        if record is None:
            continue
        average = format_interval(compute_average(record))
        if method in ("mixture", "separate", "teacher"):
            plain = f"{compute_average(record)[0]:.1f}"
            mixed.append([LABELS[method], plain if method == "teacher" else average, list_ends(record)])
            continue
        share = "" if full is None else format_interval(compute_average(record), 2, compute_average(full))
        lost = format_interval(compute_losses(record)) if method in MEMORIES else ""
        lines.append([LABELS[method], average, share, lost, list_ends(record)])
    if not lines and not mixed:
        return []
    tables = [describe_sequence(sequence)]
    tables += [make_table(HEADS, lines)] if lines else []
    tables += [make_table(MIXED_HEADS, mixed)] if mixed else []
    return [*tables, *judge(found), *compare_mixture(found)]


def judge(found: dict[str, Record | None]) -> list[str]:
    """Compare the memory of distilled pairs with the targets and with random rows."""
    distilled, random, full, none = (found[name] for name in MEMORIES)
    if distilled is None or random is None or full is None or none is None:
        return []
    share = float(np.mean(compute_average(distilled)) / np.mean(compute_average(full)))
    gains = compute_average(distilled) - compute_average(random)
    lost = [float(np.mean(compute_losses(record))) for record in (distilled, none)]
    low, high = bootstrap(gains)
    verdict = "more than" if low > 0 else "less than" if high < 0 else "a difference within chance to"
    part = lost[0] / lost[1] if lost[1] > 0 else float("nan")
    return [
        f"Target: an average of {GOAL} of that with all data: {share:.2f}, {'reached' if share >= GOAL else 'missed'}. "
        f"Target: a third of the forgetting without memory: {part:.2f} of it, "
        f"{'reached' if part <= THIRD else 'missed'}. Distilled pairs give {verdict} as many random rows: "
        f"{np.mean(gains):+.1f} [{low:+.1f}, {high:+.1f}]."
    ]


def compare_mixture(found: dict[str, Record | None]) -> list[str]:
    """Compare students of the mixture with those of each distillate alone and with the teachers."""
    mixture, separate, teacher = (found[name] for name in ("mixture", "separate", "teacher"))
    if mixture is None or separate is None or teacher is None:
        return []
    shares = [np.mean(compute_average(mixture)) / np.mean(compute_average(one)) for one in (separate, teacher)]
    seeds, full, alone = len(compute_average(mixture)), found["all"], ""
    if full is not None:
        share = np.mean(compute_average(separate)) / np.mean(compute_average(full))
        alone = (
            " Who knows the task can keep the pairs and train a student for each: these students have "
            f"{share:.2f} of the average of the networks that rehearse all rows, and forget nothing."
        )
    return [
        f"A student of the mixture has {shares[0]:.2f} of the average of students of each distillate alone, and "
        f"{shares[1]:.2f} of that of the teachers ({seeds} distillation seeds, no claim).{alone}"
    ]


def rehearsal() -> str:
    """The tables of all sequences that were measured."""
    records = load_records("rehearsal")
    budget = {"steps": RECIPE.steps, "width": RECIPE.width, "batch": BATCH, "episodes": EPISODES}
    parts = [part for sequence in SEQUENCES for part in make_sequence_tables(records, sequence)]
    lacking = [", ".join(SEQUENCES[name]) for name in SEQUENCES if not select_records(records, file=name)]
    parts += [f"Declared and not measured yet: {'; '.join(lacking)}."] if lacking else []
    return "\n\n".join([HEAD.format(networks=len(SEEDS), **budget), *parts])
