"""The table that ``make demo`` prints."""

from __future__ import annotations

import io

from rich.console import Console

from benchmarks.experiments import load_records
from potstill.reports.tables import make_score_table


def demo() -> str:
    """The command's own table, from the committed record of a run."""
    [result] = load_records("demo")
    console = Console(file=io.StringIO(), width=110, force_terminal=False, legacy_windows=False)
    console.print(make_score_table(result, f"{result['dataset']} in {result['env_id']}"))
    assert isinstance(console.file, io.StringIO)
    seconds = result["seconds"]
    times = (
        f"distilled in {seconds['distilling']:.1f} s; trained {result['student']['policies']} students in "
        f"{seconds['training']:.1f} s; evaluated in {seconds['evaluating']:.1f} s"
    )
    table = "\n".join(line.rstrip() for line in console.file.getvalue().rstrip().splitlines())
    return f"```text\n{table}\n{times}\n```"
