"""Students that are trained by other people's code."""

from __future__ import annotations

from benchmarks.experiments import load_records
from benchmarks.experiments.foreign_students import EPISODES, SCRIPTS, SETTINGS, STUDENTS
from benchmarks.grid import Record
from benchmarks.pages.text import make_table, select_records

HEAD = """\
Experiment `foreign-students`: scripts that read an exported distillate (`potstill export`) and do not import potstill.
The distillates are those of `portfolio`. {students} students × {episodes} episodes; score (retention)."""


def foreign() -> str:
    """A row for each kind of student."""
    records = load_records("foreign-students")
    files = sorted({record["file"] for record in records})
    lines = []
    for name in SCRIPTS:
        found = {record["file"]: record for record in select_records(records, method=name)}
        lines.append([name, SETTINGS[name], *(format_share(found[f]) if f in found else "–" for f in files)])
    head = HEAD.format(students=STUDENTS, episodes=EPISODES)
    return "\n\n".join([head, make_table(("code", "training", *files), lines)])


def format_share(record: Record) -> str:
    """A mean score, and its share of the teacher's."""
    mean = record["student"]["mean"]
    return f"{mean:.0f} ({mean / record['teacher']['mean']:.2f})"
