"""Write ``inspect.html``: a self-contained page of statistics, without scripts or links."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from html import escape

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from potstill.reports.plots import BLUE, make_figure
from potstill.reports.schema import (
    ActionStatistics,
    ColumnRange,
    Coverage,
    DatasetStatistics,
    RefusedDataset,
    ValueSummary,
)
from potstill.reports.summary import flatten_facts, make_column_rows, make_overview

OPTION = re.compile(r"--[a-z][a-z-]+(?: (?:[\d.]*\d|scale|clip)\b)?")
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


def make_dataset_page(statistics: DatasetStatistics, warnings: Sequence[str]) -> str:
    """Make the page of a dataset: warnings first, then statistics, plots and the range of every column."""
    card = flatten_facts(statistics["card"])
    return _make_page(
        statistics["name"],
        f"dataset, {statistics['rows']:,} transitions",
        _format_notes(warnings, "notes") or '<p class="soft">No warnings.</p>',
        "<h2>Overview</h2>",
        _format_facts([*make_overview(statistics), ("sha256", statistics["sha256"])]),
        '<h2>Plots</h2><div class="plots">',
        *_draw_plots(statistics),
        "</div>",
        "<h2>Columns</h2>",
        _format_columns(statistics["columns"], statistics["actions"]["at_bounds"]),
        *(["<h2>Card</h2>", _format_facts(card)] if card else []),
    )


def make_refused_page(statistics: RefusedDataset) -> str:
    """Make the page of a dataset that its reader refuses: all faults, and the ranges of readable columns."""
    return _make_page(
        statistics["name"],
        f"refused dataset, {statistics['rows']:,} rows; potstill cannot use it until these faults are repaired",
        _format_notes(statistics["faults"], "notes faults"),
        "<h2>Columns of the file</h2>",
        _format_columns(statistics["columns"]),
    )


def make_artefact_page(title: str, kind: str, facts: Iterable[tuple[str, str]]) -> str:
    """Make the page of a distillate, teacher or policy, with its metadata."""
    return _make_page(title, kind, "<h2>Metadata</h2>", _format_facts(facts))


def _make_page(title: str, subtitle: str, *blocks: str) -> str:
    head = f"<title>{escape(title)} – potstill inspect</title><style>{STYLE}</style>"
    return "\n".join(
        [
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">{head}</head><body>',
            f'<h1>{escape(title)}</h1><p class="soft">{escape(subtitle)}</p>',
            *blocks,
            "<footer>Written by potstill inspect. All values are in result.json beside this page.</footer>",
            "</body></html>\n",
        ]
    )


def _format_notes(lines: Sequence[str], kind: str) -> str:
    return f'<ul class="{kind}">{"".join(f"<li>{_mark_options(line)}</li>" for line in lines)}</ul>' if lines else ""


def _mark_options(line: str) -> str:
    """Mark the command-line options in a line as code, in which lines do not break."""
    return OPTION.sub(r"<code>\g<0></code>", escape(line))


def _format_facts(facts: Iterable[tuple[str, str]]) -> str:
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts)
    return f"<table>{rows}</table>"


def _format_columns(columns: Sequence[ColumnRange], at_bounds: Sequence[float] = ()) -> str:
    names, rows = make_column_rows(columns, at_bounds)
    head = "".join(f'<th class="n">{name}</th>' for name in names)
    body = []
    for column, cells in rows:
        numbers = "".join(f'<td class="n">{cell}</td>' for cell in cells)
        body.append(f"<tr><td>{escape(column)}</td>{numbers}</tr>")
    return f'<div class="wide"><table><tr><th>column</th>{head}</tr>{"".join(body)}</table></div>'


def _draw_plots(statistics: DatasetStatistics) -> list[str]:
    return [
        _plot_histogram(statistics["returns"], "return of an episode", "Undiscounted sums of rewards."),
        _plot_histogram(statistics["lengths"], "rows of an episode", "A peak at the right end is the time limit."),
        _plot_states(statistics["coverage"]),
        _plot_actions(statistics["actions"]),
    ]


def _plot_histogram(summary: ValueSummary, label: str, caption: str) -> str:
    figure, axis = make_figure(height=3.0)
    counts, edges = summary["histogram"]["counts"], np.array(summary["histogram"]["edges"])
    axis.set_axisbelow(True)
    axis.bar(edges[:-1], counts, np.diff(edges), align="edge", color=BLUE)
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel=label, ylabel="episodes")
    return _to_svg(figure, caption)


def _plot_states(coverage: Coverage) -> str:
    figure, axis = make_figure(height=3.0)
    cells = np.array(coverage["cells"], np.float64).T
    image = axis.imshow(np.where(cells > 0, cells, np.nan), origin="lower", cmap="Blues", aspect="auto", vmin=0)
    axis.set(xticks=[], yticks=[], xlabel="first principal component", ylabel="second")
    axis.grid(visible=False)
    figure.colorbar(image, ax=axis, label="states")
    return _to_svg(figure, f"{coverage['states']:,} standardised states; white cells are empty.")


def _plot_actions(actions: ActionStatistics) -> str:
    figure, axis = make_figure(height=3.0)
    if "counts" in actions:
        axis.bar(range(len(actions["counts"])), actions["counts"], color=BLUE)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set(xlabel="number of the action", ylabel="rows")
        return _to_svg(figure, "How often each action was taken.")
    counts = np.array(actions["histograms"], np.float64)
    image = axis.imshow(100.0 * counts / counts.sum(axis=1, keepdims=True), cmap="Blues", aspect="auto", vmin=0)
    ticks = np.array([0, counts.shape[1] / 2, counts.shape[1]]) - 0.5
    axis.set_xticks(ticks, ["low", "middle", "high"])
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="action, between its bounds", ylabel="component")
    axis.grid(visible=False)
    figure.colorbar(image, ax=axis, label="% of rows")
    return _to_svg(figure, "Each row is one action component.")


def _to_svg(figure: Figure, caption: str) -> str:
    """Return a figure as inline SVG. Text stays text, and equal figures give equal bytes."""
    drawing = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "potstill"}):
        figure.savefig(drawing, format="svg", metadata={"Date": None, "Creator": None})
    text = drawing.getvalue()
    return f"<figure>{text[text.index('<svg') :]}<figcaption>{escape(caption)}</figcaption></figure>"
