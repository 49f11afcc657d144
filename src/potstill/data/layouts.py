"""The layouts in which transitions come, and the rules that pair each row with its next observation.

1. *Pairs*: one transition a row, with ``next_observations``, in any file with named columns.
2. *Rows in order*, as in D4RL's files: the next observation is the next row's. A time-out's row has none
   and is dropped, as is the last row.
3. *Rows in order with last observations*, as in Minari: each episode has one more observation than
   actions, and no row is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from potstill.data.checks import as_columns, check_bounds, check_finite, check_rows, resolve_bounds
from potstill.errors import PotstillError
from potstill.types import Transitions

COUNTED = 1000  # D4RL's step limit, for files without time-outs
SYNONYMS = {
    "observations": ("observation", "obs"),
    "actions": ("action",),
    "rewards": ("reward",),
    "next_observations": ("next_observation", "next_obs"),
    "terminations": ("termination", "terminated", "terminals", "terminal"),
    "truncations": ("truncation", "truncated", "timeouts", "timeout"),
}
REQUIRED = ("observations", "actions", "rewards", "terminations")


def column_names(names: Iterable[str], *, source: str) -> dict[str, str]:
    """Which of a file's ``names`` holds which column.

    >>> column_names(["obs", "action", "reward", "terminated", "info"], source="a dictionary")
    {'observations': 'obs', 'actions': 'action', 'rewards': 'reward', 'terminations': 'terminated'}
    """
    given, found = sorted(names), {}
    for column, synonyms in SYNONYMS.items():
        held = [name for name in (column, *synonyms) if name in given]
        if len(held) > 1:
            raise PotstillError(f"{source}: both '{held[0]}' and '{held[1]}': one of them is needed")
        if held:
            found[column] = held[0]
    missing = [column for column in REQUIRED if column not in found]
    if missing:
        done = next((name for name in ("done", "dones") if name in given and missing[0] == "terminations"), "")
        hint = f", and '{done}' does not tell terminations from time-outs" if done else ""
        raise PotstillError(f"{source}: no array '{missing[0]}'{hint} (it has {', '.join(given) or 'nothing'})")
    return found


def from_arrays(
    raw: dict[str, Any], *, source: str, name: str, env_id: str | None = None, card: dict[str, Any] | None = None
) -> Transitions:
    """Transitions from arrays in any of the three layouts.

    Args:
        raw: by the names that :func:`column_names` gives, without synonyms.
        source: what error lines call the data.
        name: the dataset's name.
        env_id: the environment's Gymnasium id, if there is one.
        card: where the data come from.

    Raises:
        PotstillError: unequal rows, or bad values.
    """
    columns = as_columns(raw, source=source)
    if "next_observations" in columns:
        rows = paired_rows(columns, source=source)
    else:
        old = {"terminations": "terminals", "truncations": "timeouts"}
        rows = ordered_rows({old.get(key, key): values for key, values in columns.items()}, source=source)
    return make_transitions(columns, rows, source=source, name=name, env_id=env_id, card=card)


def make_transitions(
    columns: dict[str, np.ndarray],
    rows: dict[str, np.ndarray],
    *,
    source: str,
    name: str,
    env_id: str | None,
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
    card: dict[str, Any] | None = None,
) -> Transitions:
    """Transitions from paired ``rows``; a bad value is named by its place in ``columns``, as they were given."""
    low, high = bounds or resolve_bounds(env_id, columns, source=source)
    papers: dict[str, Any] = {"action_low": low, "action_high": high, "name": name, "env_id": env_id}
    try:
        return Transitions(**{**rows, **papers, "card": card or {}})
    except PotstillError:
        for key in ("observations", "actions", "rewards", "next_observations"):
            if key in columns:
                check_finite(key, columns[key], source=source)
        check_bounds(columns["actions"], low, high, source=source)
        raise


def paired_rows(columns: dict[str, np.ndarray], *, source: str) -> dict[str, np.ndarray]:
    """Rows that are transitions already; without ``truncations`` an episode is cut where states do not follow."""
    check_rows(columns, source=source)
    if columns["next_observations"].shape != columns["observations"].shape:
        raise PotstillError(
            f"{source}: next_observations {columns['next_observations'].shape} and "
            f"observations {columns['observations'].shape} differ"
        )
    if "truncations" in columns:
        cut = columns["truncations"].copy()
    else:
        cut = np.ones_like(columns["terminations"])
        cut[:-1] = np.any(columns["next_observations"][:-1] != columns["observations"][1:], axis=1)
    cut[-1:] = True  # where the data end, the last episode does
    return columns | {"truncations": cut & ~columns["terminations"]}


def ordered_rows(columns: dict[str, np.ndarray], *, source: str) -> dict[str, np.ndarray]:
    """Pair rows in order; whether last observations are there shows in the number of observations."""
    check_rows({key: values for key, values in columns.items() if key != "observations"}, source=source)
    terminals, states = columns["terminals"], len(columns["observations"])
    ends = terminals | columns.get("timeouts", np.False_)
    ends[-1:] = True
    episodes = int(ends.sum())
    if states == len(terminals) + episodes:
        return last_observation_rows(columns, ends)
    if states != len(terminals):
        raise PotstillError(
            f"{source}: rows of unequal number: observations {states}, actions {len(terminals)}, episodes {episodes}; "
            f"{len(terminals)} observations are needed, or {len(terminals) + episodes}, each episode's last one too"
        )
    return qlearning_rows(columns, source=source)


def join_episodes(episodes: list[dict[str, np.ndarray]], *, source: str) -> dict[str, np.ndarray]:
    """The columns of all episodes, one after the other.

    Raises:
        PotstillError: episodes that differ in the size of observations or actions.
    """
    for key in ("observations", "actions"):
        sizes = sorted({episode[key].shape[1] for episode in episodes})
        if len(sizes) > 1:
            raise PotstillError(f"{source}: {key} of {sizes[0]} components in one episode and {sizes[1]} in another")
    return {key: np.concatenate([episode[key] for episode in episodes]) for key in episodes[0]}


def last_observation_rows(columns: dict[str, np.ndarray], ends: np.ndarray) -> dict[str, np.ndarray]:
    """Pair rows whose episodes, which close at ``ends``, each have one more observation than actions."""
    first = np.arange(len(ends)) + np.cumsum(ends) - ends  # one more observation for each episode before
    return {
        "observations": columns["observations"].take(first, axis=0),
        "actions": columns["actions"],
        "rewards": columns["rewards"],
        "next_observations": columns["observations"].take(first + 1, axis=0),
        "terminations": columns["terminals"],
        "truncations": ends & ~columns["terminals"],
    }


def qlearning_rows(columns: dict[str, np.ndarray], *, source: str, limit: int = COUNTED) -> dict[str, np.ndarray]:
    """Pair each row with the next one and drop the rows that have no next one.

    Without ``timeouts`` a counter of ``limit`` steps since the last end decides where one is.
    """
    terminals = columns["terminals"]
    timeouts = columns.get("timeouts")
    if timeouts is None:
        timeouts = _counted_timeouts(terminals, limit)
    timeouts = timeouts & ~terminals
    if len(terminals) < 2:
        raise PotstillError(f"{source}: {len(terminals)} rows, at least 2 are needed")
    keep = np.flatnonzero(~timeouts[:-1])
    if not len(keep):
        raise PotstillError(f"{source}: every row is a time-out, nothing is left")
    last = timeouts[1:].copy()
    last[-1] = True
    rows = {key: columns[key].take(keep, axis=0) for key in ("observations", "actions", "rewards")}
    return {
        **rows,
        "next_observations": columns["observations"].take(keep + 1, axis=0),
        "terminations": terminals.take(keep),
        "truncations": (last & ~terminals[:-1]).take(keep),
    }


def _counted_timeouts(terminals: np.ndarray, limit: int) -> np.ndarray:
    rows = np.arange(len(terminals))
    starts = np.zeros_like(rows)
    starts[1:] = np.where(terminals[:-1], rows[1:], 0)
    return (rows - np.maximum.accumulate(starts) + 1) % limit == 0
