"""Helpers for tables and records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from benchmarks.files import BUNDLED
from benchmarks.grid import Record


def make_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Format a Markdown table."""
    lines = [heads, *rows]
    body = ["|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|" for cells in lines]
    return "\n".join([body[0], "|" + "---|" * len(heads), *body[1:]])


def select_records(records: Iterable[Record], **values: object) -> list[Record]:
    """Select the records whose fields have these values."""
    return [record for record in records if all(record[name] == value for name, value in values.items())]


def average(records: Iterable[Record], kind: str) -> float:
    """Average ``record[kind]["mean"]`` over records."""
    return float(np.mean([record[kind]["mean"] for record in records]))


def format_file_label(file: str) -> str:
    """Format the name of a file for pages."""
    return "the bundled dataset" if file == BUNDLED else file


def format_count(number: int, noun: str = "") -> str:
    """Format a number in words up to ten, with a noun in the plural unless it is one.

    >>> format_count(3, "seed"), format_count(1, "seed"), format_count(12)
    ('three seeds', 'one seed', '12')
    """
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    count = words[number] if number < len(words) else f"{number:,}"
    return f"{count} {noun}{'' if number == 1 else 's'}" if noun else count
