"""The tables of the experiment ``choices``: objectives, weights, initial pairs, solvers."""

from __future__ import annotations

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.experiments.choices import HALFCHEETAH, HOPPER, MAIN, VARIANTS, WEIGHTINGS
from benchmarks.files import BUNDLED
from benchmarks.grid import Record
from benchmarks.pages.text import make_table, select_records
from potstill.evaluation.statistics import interquartile_mean

GAPS = ("q-gap by the mean of the critics", "q-gap by each critic")
WEIGHED = tuple(f"q-gap, weights {name}" for name in WEIGHTINGS)
VARIANTS_OF_PAGE: dict[str, tuple[str, ...]] = {
    "pbc": ("pbc", "dbc", "wide students, pbc"),
    "av-pbc": tuple(name for name in MAIN if "av-pbc" in name and "unroll" not in name),
    "q-gap": ("q-gap", *GAPS, "wide students, q-gap"),
    "weights": ("q-gap", *WEIGHED),
    "pairs": (
        "q-gap",
        "q-gap, initial states by k-means",
        *(name for name in VARIANTS if name not in (*MAIN, *GAPS, *WEIGHED)),
    ),
}
TITLES = {BUNDLED: "The bundled dataset"} | {name: f"`{name}` of the nine files" for name in (HALFCHEETAH, HOPPER)}
HEAD = """\
*One student*: interquartile mean over distillation seeds × 10 students × 4 episodes, ± standard deviation over
students. *Ensemble*: of ten students, mean of 10 episodes, seed by seed; then mean ± standard deviation over seeds.
*Held-out loss*: median; compare it only between variants with the same objective. Unless the name of a variant says
otherwise, students have the `plain` recipe, states have no noise, and there are 150 outer steps. Experiment
`choices`."""
MAIN_HEAD = """\
Experiment `choices`: objectives, solvers and settings (teacher {teacher:.1f}). Students have the recipe `plain` unless
the name says otherwise. *One student*: interquartile mean over distillation seeds × 10 students × 4 episodes, ±
standard deviation over students. Each ensemble has 10 episodes per seed."""
SHOWN = {"sgd outside": "outer SGD", "adam outside": "outer Adam"} | {
    "students start at zero": "students with zero initial output"
}  # how parts of the names in the results are shown
HEADS = ("variant", "one student", "ensemble, seed by seed", "over seeds", "held-out loss")


def format_one_student(records: list[Record]) -> str:
    """Interquartile mean over all episodes, ± over students."""
    singles = np.concatenate([np.array(record["student"]["returns"]) for record in records])
    return f"{interquartile_mean(singles):.1f} ± {singles.mean(1).std(ddof=1):.1f}"


def describe_variant(name: str) -> str:
    """The name of a variant in the table, in the terms of the documentation.

    >>> describe_variant("unroll, paper (sgd outside)")
    'unroll, paper (outer SGD)'
    """
    for stored, shown in SHOWN.items():
        name = name.replace(stored, shown)
    return name


def make_row(name: str, records: list[Record]) -> list[str]:
    """One variant on one dataset."""
    together = [record["ensemble"]["mean"] for record in records]
    over_seeds = f"{np.mean(together):.0f}" + (f" ± {np.std(together, ddof=1):.0f}" if len(together) > 1 else "")
    loss = np.median([record["held_out_loss"] for record in records])
    return [name, format_one_student(records), ", ".join(f"{x:.0f}" for x in together), over_seeds, f"{loss:.3f}"]


def find_teacher_score(file: str) -> float:
    """The mean of the teacher's own fifty episodes."""
    [record] = select_records(load_records("fixed-teachers"), method="50 episodes", file=file)
    return float(record["teacher"]["mean"])


def variant_tables(page: str) -> str:
    """The tables of a page: one for each dataset on which more than one of its variants was run."""
    records, parts = load_records("choices"), [HEAD]
    for file, title in TITLES.items():
        groups = {name: select_records(records, file=file, method=name) for name in VARIANTS_OF_PAGE[page]}
        rows = [make_row(name, group) for name, group in groups.items() if group]
        if len(rows) > 1:
            parts += [f"{title} (teacher {find_teacher_score(file):.1f}):", make_table(HEADS, rows)]
    return "\n\n".join(parts)


def variants() -> str:
    """The variants of the main table, on the bundled dataset."""
    records, lines = select_records(load_records("choices"), file=BUNDLED), []
    for name in MAIN:
        group, together = select_records(records, method=name), "–"
        if "ensemble" in group[0]:
            returns = np.concatenate([record["ensemble"]["returns"] for record in group])
            together = f"{interquartile_mean(returns):.1f}"
        seconds = np.median([record["seconds"] for record in group])
        lines.append([describe_variant(name), str(len(group)), format_one_student(group), together, f"{seconds:.0f}"])
    head = MAIN_HEAD.format(teacher=find_teacher_score(BUNDLED))
    return f"{head}\n\n{make_table(('variant', 'seeds', 'one student', 'ensemble of ten', 'seconds'), lines)}"
