"""Format numbers and names as text, and make the console that tables are printed on."""

from __future__ import annotations

import sys

from rich.console import Console

from potstill.runtime.terminal import find_terminal_width

PLAIN_HEIGHT = 25  # lines; nothing depends on it
PLAIN_WIDTH = 110  # characters in a line if the output is not a terminal


def make_console() -> Console:
    """Make a console for the terminal, or for plain output of a fixed width."""
    width = find_terminal_width(sys.stdout) or PLAIN_WIDTH
    return Console(width=width, height=PLAIN_HEIGHT)  # with a width alone, Rich takes 80 if TERM is dumb


def format_number(value: float | None) -> str:
    """Format a number with four significant digits and separators: 3,314 or 0.001234.

    >>> format_number(3313.8), format_number(0.0012341), format_number(None)
    ('3,314', '0.001234', '–')
    """
    if value is None:
        return "–"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"


def join_names(names: list[str], limit: int = 6) -> str:
    """Join the first ``limit`` names with commas, and add the number of the others.

    >>> join_names(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def format_percent(share: float, digits: int = 1) -> str:
    """Format a share as a percentage.

    >>> format_percent(0.125)
    '12.5 %'
    """
    return f"{100 * share:.{digits}f} %"


def count_students(number: int) -> str:
    """Format a number of students: "1 student", "2 students"."""
    return f"{number} student{'' if number == 1 else 's'}"
