"""Small HTML tables that show runs, distillates and datasets in notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape


def make_html_table(title: str, rows: Mapping[str, object]) -> str:
    """Make an HTML table with two columns, name and value, under a title. All text is escaped.

    Floats have four significant digits, ``None`` is a dash, and other values are formatted by ``str``.

    >>> make_html_table("Run", {"steps": 40, "loss": 0.123456})  # doctest: +NORMALIZE_WHITESPACE
    '<table><caption style="text-align:left">Run</caption><tr><th style="text-align:left">steps</th><td
    style="text-align:left">40</td></tr><tr><th style="text-align:left">loss</th><td
    style="text-align:left">0.1235</td></tr></table>'
    """
    left = 'style="text-align:left"'
    body = "".join(
        f"<tr><th {left}>{escape(str(name))}</th><td {left}>{escape(format_value(value))}</td></tr>"
        for name, value in rows.items()
    )
    return f"<table><caption {left}>{escape(title)}</caption>{body}</table>"


def format_value(value: object) -> str:
    """Format a value for display.

    >>> format_value(0.123456), format_value(None), format_value("pbc")
    ('0.1235', '–', 'pbc')
    """
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
