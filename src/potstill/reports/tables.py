"""Tables on the terminal, and the whole report of a distillation, from its result alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from potstill.environments.references import reference_returns
from potstill.evaluation.statistics import reference_in, return_label
from potstill.reports.plots import plot_curve
from potstill.reports.states import render_states

LABELS = {
    "teacher": "teacher",
    "random": "{pairs} random real pairs, one student",
    "student": "{pairs} distilled pairs, one student",
    "ensemble": "{pairs} distilled pairs, ensemble of {students}",
    "bc": "behavioural cloning, whole dataset",
}


def _console() -> Console:
    console = Console()
    return console if console.is_terminal else Console(width=110)


def score_table(result: dict[str, Any], title: str) -> Table:
    """Normalised returns, a row for each kind of policy that ``result`` holds."""
    table = Table(title=title, title_justify="left")
    table.add_column("policy")
    for column in (return_label(result), "spread", "policies × episodes", "of teacher"):
        table.add_column(column, justify="right")
    teacher = (result.get("teacher") or {}).get("mean")
    students = (result.get("student") or {}).get("policies", 0)
    for name, label in LABELS.items():
        scores = result.get(name)
        if not scores:
            continue
        share = f"{scores['mean'] / teacher:.2f}" if teacher else "–"
        table.add_row(
            label.format(pairs=result.get("pairs"), students=students),
            f"{scores['mean']:.1f}",
            f"± {scores['std']:.1f} over {scores['std_over']}",
            f"{scores['policies']} × {scores['episodes']}",
            share,
        )
    return table


def print_scores(result: dict[str, Any], title: str | None = None) -> None:
    """Print :func:`score_table` and, where no reference returns are known, what the scores refer to instead."""
    _console().print(score_table(result, title or result.get("env_id") or "scores"))
    reference, table = reference_in(result), reference_returns(result.get("env_id"))
    if reference != table and reference.source:
        print(f"0 is a return of {reference.random:.4g}, 100 one of {reference.expert:.4g}: {reference.source}")
    elif not reference.source:
        print(
            f"no reference returns are known of {result.get('env_id')}, and no teacher was played that earns more than "
            "a random policy: returns are as they are"
        )


def print_offline(offline: dict[str, Any]) -> None:
    """Print how near the teacher students stay on held-out states."""
    for name, label in (("imitation_error", "imitation error"), ("q_gap", "Q-gap (in standard deviations of q*)")):
        figures = offline[name]
        print(f"held-out {label}: {figures['mean']:.4f} ± {figures['std']:.4f} over {offline['students']} students")


def report_distillation(folder: Path, result: dict[str, Any]) -> None:
    """Print the table of a distillation, draw its curve and its states, say where everything lies."""
    if "student" in result:
        print_scores(result, f"{result['dataset']} in {result['env_id']}")
    if "offline" in result:
        print_offline(result["offline"])
    seconds = result["seconds"]
    print(
        f"distilled in {seconds['distilling']:.1f} s; trained {result.get('student', {}).get('policies', 0)} students "
        f"in {seconds['training']:.1f} s; evaluated in {seconds['evaluating']:.1f} s"
    )
    distillate = folder / "distillate.safetensors"
    made = [f"{distillate} ({distillate.stat().st_size / 1000:.1f} kB)"]
    made.append(str(plot_curve(folder / "curve.png", result, read_losses(folder / "metrics.jsonl"))))
    if result["env_id"]:
        picture, why = render_states(distillate, folder / "states.png")
        made.append(str(picture) if picture else f"no picture of the states: {why}")
    print("\n".join(made))


def read_losses(path: Path) -> list[tuple[int, float]]:
    """Outer step and loss of every line of a run's metrics."""
    import json

    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]
