"""Blocks of HTML pages: notes, tables, pictures. All text is escaped; pages have no scripts, links or fonts of others.

Colours are CSS variables with a light and a dark set. :data:`PALETTE` names them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape

PALETTE: Mapping[str, tuple[str, str]] = {
    "page": ("#ffffff", "#15181c"),
    "ink": ("#24292f", "#e6e9ec"),
    "soft": ("#5b636d", "#a3adb8"),
    "line": ("#e0e4e8", "#343b43"),
    "panel": ("#f5f7f9", "#1d2228"),
    "amber": ("#fff4dc", "#3a2f16"),
    "red": ("#fdecea", "#42201d"),
    "edge": ("#b87a14", "#d9a441"),
    "fault": ("#c0392b", "#e5705f"),
    "blue": ("#2f6db3", "#6ea8e8"),
    "orange": ("#b9581a", "#e8985a"),
    "green": ("#2f7a4b", "#6cc08b"),
    "grey": ("#767b82", "#9aa1a9"),
    "violet": ("#7350a3", "#b69be0"),
}
"""Each variable with its light and its dark colour."""
OPTION = re.compile(r"--[a-z][a-z-]+(?: (?:[\d.]*\d|scale|clip)\b)?")
RULES = """
body { margin: 0 auto; max-width: 66rem; padding: 2.5rem 1.5rem; color: var(--ink); background: var(--page);
       font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
h1 { font-size: 1.7rem; font-weight: 600; margin: 0; overflow-wrap: anywhere }
h2 { font-size: 1.3rem; font-weight: 600; margin: 2.6rem 0 .6rem; overflow-wrap: anywhere }
h3 { font-size: 1.02rem; font-weight: 600; margin: 1.9rem 0 .5rem }
p { margin: .5rem 0; max-width: 46rem }
p.soft, figcaption, footer { color: var(--soft); margin: .2rem 0 0 }
p.lead { font-size: 1.12rem; font-weight: 600 }
ul { padding-left: 1.2rem; max-width: 46rem }
ul.notes { list-style: none; margin: 1.2rem 0 0; padding: 0; max-width: none }
ul.notes li { background: var(--amber); border-left: 4px solid var(--edge); margin: .45rem 0; padding: .5rem .9rem }
ul.faults li { background: var(--red); border-color: var(--fault) }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { border-bottom: 1px solid var(--line); padding: .32rem .9rem .32rem 0; text-align: left; vertical-align: top }
th { color: var(--soft); font-weight: 500; white-space: nowrap }
td.n, th.n { text-align: right }
td { overflow-wrap: anywhere }
code { white-space: nowrap }
pre { background: var(--panel); margin: .5rem 0; padding: .7rem .9rem; white-space: pre-wrap; overflow-wrap: anywhere }
pre code { white-space: inherit }
.wide { overflow-x: auto }
.wide td { white-space: nowrap }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1.4rem 2rem;
         align-items: start; margin-top: .8rem }
figure { margin: 0 }
.plots + figure { margin-top: 1.4rem }
svg { width: 100%; height: auto }
svg text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif !important }
img { max-width: 100%; height: auto; background: #fff; border-radius: 4px }
figcaption { font-size: .87rem }
footer { border-top: 1px solid var(--line); font-size: .87rem; margin-top: 2.5rem; padding-top: .8rem }
@media (max-width: 40rem) {
  body { padding: 1.2rem 1rem }
  .facts th, .wide td:first-child { white-space: normal }
  .wide td:first-child { min-width: 8.5rem }
}
@page { margin: 14mm }
@media print {
  body { max-width: none; padding: 0; font-size: 10.5pt }
  figure, tr, li, pre { break-inside: avoid }
  h2, h3 { break-after: avoid }
  .plots { grid-template-columns: 1fr 1fr }
  .wide { overflow: visible }
  .wide td, .wide th { white-space: normal; font-size: 8.5pt }
}
"""


def make_style() -> str:
    """Make the style sheet: the light colours, the dark ones for screens that ask for them, and the rules.

    >>> "prefers-color-scheme: dark" in make_style()
    True
    """
    light, dark = ("; ".join(f"--{name}: {pair[i]}" for name, pair in PALETTE.items()) for i in (0, 1))
    scheme = f":root {{ color-scheme: light dark; {light} }}"
    return f"{scheme}\n@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}{RULES}"


def make_page(title: str, subtitle: str, command: str, blocks: Iterable[str]) -> str:
    """Make a page of finished blocks.

    Args:
        title: the heading.
        subtitle: a line below it.
        command: the command that writes the page, such as ``inspect``.
        blocks: HTML.
    """
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(title)} – potstill {command}</title><style>{make_style()}</style></head><body>",
            f'<h1>{escape(title)}</h1><p class="soft">{escape(subtitle)}</p>',
            *blocks,
            f"<footer>Written by potstill {command}. All values are in result.json beside this page.</footer>",
            "</body></html>\n",
        ]
    )


def format_notes(lines: Sequence[str], kind: str = "notes") -> str:
    """Format warnings, with their command-line options marked."""
    return f'<ul class="{kind}">{"".join(f"<li>{mark_options(line)}</li>" for line in lines)}</ul>' if lines else ""


def mark_options(line: str) -> str:
    """Mark the command-line options in a line as code, in which lines do not break.

    >>> mark_options("use --action-scale 0.5 & <b>")
    'use <code>--action-scale 0.5</code> &amp; &lt;b&gt;'
    """
    return OPTION.sub(r"<code>\g<0></code>", escape(line))


def format_paragraph(text: str, kind: str = "") -> str:
    """Format a paragraph.

    >>> format_paragraph("a < b", "soft")
    '<p class="soft">a &lt; b</p>'
    """
    return f'<p class="{kind}">{mark_options(text)}</p>' if kind else f"<p>{mark_options(text)}</p>"


def format_list(lines: Iterable[str]) -> str:
    """Format a list of sentences."""
    return f"<ul>{''.join(f'<li>{mark_options(line)}</li>' for line in lines)}</ul>"


def format_commands(lines: Iterable[str]) -> str:
    """Format command lines."""
    return f"<pre><code>{escape(chr(10).join(lines))}</code></pre>"


def format_facts(facts: Iterable[tuple[str, str]]) -> str:
    """Format a table of names and values."""
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in facts)
    return f'<table class="facts">{rows}</table>'


def format_table(heads: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> str:
    """Format a table. The first column is text, the others are numbers. It scrolls where it is too wide."""
    first, *others = heads
    head = "".join(f'<th class="n" scope="col">{escape(name)}</th>' for name in others)
    body = []
    for name, *cells in rows:
        numbers = "".join(f'<td class="n">{escape(cell)}</td>' for cell in cells)
        body.append(f"<tr><td>{escape(name)}</td>{numbers}</tr>")
    said = format_paragraph(caption, "soft") if caption else ""
    top = f'<thead><tr><th scope="col">{escape(first)}</th>{head}</tr></thead>'
    region = f'<div class="wide" tabindex="0" role="region" aria-label="{escape(caption or first)}">'
    return f"{said}{region}<table>{top}{''.join(body)}</table></div>"


def make_image_block(content: bytes, kind: str, alt: str, caption: str) -> str:
    """Embed an image file, such as one of the kind ``jpeg``, with its text alternative."""
    data = base64.b64encode(content).decode()
    picture = f'<img src="data:image/{kind};base64,{data}" alt="{escape(alt)}">'
    return f"<figure>{picture}<figcaption>{escape(caption)}</figcaption></figure>"
