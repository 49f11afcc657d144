"""``inspect.html``: figures as a page that needs nothing but itself, without scripts and without a network."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

from potstill.reports.plots import BLUE, new_figure
from potstill.reports.summary import column_rows, flat, overview

OPTION = re.compile(r"--[a-z][a-z-]+(?: [\d.]*\d)?")
STYLE = """
:root { --ink: #24292f; --soft: #6b7280; --line: #e5e7eb; --blue: #2f6db3; --amber: #fff7e6; --red: #fdecea }
body { margin: 0 auto; max-width: 66rem; padding: 2.5rem 1.5rem; color: var(--ink); background: #fff;
       font: 15px/1.55 system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif }
h1 { font-size: 1.7rem; font-weight: 600; margin: 0 }
h2 { font-size: 1.1rem; font-weight: 600; margin: 2.4rem 0 .6rem }
p.soft, figcaption, footer { color: var(--soft); margin: .2rem 0 0 }
ul.notes { list-style: none; margin: 1.4rem 0 0; padding: 0 }
ul.notes li { background: var(--amber); border-left: 4px solid #e0a030; margin: .45rem 0; padding: .5rem .9rem }
ul.faults li { background: var(--red); border-color: #c0392b }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
th, td { border-bottom: 1px solid var(--line); padding: .32rem .7rem .32rem 0; text-align: left; vertical-align: top }
th { color: var(--soft); font-weight: 500; white-space: nowrap }
td.n, th.n { text-align: right }
td { overflow-wrap: anywhere }
code { white-space: nowrap }
.wide { overflow-x: auto }
.wide td { white-space: nowrap }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1.4rem 2rem }
figure { margin: 0 }
svg { width: 100%; height: auto }
figcaption { font-size: .87rem }
footer { border-top: 1px solid var(--line); font-size: .87rem; margin-top: 2.5rem; padding-top: .8rem }
"""


def dataset_page(figures: dict[str, Any], warnings: Sequence[str]) -> str:
    """The page of a dataset: warnings first, then figures, plots and the range of every column."""
    card = flat(figures["card"])
    return _page(
        figures["name"],
        f"dataset, {figures['rows']:,} transitions",
        _notes(warnings, "notes") or '<p class="soft">No warnings.</p>',
        "<h2>At a glance</h2>",
        _pairs([*overview(figures), ("sha256", figures["sha256"])]),
        '<h2>Pictures</h2><div class="plots">',
        *_plots(figures),
        "</div>",
        "<h2>Columns</h2>",
        _columns(figures),
        *(["<h2>Card</h2>", _pairs(card)] if card else []),
    )


def refused_page(figures: dict[str, Any]) -> str:
    """The page of a dataset that its reader refuses: every fault, and the range of what could be read."""
    return _page(
        figures["name"],
        f"refused dataset, {figures['rows']:,} rows: nothing can be trained on it until these faults are mended",
        _notes(figures["faults"], "notes faults"),
        "<h2>Columns as they are in the file</h2>",
        _columns(figures),
    )


def artefact_page(title: str, kind: str, pairs: Iterable[tuple[str, str]]) -> str:
    """The page of a distillate, teacher or policy: its papers."""
    return _page(title, kind, "<h2>Papers</h2>", _pairs(pairs))


def _page(title: str, subtitle: str, *blocks: str) -> str:
    head = f"<title>{escape(title)} – potstill inspect</title><style>{STYLE}</style>"
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">{head}</head><body>',
            f'<h1>{escape(title)}</h1><p class="soft">{escape(subtitle)}</p>',
            *blocks,
            "<footer>potstill inspect. Every figure is in result.json beside this page.</footer></body></html>\n",
        ]
    )


def _notes(lines: Sequence[str], kind: str) -> str:
    return f'<ul class="{kind}">{"".join(f"<li>{_marked(line)}</li>" for line in lines)}</ul>' if lines else ""


def _marked(line: str) -> str:
    """A line with its options as code, which no line break divides."""
    return OPTION.sub(r"<code>\g<0></code>", escape(line))


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in pairs)
    return f"<table>{rows}</table>"


def _columns(figures: dict[str, Any]) -> str:
    names, rows = column_rows(figures)
    head = "".join(f'<th class="n">{name}</th>' for name in names)
    body = []
    for column, cells in rows:
        numbers = "".join(f'<td class="n">{cell}</td>' for cell in cells)
        body.append(f"<tr><td>{escape(column)}</td>{numbers}</tr>")
    return f'<div class="wide"><table><tr><th>column</th>{head}</tr>{"".join(body)}</table></div>'


def _plots(figures: dict[str, Any]) -> list[str]:
    return [
        _histogram(figures["returns"], "return of an episode", "Undiscounted sums of rewards."),
        _histogram(figures["lengths"], "rows of an episode", "A pile at the right end is the time limit."),
        _states(figures["coverage"]),
        _actions(figures["actions"]),
    ]


def _histogram(summary: dict[str, Any], label: str, caption: str) -> str:
    figure, axis = new_figure(height=3.0)
    counts, edges = summary["histogram"]["counts"], np.array(summary["histogram"]["edges"])
    axis.set_axisbelow(True)
    axis.bar(edges[:-1], counts, np.diff(edges), align="edge", color=BLUE)
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel=label, ylabel="episodes")
    return _drawn(figure, caption)


def _states(coverage: dict[str, Any]) -> str:
    figure, axis = new_figure(height=3.0)
    cells = np.array(coverage["cells"], np.float64).T
    image = axis.imshow(np.where(cells > 0, cells, np.nan), origin="lower", cmap="Blues", aspect="auto", vmin=0)
    axis.set(xticks=[], yticks=[], xlabel="first principal component", ylabel="second")
    axis.grid(visible=False)
    figure.colorbar(image, ax=axis, label="states")
    return _drawn(figure, f"{coverage['states']:,} standardised states; white cells hold none of them.")


def _actions(actions: dict[str, Any]) -> str:
    figure, axis = new_figure(height=3.0)
    counts = np.array(actions["histograms"], np.float64)
    image = axis.imshow(100.0 * counts / counts.sum(axis=1, keepdims=True), cmap="Blues", aspect="auto", vmin=0)
    ticks = np.array([0, counts.shape[1] / 2, counts.shape[1]]) - 0.5
    axis.set_xticks(ticks, ["lowest", "middle", "highest"])
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="action, between its bounds", ylabel="component")
    axis.grid(visible=False)
    figure.colorbar(image, ax=axis, label="% of rows")
    return _drawn(figure, "Each row is one action component.")


def _drawn(figure: Any, caption: str) -> str:
    """A figure as inline SVG with its text as text, the same bytes every time."""
    import matplotlib
    import matplotlib.pyplot as plt

    drawing = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "potstill"}):
        figure.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)
    text = drawing.getvalue()
    return f"<figure>{text[text.index('<svg') :]}<figcaption>{escape(caption)}</figcaption></figure>"
