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
from jaxtyping import Bool, Int

from potstill.data.bounds import ActionBounds
from potstill.data.checks import as_columns, check_finite, check_rows, check_scale, checked_chunks, resolve_bounds
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError

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
        raise missing_column(missing[0], given, source=source)
    return found


def missing_column(column: str, given: list[str], *, source: str) -> PotstillError:
    """The error for a column that is not among the names ``given``."""
    done = next((name for name in ("done", "dones") if name in given and column in ("terminations", "terminals")), "")
    hint = f", and '{done}' does not tell terminations from time-outs" if done else ""
    return PotstillError(f"{source}: no array '{column}'{hint} (it has {', '.join(given) or 'nothing'})")


def from_arrays(
    raw: dict[str, Any], *, source: str, name: str, env_id: str | None = None, action_scale: float = 1.0
) -> Transitions:
    """Transitions from arrays in any of the three layouts.

    Args:
        raw: by the names that :func:`column_names` gives, without synonyms.
        source: what error lines call the data.
        name: the dataset's name.
        env_id: the environment's Gymnasium id, if there is one.
        action_scale: what the actions are multiplied by.

    Raises:
        PotstillError: unequal rows, or bad values.
    """
    columns = as_columns(raw, source=source)
    if "next_observations" in columns:
        rows = paired_rows(columns, source=source)
    else:
        old = {"terminations": "terminals", "truncations": "timeouts"}
        rows = ordered_rows({old.get(key, key): values for key, values in columns.items()}, source=source)
    return make_transitions(columns, rows, source=source, name=name, env_id=env_id, action_scale=action_scale)


def make_transitions(
    columns: dict[str, Any],
    rows: dict[str, Any],
    *,
    source: str,
    name: str,
    env_id: str | None,
    bounds: ActionBounds | None = None,
    card: dict[str, Any] | None = None,
    action_scale: float = 1.0,
) -> Transitions:
    """Transitions from paired ``rows``; a bad value is named by its place in ``columns``, as they were given."""
    bounds = bounds or resolve_bounds(env_id, columns, source=source)
    scale = np.float32(action_scale)
    papers: dict[str, Any] = {"action_bounds": bounds, "name": name, "env_id": env_id}
    papers["card"] = (card or {}) | ({} if scale == 1 else {"action_scale": action_scale})
    try:
        return Transitions(**{**rows, "actions": rows["actions"] if scale == 1 else rows["actions"] * scale, **papers})
    except PotstillError:
        whole = as_columns(columns, source=source)
        for key in ("observations", "actions", "rewards", "next_observations"):
            if key in whole:
                check_finite(key, whole[key], source=source)
        check_scale(whole["actions"] * scale, bounds, source=source)
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


def ordered_rows(columns: dict[str, Any], *, source: str) -> dict[str, Any]:
    """Pair rows in order; whether last observations are there shows in the number of observations.

    Flags are arrays, the other columns arrays or HDF5 datasets.
    """
    check_rows({key: values for key, values in columns.items() if key != "observations"}, source=source)
    terminals, states = columns["terminals"], len(columns["observations"])
    ends = terminals | columns.get("timeouts", np.False_)
    ends[-1:] = True
    episodes = int(ends.sum())
    if states == len(terminals) + episodes:
        return last_observation_rows(as_columns(columns, source=source), ends)
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


def qlearning_rows(columns: dict[str, Any], *, source: str, limit: int = COUNTED) -> dict[str, Any]:
    """Pair each row with the next one and drop the rows that have no next one, by :func:`dropped_rows`.

    Flags are arrays, the other columns arrays or HDF5 datasets.
    """
    dropped, flags = dropped_rows(columns, source=source, limit=limit)
    (observations, after), (actions, _), (rewards, _) = (
        without_rows(key, columns[key], dropped, source=source) for key in ("observations", "actions", "rewards")
    )
    following = np.empty_like(observations)
    following[:-1] = observations[1:]
    ending = np.diff(dropped, prepend=-1) > 1  # the dropped rows that come after a kept one
    following[(dropped - np.arange(len(dropped)) - 1)[ending]] = after[ending]
    return {
        "observations": observations,
        "actions": actions,
        "rewards": rewards,
        "next_observations": following,
        **flags,
        "finite": True,
    }


def dropped_rows(
    columns: dict[str, Any], *, source: str, limit: int = COUNTED
) -> tuple[Int[np.ndarray, " X"], dict[str, Bool[np.ndarray, " M"]]]:
    """The rows that have no next one, and the ends of episodes among the others: by ``terminals`` and ``timeouts``.

    Without ``timeouts`` a counter of ``limit`` steps since the last end decides where one is.
    """
    terminals = columns["terminals"]
    timeouts = columns.get("timeouts")
    if timeouts is None:
        timeouts = _counted_timeouts(terminals, limit)
    timeouts = timeouts & ~terminals
    if len(terminals) < 2:
        raise PotstillError(f"{source}: {len(terminals)} rows, at least 2 are needed")
    last = len(terminals) - 1
    dropped = np.append(np.flatnonzero(timeouts[:-1]), last)
    if len(dropped) > last:
        raise PotstillError(f"{source}: every row is a time-out, nothing is left")
    keep, cut = ~timeouts[:-1], np.append(timeouts[1:-1], True) & ~terminals[:-1]
    return dropped, {"terminations": terminals[:-1][keep], "truncations": cut[keep]}


def without_rows(key: str, column: Any, dropped: np.ndarray, *, source: str) -> tuple[np.ndarray, np.ndarray]:
    """A column as float32 without the rows ``dropped``, which are in order; and those rows.

    The column, an array or an HDF5 dataset, is read, checked and copied a chunk at a time: for a large file most
    of the time goes to memory that is touched for the first time.
    """
    kept = gone = np.empty(0)
    end = 0
    for first, chunk in checked_chunks(key, column, source=source):
        if not first:
            kept, gone = (
                np.empty((n, *chunk.shape[1:]), np.float32) for n in (len(column) - len(dropped), len(dropped))
            )
        here = slice(*np.searchsorted(dropped, (first, first + len(chunk))))
        gaps = dropped[here] - first
        gone[here] = chunk[gaps]
        for start, stop in zip((0, *(gaps + 1)), (*gaps, len(chunk)), strict=True):
            kept[end : end + stop - start] = chunk[start:stop]
            end += stop - start
    return kept, gone


def _counted_timeouts(terminals: np.ndarray, limit: int) -> np.ndarray:
    rows = np.arange(len(terminals))
    starts = np.zeros_like(rows)
    starts[1:] = np.where(terminals[:-1], rows[1:], 0)
    return (rows - np.maximum.accumulate(starts) + 1) % limit == 0
