"""Solvers for students of Adam, compared with trained networks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.experiments.fitted_students import COUNTS, FILES, METHODS, NETWORKS
from benchmarks.grid import Record
from benchmarks.pages.text import make_table, select_records

HEAD = """\
Experiment `fitted-students`: `potstill distill --recipe pytorch` with the teacher of the highest return, on the states
of the dataset. *Initial*: pairs of k-means states with the teacher's actions; *distilled*: the pairs of the solver.
Distances are mean squared distances of actions in [−1, 1], summed over the components: *solver*, of the function that
the solver computes, and *network*, of a trained network, both from the mean of {networks} trained networks. If a solver
described students well, it would be as near as a network. *To the teacher*: of a trained network. Scores: {students}
students × {episodes} episodes. All numbers are mean ± standard deviation over {seeds} distillation seeds."""
HEADS = (
    *("file", "solver", "initial: solver", "network", "to the teacher"),
    *("distilled: solver", "network", "to the teacher", "teacher", "one student", "ensemble", "s"),
)


def fitted() -> str:
    """A row for each file and solver."""
    found, lines = load_records("fitted-students"), []
    for file in FILES:
        for method in METHODS:
            records = select_records(found, file=file, method=method)
            if not records:
                continue
            cells = [file, f"`{method}`"]
            for pairs in ("initial", "distilled"):
                for name in ("solver to networks", "network to networks", "network to teacher"):
                    cells.append(format_spread((r["distances"][pairs][name] for r in records), 2))
            cells.append(f"{np.mean([r['teacher']['mean'] for r in records]):.0f}")
            cells += [format_spread((r[kind]["mean"] for r in records), 0) for kind in ("student", "ensemble")]
            lines.append([*cells, f"{np.median([r['seconds'] for r in records]):.0f}"])
    seeds = len({record["seed"] for record in found})
    head = HEAD.format(networks=NETWORKS, seeds=seeds, **COUNTS)
    return "\n\n".join([head, make_table(HEADS, lines), compare_solvers(found)])


def format_spread(values: Iterable[float], digits: int) -> str:
    """Format the mean and the standard deviation of values."""
    known = list(values)
    spread = np.std(known, ddof=1) if len(known) > 1 else 0.0
    return f"{np.mean(known):.{digits}f} ± {spread:.{digits}f}"


def compare_solvers(found: list[Record]) -> str:
    """Compare the solvers in words: their distances from networks, and on how many files students score higher."""
    of_initial = {
        method: np.mean([r["distances"]["initial"]["solver to networks"] for r in select_records(found, method=method)])
        for method in METHODS
    }
    distances = ", ".join(f"`{method}` {value:.2f}" for method, value in of_initial.items())
    sentences = [f"Distance of the solver from trained networks on initial pairs, mean over files: {distances}."]
    for kind, words in (("student", "One student"), ("ensemble", "The ensemble")):
        higher = [
            file
            for file in FILES
            if np.diff(
                [np.mean([r[kind]["mean"] for r in select_records(found, file=file, method=m)]) for m in METHODS]
            )
            > 0
        ]
        sentences.append(f"{words} scores higher with `{METHODS[1]}` on {len(higher)} of {len(FILES)} files.")
    return " ".join(sentences)
