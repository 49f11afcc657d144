"""Describe the statistics of a dataset in sentences, and print them on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from potstill.environments.observations.rule import ENTRY, read_rule
from potstill.reports.dataset import RANGE
from potstill.reports.schema import (
    ActionStatistics,
    ColumnRange,
    Coverage,
    DatasetScores,
    DatasetStatistics,
    EnvironmentMatch,
    RefusedDataset,
    ValueSummary,
)
from potstill.reports.text import format_number, format_percent, join_names, make_console
from potstill.runtime.files import JsonObject

BLOCKS = " ▁▂▃▄▅▆▇█"
MOST_FACTORS = 4  # that are listed
MAX_COLUMNS = 40  # columns that are printed on the terminal; the page has all of them


def make_overview(statistics: DatasetStatistics) -> list[tuple[str, str]]:
    """Return the main statistics of a dataset as (name, sentence) pairs."""
    returns, lengths, ends = statistics["returns"], statistics["lengths"], statistics["ends"]
    actions, columns = statistics["actions"], statistics["columns"]
    return [
        ("rows", f"{statistics['rows']:,} transitions"),
        (
            "episodes",
            f"{statistics['episodes']:,} with {lengths['mean']:,.0f} rows on average ({lengths['min']:,.0f} to "
            f"{lengths['max']:,.0f})",
        ),
        (
            "sizes",
            f"{statistics['state_size']} state components, {statistics['action_size']} "
            + ("discrete actions" if "counts" in actions else "action components"),
        ),
        *_describe_rule(statistics["card"]),
        ("environment", _describe_environment(statistics["environment"])),
        _describe_actions(statistics),
        (
            "returns",
            f"mean {format_number(returns['mean'])} ± {format_number(returns['std'])}, "
            f"best {format_number(returns['max'])}",
        ),
        ("scores", _describe_scores(statistics["scores"], statistics["env_id"])),
        (
            "ends",
            f"{format_percent(ends['termination_share'])} terminations ({ends['terminations']:,}), "
            f"{format_percent(ends['truncation_share'])} truncations ({ends['truncations']:,})",
        ),
        ("duplicated states", f"{format_percent(statistics['duplicated_states'])} are exact copies of earlier states"),
        ("constant columns", join_names([c["name"] for c in columns if c["min"] == c["max"]]) or "none"),
        *_describe_coverage(statistics["coverage"], statistics["state_size"]),
        ("normaliser", "states are standardised as (s − mean) / (std + 0.001), with the means and stds of the columns"),
    ]


def _describe_rule(card: JsonObject) -> list[tuple[str, str]]:
    """Describe what the states are made of, if observations are not vectors."""
    rule = read_rule(card.get(ENTRY))
    return [] if rule is None else [("states", rule.describe())]


def _describe_environment(environment: EnvironmentMatch) -> str:
    if environment["declared"]:
        return f"{environment['declared']}, named in the data; the sizes match"
    fits = environment["fits"]
    if not fits:
        return "not named in the data; sizes and actions match no known environment"
    return f"not named in the data; sizes and actions match {', '.join(fits)}"


STATED_BY = {
    "options": ", stated by the options",
    "file": ", stated in the file",
    "environment": ", those of the environment",
    "data": ", the range of the data",
    "nobody": ", assumed",
}
"""The description of each source of action bounds."""


def _describe_actions(statistics: DatasetStatistics) -> tuple[str, str]:
    """Describe the action bounds, or the shares of the rows with each discrete action."""
    actions, card = statistics["actions"], statistics["card"]
    if "counts" in actions:
        total = max(1, sum(actions["counts"]))
        shares = [f"{number} in {format_percent(count / total)}" for number, count in enumerate(actions["counts"])]
        return ("discrete actions", f"{', '.join(shares)} of the rows")
    return (
        "action bounds",
        f"{_describe_bounds(actions)}{STATED_BY.get(str(card.get('action_bounds')), '')}; "
        f"{format_percent(actions['at_bounds_share'])} of the action values lie at a bound{_describe_changes(card)}",
    )


def _describe_changes(card: Mapping[str, object]) -> str:
    """Describe how logged actions were brought inside their bounds."""
    factors = card.get("action_scale")
    shown = [f"{factor:g}" for factor in (factors if isinstance(factors, list) else [factors]) if factor is not None]
    more = ", …" if len(shown) > MOST_FACTORS else ""
    scaled = f"; the logged actions were multiplied by {', '.join(shown[:MOST_FACTORS])}{more}" if shown else ""
    return scaled + ("; those outside were clipped to the nearest bound" if "actions_outside" in card else "")


def _describe_bounds(actions: ActionStatistics) -> str:
    pairs = list(dict.fromkeys(zip(actions["low"], actions["high"], strict=True)))
    return ", ".join(f"[{low:g}, {high:g}]" for low, high in pairs)


def _describe_scores(scores: DatasetScores | None, env_id: str | None) -> str:
    if scores is None:
        where = f"for {env_id}" if env_id else "without an environment"
        return (
            f"no reference returns are known {where}, so returns are not normalised here; if there is an environment, "
            "`potstill distill` rolls out a random policy and the teacher, and uses their returns as 0 and 100"
        )
    cloning = "not known" if scores["bc"] is None else f"{scores['bc']:.1f}"
    return (
        f"mean {scores['mean']:.1f}, best {scores['best']:.1f}; 0 is a random policy "
        f"(return {format_number(scores['random_return'])}), 100 an expert ({format_number(scores['expert_return'])}), "
        f"according to {scores['source']}; behavioural cloning of the whole dataset: {cloning}"
    )


def _describe_coverage(coverage: Coverage, size: int) -> list[tuple[str, str]]:
    near, middle, far = coverage["distances"]
    return [
        (
            "effective dimension",
            f"{coverage['components']} of {size} principal components explain 95 % of the variance of "
            f"{coverage['states']:,} random standardised states",
        ),
        (
            "density",
            f"distance of a state to its {_format_ordinal(coverage['neighbour'])} nearest neighbour: {near:.2f} (5th "
            f"percentile, dense), {middle:.2f} (median), {far:.2f} (95th percentile, sparse)",
        ),
        (
            "coverage",
            f"the states occupy {format_percent(coverage['cells_occupied'], 0)} of a 20 × 20 grid over the first two "
            f"principal components, which explain {format_percent(coverage['plane'], 0)} of the variance (2,000 "
            "normally distributed states occupy about 88 %)",
        ),
    ]


def _format_ordinal(number: int) -> str:
    """Write a number up to 20 as an ordinal: 10th, 1st.

    >>> [_format_ordinal(n) for n in (0, 1, 2, 3, 10)]
    ['0th', '1st', '2nd', '3rd', '10th']
    """
    return str(number) + {1: "st", 2: "nd", 3: "rd"}.get(number, "th")


def draw_histogram_line(summary: ValueSummary) -> str:
    """Draw a histogram as one line of blocks between the minimum and the maximum.

    >>> draw_histogram_line({"min": 0.0, "max": 3.0, "histogram": {"counts": [8, 0, 1]}})
    '0 █ ▁ 3'
    """
    counts = summary["histogram"]["counts"]
    blocks = "".join(BLOCKS[-(-count * (len(BLOCKS) - 1) // max(counts))] for count in counts)
    return f"{format_number(summary['min'])} {blocks} {format_number(summary['max'])}"


def print_dataset(statistics: DatasetStatistics, warnings: list[str]) -> None:
    """Print the content of the page: warnings first, then the statistics and the columns."""
    facts = _make_facts_table(make_overview(statistics))
    facts.add_row("histogram of returns", draw_histogram_line(statistics["returns"]))
    facts.add_row("histogram of lengths", draw_histogram_line(statistics["lengths"]))
    facts.add_row("sha256", statistics["sha256"])
    notes = [Text(f"! {line}", style="yellow") for line in warnings] or [Text("no warnings")]
    title = Text(f"dataset: {statistics['name']}", style="bold")
    make_console().print(
        Group(title, *notes, facts, make_columns_table(statistics["columns"], statistics["actions"]["at_bounds"]))
    )


def print_refused(statistics: RefusedDataset) -> None:
    """Print all faults of a dataset that its reader refuses, and the ranges of its columns."""
    faults = [Text(f"! {line}", style="red") for line in statistics["faults"]]
    title = Text(f"refused dataset: {statistics['name']}, {statistics['rows']:,} rows", style="bold")
    make_console().print(Group(title, *faults, make_columns_table(statistics["columns"])))


def print_artefact(title: str, facts: list[tuple[str, str]]) -> None:
    """Print the metadata of a distillate, teacher or policy."""
    make_console().print(Group(Text(title, style="bold"), _make_facts_table(facts)))


def make_columns_table(columns: Sequence[ColumnRange], at_bounds: Sequence[float] = ()) -> Table:
    """Make a table of the first columns, with the number of omitted ones. See :func:`make_column_rows`."""
    names, rows = make_column_rows(columns, at_bounds)
    table = Table("column")
    for name in names:
        table.add_column(name, justify="right")
    for column, cells in rows[:MAX_COLUMNS]:
        table.add_row(Text(column), *cells)
    if len(rows) > MAX_COLUMNS:
        table.add_row(f"and {len(rows) - MAX_COLUMNS} more")
    return table


def make_column_rows(
    columns: Sequence[ColumnRange], at_bounds: Sequence[float] = ()
) -> tuple[tuple[str, ...], list[tuple[str, list[str]]]]:
    """Return the header of a table of columns; and for each column, its name and its cells.

    Args:
        columns: the ranges of the columns.
        at_bounds: for each action component, the share of values at a bound. If it is empty, the table has no such
            cells.
    """
    shares = {f"actions[{index}]": format_percent(share) for index, share in enumerate(at_bounds)}
    rows = []
    for column in columns:
        cells = [*(format_number(column[key]) for key in RANGE), f"{column['not_finite']:,}"]
        rows.append((column["name"], [*cells, shares.get(column["name"], "")] if shares else cells))
    return (*RANGE, "NaN or infinite", *(["at a bound"] if shares else [])), rows


def _make_facts_table(facts: list[tuple[str, str]]) -> Table:
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, Text(value))
    return table


def flatten_facts(facts: Mapping[str, object], prefix: str = "") -> list[tuple[str, str]]:
    """Flatten nested facts to (dotted name, text) pairs.

    >>> flatten_facts({"kind": "teacher", "seed": 3, "sizes": [1.5, 2], "config": {"rate": 0.123456}})
    [('seed', '3'), ('sizes', '1.5 2'), ('config.rate', '0.1235')]
    """
    rows = []
    for name, value in facts.items():
        if isinstance(value, Mapping):
            rows += flatten_facts(value, f"{prefix}{name}.")
        elif name != "kind":
            values = value if isinstance(value, list) else [value]
            rows.append((prefix + name, " ".join(f"{x:.4g}" if isinstance(x, float) else str(x) for x in values)))
    return rows
