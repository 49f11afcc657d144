"""Numbers and names as text, and the console that tables are printed on."""

from __future__ import annotations

from rich.console import Console

PLAIN_WIDTH = 110  # characters of a line where the output is no terminal


def make_console() -> Console:
    """The terminal, or plain output of a fixed width."""
    console = Console()
    return console if console.is_terminal else Console(width=PLAIN_WIDTH)


def format_number(value: float | None) -> str:
    """Four significant digits, with separators: 3,314 or 0.001234.

    >>> format_number(3313.8), format_number(0.0012341), format_number(None)
    ('3,314', '0.001234', '–')
    """
    if value is None:
        return "–"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"


def join_names(names: list[str], limit: int = 6) -> str:
    """The first ``limit`` names with commas between them, and the number of the others.

    >>> join_names(["a", "b", "c"], limit=2)
    'a, b and 1 more'
    """
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage.

    >>> percent(0.125)
    '12.5 %'
    """
    return f"{100 * share:.{digits}f} %"
