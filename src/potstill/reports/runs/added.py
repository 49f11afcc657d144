"""The parts of the page that come from ``potstill explain`` and ``potstill audit``."""

from __future__ import annotations

from potstill.evaluation.statistics import Result
from potstill.reports.audit import HEADS, SETS, describe_audit, draw_attacks, draw_distances, list_attack_rows
from potstill.reports.drawing import drawing, make_figure_block
from potstill.reports.explanation import (
    COLUMNS,
    describe_explanation,
    draw_influence,
    draw_map,
    list_feature_rows,
    list_pair_rows,
)
from potstill.reports.markup import format_list, format_paragraph, format_table
from potstill.reports.plots import make_figure

TOP = 10
CAPTIONS = {
    "plane": "Principal components of held-out rows (blue; darker cells have more), and the pairs.",
    "neighbours": "Neighbour embedding (Laplacian eigenmaps, ranks): near points are near in the space of states.",
}


def describe_added_explanation(result: Result, name: str, *, pictures: bool) -> list[str]:
    """Make the blocks about an explanation: sentences, tables, maps and the influence of pairs."""
    influence = result["influence"]
    how = (
        f"Each pair was left out by {influence['solver']} ({influence['method']}), in {result['states']:,} held-out "
        f"states; neighbours are among {result['rows']:,} rows."
    )
    heads = ("feature", "pairs (mean)", "rows (mean)", "share", "95 % interval")
    caption = (
        "Pairs against held-out rows. Share: of all (pair, row), how often the pair has more; 0.5 is no difference."
    )
    blocks = ["<h3>Which states were distilled, and which pairs matter</h3>", format_list(describe_explanation(result))]
    blocks += [format_paragraph(how, "soft"), format_table(heads, list_feature_rows(result), caption)]
    blocks.append(format_table(COLUMNS, list_pair_rows(result, TOP), "Pairs without which actions change most."))
    if pictures:
        drawn = [_draw_map(result, kind, f"{name}-{kind}") for kind in result["maps"]]
        blocks += ['<div class="plots">', *drawn, _draw_influence(result, f"{name}-influence"), "</div>"]
    return blocks


def _draw_map(result: Result, kind: str, name: str) -> str:
    with drawing():
        figure, axis = make_figure(height=3.5, width=5.0)
        draw_map(axis, result, kind)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    alt = f"Map of {result['pairs']} pairs over held-out rows, {kind}."
    return make_figure_block(figure, name, alt, CAPTIONS[kind])


def _draw_influence(result: Result, name: str) -> str:
    with drawing():
        figure, axis = make_figure(height=3.5, width=5.0)
        draw_influence(axis, result)
    half, pairs = result["influence"]["half"], result["pairs"]
    alt = f"Curve: the pairs that matter most make half of all changes of actions with {half} of {pairs} pairs."
    return make_figure_block(figure, name, alt, "How much the actions change without each pair, summed up.")


def describe_added_audit(result: Result, name: str, *, pictures: bool) -> list[str]:
    """Make the blocks about an audit: sentences, what it does not show, tables, distances and curves."""
    blocks = ["<h3>What the pairs reveal about episodes</h3>", format_list(describe_audit(result))]
    blocks += [format_paragraph("What this does not show:"), format_list(map(str, result["limits"]))]
    for kind, label in SETS.items():
        if result.get(kind):
            caption = f"Membership inference, {label}. Advantage: true minus false-positive rate; 0 is guessing."
            blocks.append(format_table(HEADS, list_attack_rows(result[kind]), caption))
    if pictures:
        blocks += ['<div class="plots">', _draw_distances(result, name), _draw_attacks(result, name), "</div>"]
    return blocks


def _draw_distances(result: Result, name: str) -> str:
    with drawing():
        figure, axis = make_figure(height=3.3, width=5.0)
        draw_distances(axis, result)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    found = result["distances"]
    alt = f"Histograms of distances: median {found['pairs_median']:.3g} of pairs, {found['rows_median']:.3g} of rows."
    caption = "Distances to the nearest real row. Bars overlap."
    return make_figure_block(figure, f"{name}-distances", alt, caption)


def _draw_attacks(result: Result, name: str) -> str:
    with drawing():
        figure, axis = make_figure(height=3.3, width=5.0)
        draw_attacks(axis, result)
        figure.legend(loc="outside lower center", ncols=2, frameon=False)
    areas = ", ".join(f"{kind} {found['auc']:.2f}" for kind, found in result["membership"].items())
    alt = f"Curves of membership inference. Areas under the curves: {areas}; guessing has 0.50."
    return make_figure_block(figure, f"{name}-attacks", alt, "Membership inference for episodes of the data.")
