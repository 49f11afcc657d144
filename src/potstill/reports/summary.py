"""The figures of a dataset in words and on the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from potstill.reports.dataset import RANGE
from potstill.reports.remarks import listed, percent
from potstill.reports.tables import _console

BLOCKS = " ▁▂▃▄▅▆▇█"
MOST_COLUMNS = 40  # on the terminal; the page shows all


def overview(figures: dict[str, Any]) -> list[tuple[str, str]]:
    """What is worth knowing of a dataset, as (name, sentence) pairs."""
    returns, lengths, ends = figures["returns"], figures["lengths"], figures["ends"]
    actions = figures["actions"]
    return [
        ("rows", f"{figures['rows']:,} transitions"),
        (
            "episodes",
            f"{figures['episodes']:,}, of {lengths['mean']:,.0f} rows on average, {lengths['min']:,.0f} to "
            f"{lengths['max']:,.0f}",
        ),
        ("sizes", f"{figures['state_size']} state components, {figures['action_size']} action components"),
        ("environment", _environment(figures["environment"])),
        (
            "action bounds",
            f"{_bounds(actions)}; {percent(actions['at_bounds_share'])} of the action values lie at a bound",
        ),
        (
            "returns",
            f"mean {formatted(returns['mean'])} ± {formatted(returns['std'])}, best {formatted(returns['max'])}",
        ),
        ("scores", _scores(figures["scores"], figures["env_id"])),
        (
            "ends",
            f"{percent(ends['termination_share'])} of the ends are terminations ({ends['terminations']:,}), "
            f"{percent(ends['truncation_share'])} time-outs or cuts ({ends['truncations']:,})",
        ),
        ("duplicated states", f"{percent(figures['duplicated_states'])} are copies of an earlier row's"),
        ("constant columns", listed([c["name"] for c in figures["columns"] if c["min"] == c["max"]]) or "none"),
        *_coverage(figures["coverage"], figures["state_size"]),
        ("normaliser", "a state is standardised as (s − mean) / (std + 0.001), by the columns' mean and std below"),
    ]


def _environment(environment: dict[str, Any]) -> str:
    if environment["declared"]:
        return f"{environment['declared']}, named by the data; the sizes agree"
    fits = environment["fits"]
    return f"none named; sizes and actions fit {', '.join(fits)}" if fits else "none named, and none known fits"


def _bounds(actions: dict[str, Any]) -> str:
    pairs = list(dict.fromkeys(zip(actions["low"], actions["high"], strict=True)))
    return ", ".join(f"[{low:g}, {high:g}]" for low, high in pairs)


def _scores(scores: dict[str, Any] | None, env_id: str | None) -> str:
    if scores is None:
        of = f"of {env_id}" if env_id else "without an environment"
        return (
            f"no reference returns are known {of}, so returns stay raw here; where there is an environment, `potstill "
            "distill` plays a random policy and the teacher, and calls them 0 and 100"
        )
    known = "not known" if scores["bc"] is None else f"{scores['bc']:.1f}"
    return (
        f"mean {scores['mean']:.1f}, best {scores['best']:.1f}, where 0 is a random policy "
        f"(return {formatted(scores['random_return'])}), 100 an expert ({formatted(scores['expert_return'])}), by "
        f"{scores['source']}; "
        f"behavioural cloning of all rows: {known}"
    )


def _coverage(coverage: dict[str, Any], size: int) -> list[tuple[str, str]]:
    near, middle, far = coverage["distances"]
    return [
        (
            "effective dimension",
            f"{coverage['components']} of {size}: that many principal components hold 95 % of the variance of "
            f"{coverage['states']:,} standardised states drawn at random",
        ),
        (
            "density",
            f"the distance of each to its neighbour number {coverage['neighbour']} is {near:.2f} where states are "
            f"dense (5th percentile), {middle:.2f} in the middle, {far:.2f} where they are rare (95th)",
        ),
        (
            "coverage",
            f"they fill {percent(coverage['cells_occupied'], 0)} of a 20 × 20 grid over the first two components, "
            f"which hold {percent(coverage['plane'], 0)} of the variance (2,000 normally distributed ones: some 88 %)",
        ),
    ]


def formatted(value: float | None) -> str:
    """Four significant digits, with separators: 3,314 or 0.001234.

    >>> formatted(3313.8), formatted(0.0012341), formatted(None)
    ('3,314', '0.001234', '–')
    """
    if value is None:
        return "–"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e7 else f"{value:.4g}"


def histogram_line(summary: dict[str, Any]) -> str:
    """A histogram as one line of blocks between its least and greatest value.

    >>> histogram_line({"min": 0.0, "max": 3.0, "histogram": {"counts": [8, 0, 1]}})
    '0 █ ▁ 3'
    """
    counts = summary["histogram"]["counts"]
    blocks = "".join(BLOCKS[-(-count * (len(BLOCKS) - 1) // max(counts))] for count in counts)
    return f"{formatted(summary['min'])} {blocks} {formatted(summary['max'])}"


def print_dataset(figures: dict[str, Any], warnings: list[str]) -> None:
    """Print what the page shows: warnings first, then the figures and the columns."""
    facts = _facts(overview(figures))
    for key in ("returns", "lengths"):
        facts.add_row(f"histogram of {key}", histogram_line(figures[key]))
    facts.add_row("sha256", figures["sha256"])
    notes = [Text(f"! {line}", style="yellow") for line in warnings] or [Text("no warnings")]
    _console().print(Group(Text(f"dataset: {figures['name']}", style="bold"), *notes, facts, columns_table(figures)))


def print_refused(figures: dict[str, Any]) -> None:
    """Print every fault of a dataset that its reader refuses, and the ranges of its columns."""
    faults = [Text(f"! {line}", style="red") for line in figures["faults"]]
    title = Text(f"refused dataset: {figures['name']}, {figures['rows']:,} rows", style="bold")
    _console().print(Group(title, *faults, columns_table(figures)))


def print_artefact(title: str, pairs: list[tuple[str, str]]) -> None:
    """Print the papers of a distillate, teacher or policy."""
    _console().print(Group(Text(title, style="bold"), _facts(pairs)))


def columns_table(figures: dict[str, Any]) -> Table:
    """The ranges of the first columns, and how many more there are."""
    names, rows = column_rows(figures)
    table = Table("column")
    for name in names:
        table.add_column(name, justify="right")
    for column, cells in rows[:MOST_COLUMNS]:
        table.add_row(Text(column), *cells)
    if len(rows) > MOST_COLUMNS:
        table.add_row(f"and {len(rows) - MOST_COLUMNS} more")
    return table


def column_rows(figures: dict[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, list[str]]]]:
    """The heads of a table of columns, and for each column its name and cells."""
    at_bounds = {f"actions[{i}]": share for i, share in enumerate(figures.get("actions", {}).get("at_bounds", []))}
    rows = []
    for column in figures["columns"]:
        name = column["name"]
        cells = [*(formatted(column[key]) for key in RANGE), f"{column['not_finite']:,}"]
        if at_bounds:
            cells.append(percent(at_bounds[name]) if name in at_bounds else "")
        rows.append((name, cells))
    return (*RANGE, "NaN or infinite", *(["at a bound"] if at_bounds else [])), rows


def _facts(pairs: list[tuple[str, str]]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in pairs:
        table.add_row(name, Text(value))
    return table


def flat(facts: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as (dotted name, text) pairs.

    >>> flat({"kind": "teacher", "seed": 3, "sizes": [1.5, 2], "config": {"rate": 0.123456}})
    [('seed', '3'), ('sizes', '1.5 2'), ('config.rate', '0.1235')]
    """
    rows = []
    for name, value in facts.items():
        if isinstance(value, dict):
            rows += flat(value, f"{prefix}{name}.")
        elif name != "kind":
            values = value if isinstance(value, list) else [value]
            rows.append((prefix + name, " ".join(f"{x:.4g}" if isinstance(x, float) else str(x) for x in values)))
    return rows
