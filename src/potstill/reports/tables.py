"""Tables on the terminal, and the report of a distillation."""

from __future__ import annotations

from pathlib import Path

from rich.table import Table

from potstill.environments.references import find_reference_returns
from potstill.evaluation.statistics import Result, find_return_label, read_reference
from potstill.reports.plots import plot_curve
from potstill.reports.states import render_states
from potstill.reports.text import count_students, format_number, make_console
from potstill.runtime.files import read_json, read_json_lines
from potstill.runtime.folder_state import check_unchanged
from potstill.runtime.progress import busy

LABELS = {
    "data": "the data's episodes",
    "teacher": "teacher",
    "random": "{pairs} random real pairs, one student",
    "student": "{pairs} distilled pairs, one student",
    "ensemble": "{pairs} distilled pairs, ensemble of {students}",
    "bc": "behavioural cloning, whole dataset",
}


def make_score_table(result: Result, title: str) -> Table:
    """Make a table of normalised returns, with one row for each kind of policy in ``result``."""
    table = Table(title=title, title_justify="left")
    table.add_column("policy")
    for column in (find_return_label(result), "spread", "policies × episodes", "of teacher"):
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
            f"{scores['policies']} × {scores['episodes']}" if "policies" in scores else f"{scores['episodes']:,}",
            share,
        )
    return table


def print_scores(result: Result, title: str | None = None) -> None:
    """Print the :func:`make_score_table`, and the reference returns if they are not those of the environment.

    >>> import numpy as np
    >>> from potstill.evaluation import summarise
    >>> scores = summarise(np.array([[1000.0, 1200.0], [900.0, 950.0]]), "Hopper-v5")
    >>> print_scores({"env_id": "Hopper-v5", "student": scores, "pairs": 256})  # doctest: +ELLIPSIS
    Hopper-v5...
    ...256 distilled pairs...31.7...± 3.8 over policies...2 × 2...
    """
    make_console().print(make_score_table(result, title or result.get("env_id") or "scores"))
    reference, known = read_reference(result), find_reference_returns(result.get("env_id"))
    if reference != known and reference.source:
        print(f"0 is a return of {reference.random:.4g}, 100 is a return of {reference.expert:.4g}: {reference.source}")
    elif not reference.source:
        print(
            f"no reference returns are known for {result.get('env_id')}, and there is no teacher better than a random "
            "policy: returns are not normalised"
        )


def print_offline(offline: Result) -> None:
    """Print how close students are to the teacher on held-out states."""
    for name, label in (("imitation_error", "imitation error"), ("q_gap", "Q-gap (in standard deviations of q*)")):
        if name not in offline:
            continue
        scores, students = offline[name], count_students(offline["students"])
        print(f"held-out {label}: {scores['mean']:.4f} ± {scores['std']:.4f} over {students}")


def print_imagined(imagined: Result) -> None:
    """Print the scores in the world model, and the number of the student with the highest one."""
    for name in ("teacher", "student"):
        if name in imagined:
            scores = imagined[name]
            print(f"{name} in the world model: {scores['mean']:.1f} ± {scores['std']:.1f} over {scores['std_over']}")
    print(f"best student in the world model: number {imagined['best']}")


def print_data(result: Result) -> None:
    """Print the returns of the data's own episodes."""
    given = result.get("data")
    if given:
        mean, best = format_number(given["mean"]), format_number(given["best"])
        print(f"{find_return_label(result)} of the data's episodes: mean {mean}, best {best}")


def report_evaluation(result: Result, title: str | None = None) -> None:
    """Print all scores of a result: in the environment, against the teacher, and in a world model.

    If there are none, say so.

    >>> offline = {"students": 5, "imitation_error": {"mean": 0.02, "std": 0.001}}
    >>> report_evaluation({"offline": offline}, "hopper-medium-replay")
    hopper-medium-replay
    held-out imitation error: 0.0200 ± 0.0010 over 5 students
    """
    if result.get("student"):
        print_scores(result, title)
    else:
        if title:
            print(title)
        print_data(result)
    if result.get("offline"):
        print_offline(result["offline"])
    if "imagined" in result:
        print_imagined(result["imagined"])
    if not any(result.get(name) for name in ("student", "offline", "imagined")):
        print("no scores of students: there is neither an environment nor a teacher")


def report_distillation(folder: Path, result: Result) -> None:
    """Draw the curve and the states of a distillation; print its scores and the paths of its files."""
    with busy("drawing plots"):
        losses = read_losses(folder / "metrics.jsonl")
        curve = plot_curve(folder / "curve.png", result, losses) if len(result["curve"]) > 1 or losses else None
        distillate = folder / "distillate.safetensors"
        picture, reason = render_states(distillate, folder / "states.png") if result["env_id"] else (None, "")
    report_evaluation(result, f"{result['dataset']} in {result['env_id']}" if result.get("student") else None)
    seconds, trained = result["seconds"], read_json(folder / "config.json")["students"]
    print(
        f"distilled in {seconds['distilling']:.1f} s; trained {count_students(trained)} "
        f"in {seconds['training']:.1f} s; evaluated in {seconds['evaluating']:.1f} s"
    )
    written = [f"{distillate} ({distillate.stat().st_size / 1000:.1f} kB)", *([str(curve)] if curve else [])]
    if result["env_id"]:
        written.append(str(picture) if picture else f"the states were not rendered: {reason}")
    print("\n".join(written))


def read_losses(path: Path) -> list[tuple[int, float]]:
    """Read outer steps and losses from a run's ``metrics.jsonl``."""
    check_unchanged(path)
    return [(line["step"], line["loss"]) for line in read_json_lines(path) if "loss" in line]
