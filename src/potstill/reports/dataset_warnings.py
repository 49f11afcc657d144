"""Warnings about a dataset, from its statistics, as sentences."""

from __future__ import annotations

from potstill.data.transitions import SCALE_FLOOR
from potstill.reports.schema import ActionStatistics, ColumnRange, DatasetStatistics
from potstill.reports.text import format_percent, join_names

FEW_EPISODES = 10
MANY_COPIES = 0.1  # share of the states
MANY_AT_BOUNDS = 0.5  # share of one component's actions
SMALL_SPAN = 0.25  # share of the width between the bounds
LARGE_STATE = 1e4


def find_dataset_warnings(statistics: DatasetStatistics) -> list[str]:
    """List the properties of a dataset that a user should know before training, one sentence each.

    Args:
        statistics: from :func:`~potstill.reports.dataset.summarise_dataset`.
    """
    rows, examined = statistics["rows"], statistics["looked_at"]
    sampled = f"columns, actions and coverage are those of {examined:,} of {rows:,} rows: random whole episodes"
    return [
        *([sampled] if examined < rows else []),
        *_find_environment_warnings(statistics),
        *_find_constant_columns(statistics["columns"]),
        *_find_large_states(statistics["columns"]),
        *_find_reward_warnings(statistics["columns"]),
        *_find_action_warnings(statistics["actions"]),
        *_find_episode_warnings(statistics),
    ]


def _find_environment_warnings(statistics: DatasetStatistics) -> list[str]:
    if statistics["env_id"] is not None:
        return []
    fits = statistics["environment"]["fits"]
    guess = f"sizes and actions match {', '.join(fits)}" if fits else "sizes and actions match no MuJoCo environment"
    assumed = {
        "nobody": ", and the action bounds are assumed to be [-1, 1]",
        "data": ", and the action bounds are the range of the data",
    }.get(str(statistics["card"].get("action_bounds")), "")
    return [f"the data do not name an environment (env_id): students cannot be scored by returns{assumed}; {guess}"]


def _find_constant_columns(columns: list[ColumnRange]) -> list[str]:
    """Warn of components that are constant or almost constant."""
    found = []
    components = [column for column in columns if column["name"] != "rewards"]
    constant = [column["name"] for column in components if column["min"] == column["max"]]
    if constant:
        found.append(
            f"constant columns, {join_names(constant)}: a policy learns nothing from them, and standardisation "
            f"multiplies any later deviation by {1 / SCALE_FLOOR:,.0f}"
        )
    small = [
        column["name"]
        for column in components
        if column["name"].startswith("observations")
        and column["min"] != column["max"]
        and column["std"] is not None
        and column["std"] < SCALE_FLOOR
    ]
    if small:
        found.append(
            f"almost constant columns, {join_names(small)}: their standard deviation is below {SCALE_FLOOR:g}, which "
            "standardisation adds to it, so policies hardly react to them; use a smaller unit"
        )
    return found


def _find_large_states(columns: list[ColumnRange]) -> list[str]:
    found = []
    for column in columns:
        low, high, std = column["min"], column["max"], column["std"]
        if not column["name"].startswith("observations") or low is None or high is None or std is None:
            continue
        largest = max(abs(low), abs(high))
        if largest > LARGE_STATE:
            found.append(
                f"{column['name']} reaches {largest:.3g} (standard deviation {std:.3g}): possibly an outlier, an "
                "unbounded position, or a sensor with a small unit"
            )
    return found


def _find_reward_warnings(columns: list[ColumnRange]) -> list[str]:
    reward = next((column for column in columns if column["name"] == "rewards"), None)
    if reward is None or reward["min"] is None or reward["min"] != reward["max"]:
        return []
    why = "returns differ only by the length of the episodes" if reward["min"] else "only behavioural cloning is useful"
    return [f"every reward is {reward['min']:g}: {why}"]


def _find_action_warnings(actions: ActionStatistics) -> list[str]:
    found = []
    for index, share in enumerate(actions["at_bounds"]):
        if share > MANY_AT_BOUNDS:
            found.append(
                f"{format_percent(share, 0)} of actions[{index}] lie at a bound: either the policy switches between "
                "extremes, or actions were clipped; the tanh of a student approaches a bound but never reaches it"
            )
    narrow = [index for index, span in enumerate(actions["spans"]) if 0 < span < SMALL_SPAN]
    if narrow:
        spans = ", ".join(dict.fromkeys(format_percent(actions["spans"][index]) for index in narrow))
        found.append(
            f"{join_names([f'actions[{index}]' for index in narrow])} use {spans} of the width between their bounds: "
            "check that they are in the unit of the bounds; if not, state other bounds or scale the actions"
        )
    return found


def _find_episode_warnings(statistics: DatasetStatistics) -> list[str]:
    found = []
    ends, episodes = statistics["ends"], statistics["episodes"]
    if statistics["duplicated_states"] > MANY_COPIES:
        found.append(
            f"{format_percent(statistics['duplicated_states'], 0)} of the states are exact copies of earlier states: "
            "either rows are repeated, or sensors do not change"
        )
    if ends["terminations"] + ends["truncations"] <= 1 and not ends["terminations"]:
        found.append(
            f"no row is marked as the end of an episode, so all {statistics['rows']:,} rows count as one episode; mark "
            "ends by the environment's rule as terminals, and all other ends as timeouts"
        )
    elif episodes < FEW_EPISODES:
        found.append(f"only {episodes} episodes: they cover few initial states and few trajectories")
    return found
