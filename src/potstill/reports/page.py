"""Write ``inspect.html``: a self-contained page of statistics, without scripts or links."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from potstill.reports.drawing import BLUE, draw_cells, drawing, make_figure_block
from potstill.reports.markup import format_facts, format_notes, format_paragraph, format_table, make_page
from potstill.reports.plots import make_figure
from potstill.reports.schema import (
    ActionStatistics,
    ColumnRange,
    Coverage,
    DatasetStatistics,
    RefusedDataset,
    ValueSummary,
)
from potstill.reports.summary import flatten_facts, make_column_rows, make_overview


def make_dataset_page(statistics: DatasetStatistics, warnings: Sequence[str]) -> str:
    """Make the page of a dataset: warnings first, then statistics, plots and the range of every column."""
    card = flatten_facts(statistics["card"])
    return _make_page(
        statistics["name"],
        f"dataset, {statistics['rows']:,} transitions",
        format_notes(warnings) or format_paragraph("No warnings.", "soft"),
        "<h2>Overview</h2>",
        format_facts([*make_overview(statistics), ("sha256", statistics["sha256"])]),
        '<h2>Plots</h2><div class="plots">',
        *_draw_plots(statistics),
        "</div>",
        "<h2>Columns</h2>",
        _format_columns(statistics["columns"], statistics["actions"]["at_bounds"]),
        *(["<h2>Card</h2>", format_facts(card)] if card else []),
    )


def make_refused_page(statistics: RefusedDataset) -> str:
    """Make the page of a dataset that its reader refuses: all faults, and the ranges of readable columns."""
    return _make_page(
        statistics["name"],
        f"refused dataset, {statistics['rows']:,} rows; potstill cannot use it until these faults are repaired",
        format_notes(statistics["faults"], "notes faults"),
        "<h2>Columns of the file</h2>",
        _format_columns(statistics["columns"]),
    )


def make_artefact_page(title: str, kind: str, facts: Iterable[tuple[str, str]]) -> str:
    """Make the page of a distillate, teacher or policy, with its metadata."""
    return _make_page(title, kind, "<h2>Metadata</h2>", format_facts(facts))


def _make_page(title: str, subtitle: str, *blocks: str) -> str:
    return make_page(title, subtitle, "inspect", blocks)


def _format_columns(columns: Sequence[ColumnRange], at_bounds: Sequence[float] = ()) -> str:
    names, rows = make_column_rows(columns, at_bounds)
    return format_table(["column", *names], [(column, *cells) for column, cells in rows])


def _draw_plots(statistics: DatasetStatistics) -> list[str]:
    with drawing():
        return [
            _plot_histogram("returns", statistics["returns"], "return of an episode", "Undiscounted sums of rewards."),
            _plot_histogram(
                "lengths", statistics["lengths"], "rows of an episode", "A peak at the right end is the time limit."
            ),
            _plot_states(statistics["coverage"]),
            _plot_actions(statistics["actions"]),
        ]


def _plot_histogram(name: str, summary: ValueSummary, label: str, caption: str) -> str:
    figure, axis = make_figure(height=3.0)
    counts, edges = summary["histogram"]["counts"], np.array(summary["histogram"]["edges"])
    axis.set_axisbelow(True)
    axis.bar(edges[:-1], counts, np.diff(edges), align="edge", color=BLUE)
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel=label, ylabel="episodes")
    least, middle, most = (summary[key] for key in ("min", "median", "max"))
    spread = f"from {least:.4g} to {most:.4g}, with the median {middle:.4g}"
    return make_figure_block(figure, name, f"Histogram: {label}, {spread}.", caption)


def _plot_states(coverage: Coverage) -> str:
    figure, axis = make_figure(height=3.0)
    cells = np.array(coverage["cells"], np.float64).T
    draw_cells(axis, cells, (0.0, float(cells.shape[1]), 0.0, float(cells.shape[0])))
    axis.set(xticks=[], yticks=[], xlabel="first principal component", ylabel="second principal component")
    caption = (
        f"{coverage['states']:,} standardised states. The fullest cell has {cells.max():,.0f}; empty ones are clear."
    )
    occupied = f"{100 * coverage['cells_occupied']:.0f} % of the cells have a state"
    return make_figure_block(figure, "states", f"Map of the states in two principal components: {occupied}.", caption)


def _plot_actions(actions: ActionStatistics) -> str:
    figure, axis = make_figure(height=3.0)
    if "counts" in actions:
        axis.bar(range(len(actions["counts"])), actions["counts"], color=BLUE)
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.set(xlabel="number of the action", ylabel="rows")
        said = ", ".join(f"{number}: {count:,}" for number, count in enumerate(actions["counts"][:20]))
        return make_figure_block(
            figure, "actions", f"Rows with each action: {said}.", "How often each action was taken."
        )
    counts = np.array(actions["histograms"], np.float64)
    shares = 100.0 * counts / counts.sum(axis=1, keepdims=True)
    draw_cells(axis, shares, (0.0, 1.0, -0.5, len(shares) - 0.5))
    axis.set_xticks([0.0, 0.5, 1.0], ["low", "middle", "high"])
    axis.yaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="action, between its bounds", ylabel="component")
    axis.invert_yaxis()
    most = f"The fullest cell has {shares.max():.0f} % of the rows."
    alt = f"Map: where the actions lie between their bounds, for {len(shares)} components. {most}"
    return make_figure_block(figure, "actions", alt, f"Each line is one action component. {most}")
