"""What is odd about a dataset, in plain words."""

from __future__ import annotations

from typing import Any

from potstill.data.transitions import SCALE_FLOOR

FEW_EPISODES = 10
MANY_COPIES = 0.1  # of the states
MANY_AT_BOUNDS = 0.5  # of one component's actions
SMALL_SPAN = 0.25  # of the width between the bounds
LARGE_STATE = 1e4


def warnings_of(figures: dict[str, Any]) -> list[str]:
    """What a reader should know before trusting a dataset, a sentence each.

    Args:
        figures: what :func:`~potstill.reports.dataset.figures_of` found.
    """
    rows, seen = figures["rows"], figures["looked_at"]
    part = [f"columns, actions and coverage are those of {seen:,} of the {rows:,} rows: whole episodes drawn at random"]
    return [
        *(part if seen < rows else []),
        *_environment_warnings(figures),
        *_column_warnings(figures["columns"]),
        *_action_warnings(figures["actions"]),
        *_episode_warnings(figures),
    ]


def _environment_warnings(figures: dict[str, Any]) -> list[str]:
    if figures["env_id"] is not None:
        return []
    fits = figures["environment"]["fits"]
    guess = f"sizes and actions fit {', '.join(fits)}" if fits else "sizes and actions fit no MuJoCo environment"
    return [
        "the data name no environment (attribute env_id): students cannot be played, and actions are taken to lie in "
        f"[-1, 1]; {guess}"
    ]


def _column_warnings(columns: list[dict[str, Any]]) -> list[str]:
    """Of constant, hardly varying and very large components, and of rewards that are all equal."""
    found = []
    parts = [c for c in columns if c["name"] != "rewards"]
    states = [c for c in parts if c["name"].startswith("observations")]
    constant = [c["name"] for c in parts if c["min"] == c["max"]]
    if constant:
        found.append(
            f"constant columns, {listed(constant)}: they tell a policy nothing, and a state that differs there later "
            f"is magnified {1 / SCALE_FLOOR:,.0f} times by standardisation"
        )
    small = [c["name"] for c in states if c["min"] < c["max"] and c["std"] < SCALE_FLOOR]
    if small:
        found.append(
            f"hardly varying columns, {listed(small)}: their standard deviation is below the {SCALE_FLOOR:g} that "
            "standardisation adds, so policies all but ignore them; give them a smaller unit"
        )
    for column in states:
        largest = max(abs(column["min"]), abs(column["max"]))
        if largest > LARGE_STATE:
            found.append(
                f"{column['name']} reaches {largest:.3g} (standard deviation {column['std']:.3g}): an outlier, a "
                "position that grows without end, or a sensor in a small unit"
            )
    reward = next((c for c in columns if c["name"] == "rewards"), None)
    if reward and reward["min"] == reward["max"]:
        why = (
            "returns differ by the length of an episode alone" if reward["min"] else "only cloning can learn from them"
        )
        found.append(f"every reward is {reward['min']:g}: {why}")
    return found


def _action_warnings(actions: dict[str, Any]) -> list[str]:
    found = []
    for index, share in enumerate(actions["at_bounds"]):
        if share > MANY_AT_BOUNDS:
            found.append(
                f"{percent(share, 0)} of actions[{index}] lie at a bound: a policy that switches between extremes, "
                "or actions that were clipped; a student's tanh comes near a bound and never reaches it"
            )
    narrow = [index for index, span in enumerate(actions["spans"]) if 0 < span < SMALL_SPAN]
    if narrow:
        spans = ", ".join(dict.fromkeys(percent(actions["spans"][index]) for index in narrow))
        found.append(
            f"{listed([f'actions[{index}]' for index in narrow])} use {spans} of the width between their bounds: are "
            "they in the environment's own unit? If not, scale with --action-scale"
        )
    return found


def _episode_warnings(figures: dict[str, Any]) -> list[str]:
    found = []
    ends, episodes = figures["ends"], figures["episodes"]
    if figures["duplicated_states"] > MANY_COPIES:
        found.append(
            f"{percent(figures['duplicated_states'], 0)} of the states are copies of an earlier row's: rows "
            "given twice, or sensors that stand still"
        )
    if ends["terminations"] + ends["truncations"] <= 1 and not ends["terminations"]:
        found.append(
            f"nothing marks the end of an episode: all {figures['rows']:,} rows count as one; mark ends by the "
            "environment's own rule as terminals, all others as timeouts"
        )
    elif episodes < FEW_EPISODES:
        found.append(
            f"only {episodes} episodes: a few starts and a few ways on from them, not a distribution of either"
        )
    return found


def listed(names: list[str], most: int = 6) -> str:
    """Names one after the other, the last ones as their number where there are many."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def percent(share: float, digits: int = 1) -> str:
    """A share as a percentage.

    >>> percent(0.125)
    '12.5 %'
    """
    return f"{100 * share:.{digits}f} %"
