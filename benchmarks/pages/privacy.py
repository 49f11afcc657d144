"""What distillates reveal about the episodes of their data."""

from __future__ import annotations

from typing import Any

from benchmarks.experiments import load_records
from benchmarks.experiments.privacy import CELLS, PLAN
from benchmarks.grid import Record
from benchmarks.pages.text import format_file_label, make_table, select_records

HEAD = """\
Experiment `privacy`: `potstill distill --states data` with the committed teacher, then `potstill audit` with {shadows}
shadow distillations of {steps} outer steps, at most {episodes} episodes and {canaries} canaries. *Advantage*:
true-positive rate minus false-positive rate of membership inference by both statistics, with the 95 % bootstrap
interval over shadows and episodes; 0 is guessing. *Found*: episodes found at 1 % false alarms. *Distance*: median
distance, in standard deviations, of a pair to the nearest real row / of a real row to another episode. The pairs of
`random` are rows of the data: they show that the attack finds what there is to find. Shadows share the teacher, so what
it reveals is not measured."""
HEADS = ("file", "pairs", "episodes: advantage", "found", "canaries: advantage", "found", "distance", "copies")


def privacy() -> str:
    """A row for each file and method."""
    records, lines = load_records("privacy"), []
    for cell in CELLS:
        for record in select_records(records, file=cell.file, method=cell.method):
            found = record["distances"]
            label = "random real pairs" if cell.method == "random" else "distilled"
            lines.append(
                [
                    format_file_label(cell.file),
                    f"{record['pairs']} {label}",
                    *format_attack(record["membership"]["both"]),
                    *format_attack(record["canaries"]["both"]),
                    f"{found['pairs_median']:.2f} / {found['rows_median']:.2f}",
                    str(found["copies"]),
                ]
            )
    lacking = [f"{format_file_label(cell.file)} ({cell.method})" for cell in CELLS if not select_records(
        records, file=cell.file, method=cell.method)]  # fmt: skip
    table = [make_table(HEADS, lines)] if lines else []
    missing = [f"Not measured yet: {', '.join(lacking)}."] if lacking else []
    return "\n\n".join([HEAD.format(**PLAN), *table, *missing])


def format_attack(found: dict[str, Any] | Record) -> list[str]:
    """Format the advantage with its interval, and the share found at 1 % false alarms."""
    low, high = found["interval"]
    return [f"{found['advantage']:+.2f} ({low:+.2f} to {high:+.2f})", f"{100 * found['true_at_1']:.0f} %"]
