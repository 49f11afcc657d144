"""The limits of retention."""

from __future__ import annotations

import numpy as np

from benchmarks.experiments import load_records
from benchmarks.experiments.bounds import (
    BATCH,
    CLONE_EPISODES,
    CLONES,
    ENSEMBLE_EPISODES,
    EPISODES,
    NOISE,
    RELABELLED,
    SIZES,
    STUDENTS,
    UPDATES,
)
from benchmarks.files import FILES
from benchmarks.grid import Record
from benchmarks.pages.distillates import KINDS, load_records_with_teacher_scores
from benchmarks.pages.text import average, make_table, select_records

HEAD = """\
Experiment `bounds`: mean scores, and in brackets their ratio to the teacher's score.

- *Distillate*: 256 pairs, `--states data` with default settings.
- *Relabelled*: students trained on all training states of a file, labelled by the teacher, with the network of the
  default recipe or of the plain one (the paper's network). {updates:,} updates of Adam on {batch} rows each; {clones}
  students × {clone_episodes} episodes, {ensemble} episodes of their ensemble.
- *Pairs*: students of the plain recipe on random states, labelled by the teacher; {students} students × {episodes}
  episodes.
- *Noise*: the teacher itself with Gaussian noise of this standard deviation on actions in [−1, 1]; {ensemble}
  episodes.

If *relabelled* is below 1, the student's network or the states of the file are the limit, and better pairs may not
help. It is not a strict bound, because the states of pairs need not be in the file. If *relabelled* reaches 1 and the
distillate does not, more pairs, better pairs or longer training may close the gap. If noise lowers the return much,
small errors of a student lower it as well."""
HEADS = (
    *("file", "teacher", "distillate: one", "ensemble", "default, relabelled: one", "ensemble"),
    *("plain, relabelled: one", "ensemble", "256 pairs", "1,024", "4,096", "noise 0.1", "0.2", "0.4"),
)


def bounds() -> str:
    """A row for each file: mean scores, in brackets as shares of the teacher's."""
    measured, distillates = load_records("bounds"), select_records(load_records_with_teacher_scores(), method="default")
    teachers = {r["file"]: r["teacher"] for r in select_records(load_records("fixed-teachers"), method="20 episodes")}
    lines, shares = [], []
    for file in (file for file in FILES if select_records(measured, file=file)):
        teacher, found = teachers[file], list_scores(select_records(measured, file=file), teachers[file]["mean"])
        own = select_records(distillates, file=file)
        found = [(average(own, kind), own[0]["teacher_score"]) for kind in KINDS] + found
        shares.append([mean / of for mean, of in found])
        cells = [f"{mean:.1f} ({mean / of:.2f})" for mean, of in found]
        lines.append([file, f"{teacher['mean']:.1f} ± {teacher['std']:.1f}", *cells])
    means = [f"**{share:.2f}**" for share in np.mean(shares, axis=0)]
    head = HEAD.format(
        updates=UPDATES,
        batch=BATCH,
        clones=CLONES,
        clone_episodes=CLONE_EPISODES,
        students=STUDENTS,
        episodes=EPISODES,
        ensemble=ENSEMBLE_EPISODES,
    )
    return "\n\n".join([head, make_table(HEADS, [*lines, [f"mean of {len(lines)} files", "", *means]])])


def list_scores(records: list[Record], teacher: float) -> list[tuple[float, float]]:
    """A file's mean scores, each with the teacher's, in the order of the columns."""
    by_method = {record["method"]: record for record in records}
    found = [by_method[method][kind]["mean"] for method in RELABELLED for kind in KINDS]
    found += [by_method[method]["student"]["mean"] for method in SIZES]
    found += [by_method[method]["teacher"]["mean"] for method in NOISE]
    return [(mean, teacher) for mean in found]
