"""The rules that pair each row with its next observation.

1. *Own next observations*: each row is a transition with its own ``next_observations``. All rows are kept.
2. *Rows in order*, as in D4RL's files: the next observation is the following row's. The last row of an episode that
   did not terminate has none and is dropped. A terminating row is kept with the following row's observation, or its own
   at the end of the data. This next observation is never used, because no value is bootstrapped there.
3. *Rows in order with last observations*, as in Minari's files: each episode has one more observation than actions,
   and no row is dropped.
4. *Steps*, as in RLDS: the last step of an episode holds only its last observation, and is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from potstill.data.checks import check_equal_rows, is_finite
from potstill.data.chunks import CHUNK, Range, drop_rows, read_column, split_rows
from potstill.data.ends import Ends
from potstill.data.files import Column
from potstill.data.successors import Successors
from potstill.errors import PotstillError

OWN = ("observations", "actions", "rewards", "next_observations")
NOTHING = np.zeros(0, np.int64)  # rows to drop


class Plan(NamedTuple):
    """Which rows of a log become transitions."""

    dropped: Int[np.ndarray, " X"]
    """Rows that are not transitions, in order."""
    unpaired: Int[np.ndarray, " Y"]
    """Rows of the observations that are not states of transitions, in order."""
    terminations: Bool[np.ndarray, " M"]
    truncations: Bool[np.ndarray, " M"]


class Rows(NamedTuple):
    """Columns whose rows are transitions. Their numbers are finite."""

    observations: Float[np.ndarray, "M S"]
    actions: Float[np.ndarray, "M A"]
    rewards: Float[np.ndarray, " M"]
    next_observations: Float[np.ndarray, "M S"] | Successors
    terminations: Bool[np.ndarray, " M"]
    truncations: Bool[np.ndarray, " M"]
    actions_seen: Range
    """The range of the actions."""


def plan_rows(columns: Mapping[str, Column], found: Ends, *, source: str) -> Plan:
    """Decide which rows become transitions, by rules 2 to 4.

    Args:
        columns: at least ``observations`` and ``actions``.
        found: the ends of the episodes.
        source: name of the data in error messages.

    Raises:
        PotstillError: columns are of unequal length, or no transition is left.
    """
    check_equal_rows({key: values for key, values in columns.items() if key != "observations"}, source=source)
    states, rows, count = len(columns["observations"]), len(columns["actions"]), int(np.count_nonzero(found.ends))
    observed = bool(found.observed.any())
    if rows and states == rows + count and not observed:  # rule 3
        unpaired = np.flatnonzero(found.ends) + np.arange(1, count + 1)
        return Plan(NOTHING, unpaired, found.terminations, found.ends & ~found.terminations)
    if states != rows:
        raise PotstillError(
            f"{source}: columns with unequal numbers of rows: observations {states}, actions {rows}, episodes "
            f"{count}; expected {rows} observations, or {rows + count} with the last observation of each "
            "episode"
        )
    if rows < 2:
        raise PotstillError(f"{source}: {rows} rows, expected at least 2")
    if observed:
        lost = found.observed.copy()
        lost[-1] |= not found.terminations[-1]
    else:
        lost = np.greater(found.ends, found.terminations)  # and not terminated
    dropped = np.flatnonzero(lost)
    if len(dropped) == rows:
        raise PotstillError(f"{source}: every row is a time-out, so no transition is left")
    cut = np.append(lost[1:], True)
    np.greater(cut, found.terminations, out=cut)
    return Plan(dropped, dropped, drop_rows(found.terminations, dropped), drop_rows(cut, dropped))


def pair_in_order(columns: Mapping[str, Column], plan: Plan, *, source: str) -> Rows:
    """Read the rows of a plan, each column once.

    Raises:
        PotstillError: a value is NaN or infinite, or exceeds float32.
    """
    observations, last = split_rows("observations", columns["observations"], plan.unpaired, source=source)
    seen = Range(columns["actions"].shape[1])
    actions = read_column("actions", columns["actions"], plan.dropped, source=source, check=seen)
    rewards = read_column("rewards", columns["rewards"], plan.dropped, source=source)
    following = np.diff(plan.unpaired, prepend=-1) > 1  # the unpaired observations that come after a state
    before = (plan.unpaired - np.arange(len(plan.unpaired)) - 1)[following]
    last_states, final = last[following], len(observations) - 1
    if not len(before) or before[-1] != final:  # the data end with a termination
        before, last_states = np.append(before, final), np.append(last_states, observations[final:], axis=0)
    after = Successors(observations, before, last_states)
    return Rows(observations, actions, rewards, after, plan.terminations, plan.truncations, seen)


def pair_in_pieces(
    columns: Mapping[str, Column], plan: Plan, rows_at_once: int, *, source: str
) -> Iterator[dict[str, np.ndarray]]:
    """Read the rows of a plan piece by piece. Yield the six columns of each piece.

    Raises:
        PotstillError: a value is NaN or infinite, or exceeds float32.
    """
    table = columns["observations"]
    kept = np.delete(np.arange(len(columns["actions"])), plan.dropped)
    states = np.delete(np.arange(len(table)), plan.unpaired)
    for start in range(0, len(kept), rows_at_once):
        part = slice(start, start + rows_at_once)
        rows, own = kept[part], states[part]
        piece = {}
        for key in ("actions", "rewards"):
            read = columns[key][int(rows[0]) : int(rows[-1]) + 1]
            piece[key] = read_column(key, read, NOTHING, source=source, first=int(rows[0]))[rows - rows[0]]
        read = table[int(own[0]) : min(int(own[-1]) + 2, len(table))]
        around = read_column("observations", read, NOTHING, source=source, first=int(own[0]))
        own = own - own[0]
        yield {
            "observations": around[own],
            **piece,
            "next_observations": around[np.minimum(own + 1, len(around) - 1)],
            "terminations": plan.terminations[part],
            "truncations": plan.truncations[part],
        }


def pair_own(columns: Mapping[str, Column], found: Ends, *, source: str) -> Rows:
    """Read rows that are transitions already (rule 1).

    If only terminations mark ends, an episode also ends where the next observation is not the following row's.

    Raises:
        PotstillError: columns are of unequal length, or a value is NaN or infinite, or exceeds float32.
    """
    _check_own(columns, source=source)
    checks = {"actions": Range(columns["actions"].shape[1])}
    read = {
        key: read_column(key, columns[key], NOTHING, source=source, check=checks.get(key, is_finite)) for key in OWN
    }
    cut = _find_cuts(read["observations"], read["next_observations"], found)
    return Rows(**read, terminations=found.terminations, truncations=cut, actions_seen=checks["actions"])


def pair_own_in_pieces(
    columns: Mapping[str, Column], found: Ends, rows_at_once: int, *, source: str
) -> Iterator[dict[str, np.ndarray]]:
    """Read rows that are transitions already (rule 1) piece by piece. Yield the six columns of each piece."""
    _check_own(columns, source=source)
    cut = _find_cuts(columns["observations"], columns["next_observations"], found)
    for start in range(0, len(cut), rows_at_once):
        part = slice(start, min(start + rows_at_once, len(cut)))
        yield {
            **{key: read_column(key, columns[key][part], NOTHING, source=source, first=start) for key in OWN},
            "terminations": found.terminations[part],
            "truncations": cut[part],
        }


def _check_own(columns: Mapping[str, Column], *, source: str) -> None:
    check_equal_rows(columns, source=source)
    own, after = columns["observations"].shape, columns["next_observations"].shape
    if own != after:
        raise PotstillError(f"{source}: next_observations {after} and observations {own} differ in shape")


def _find_cuts(states: Column, after: Column, found: Ends) -> Bool[np.ndarray, " M"]:
    """Find the ends that are not terminations."""
    ends = found.ends
    if not found.known:
        ends = ends.copy()
        for start in range(0, len(states) - 1, CHUNK):
            stop = min(start + CHUNK, len(states) - 1)
            ends[start:stop] |= np.any(after[start:stop] != states[start + 1 : stop + 1], axis=1)
    cut: np.ndarray = ends & ~found.terminations
    return cut
