"""The layouts of transitions in files, and the rules that pair each row with its next observation.

1. *Pairs*: each row is a transition with its own ``next_observations``. Any file with named columns can have it.
2. *Rows in order*, as in D4RL's files: the next observation is the following row's observation. A row that times out
   has none and is dropped, as is the last row.
3. *Rows in order with last observations*, as in Minari's files: each episode has one more observation than actions,
   and no row is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool

from potstill.data.bounds import ActionBounds
from potstill.data.checks import as_columns, check_equal_rows, check_finite, check_scale, resolve_bounds
from potstill.data.files import Column
from potstill.data.formats.qlearning import Rows, qlearning_rows
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError

SYNONYMS = {
    "observations": ("observation", "obs"),
    "actions": ("action",),
    "rewards": ("reward",),
    "next_observations": ("next_observation", "next_obs"),
    "terminations": ("termination", "terminated", "terminals", "terminal"),
    "truncations": ("truncation", "truncated", "timeouts", "timeout"),
}
REQUIRED = ("observations", "actions", "rewards", "terminations")


def match_columns(names: Iterable[str], *, source: str) -> dict[str, str]:
    """Find the columns of a dataset among the names in a file.

    Args:
        names: all names in the file. Names that are not columns are ignored.
        source: name of the data in error messages.

    Returns:
        For each column, its name in the file.

    Raises:
        PotstillError: a required column is missing, or two names mean the same column.

    Example:
        >>> match_columns(["obs", "action", "reward", "terminated", "info"], source="a dictionary")
        {'observations': 'obs', 'actions': 'action', 'rewards': 'reward', 'terminations': 'terminated'}
    """
    given, found = sorted(names), {}
    for column, synonyms in SYNONYMS.items():
        matches = [name for name in (column, *synonyms) if name in given]
        if len(matches) > 1:
            raise PotstillError(f"{source}: has both '{matches[0]}' and '{matches[1]}': keep one of them")
        if matches:
            found[column] = matches[0]
    missing = [column for column in REQUIRED if column not in found]
    if missing:
        raise missing_column(missing[0], given, source=source)
    return found


def missing_column(column: str, given: Sequence[str], *, source: str) -> PotstillError:
    """Return the error for a column that is not among the names ``given``."""
    done = next((name for name in ("done", "dones") if name in given and column in ("terminations", "terminals")), "")
    hint = f", and '{done}' does not distinguish terminations from time-outs" if done else ""
    return PotstillError(f"{source}: no array '{column}'{hint} (it has {', '.join(given) or 'nothing'})")


def from_arrays(
    raw: Mapping[str, object], *, source: str, name: str, env_id: str | None = None, action_scale: float = 1.0
) -> Transitions:
    """Make transitions from arrays in any of the three layouts.

    Args:
        raw: arrays by the column names that :func:`match_columns` returns.
        source: name of the data in error messages.
        name: name of the dataset.
        env_id: Gymnasium id of the environment, if there is one.
        action_scale: factor for the actions.

    Raises:
        PotstillError: columns are of unequal length, or a value is invalid.
    """
    columns = as_columns(raw, source=source)
    if "next_observations" in columns:
        rows = paired_rows(columns, source=source)
    else:
        old = {"terminations": "terminals", "truncations": "timeouts"}
        rows = ordered_rows({old.get(key, key): values for key, values in columns.items()}, source=source)
    return make_transitions(columns, rows, source=source, name=name, env_id=env_id, action_scale=action_scale)


def make_transitions(
    columns: Mapping[str, Column],
    rows: Rows,
    *,
    source: str,
    name: str,
    env_id: str | None,
    bounds: ActionBounds | None = None,
    card: Mapping[str, object] | None = None,
    action_scale: float = 1.0,
) -> Transitions:
    """Make transitions from paired rows.

    Args:
        columns: the columns as they are in the file. Row numbers in error messages refer to the file.
        rows: the rows made from them.
        source: name of the data in error messages.
        name: name of the dataset.
        env_id: Gymnasium id of the environment, if there is one.
        bounds: action bounds. The default is :func:`~potstill.data.checks.resolve_bounds`.
        card: where the data come from.
        action_scale: factor for the actions. A factor other than 1 is recorded in the card.

    Raises:
        PotstillError: a value is invalid.
    """
    bounds = bounds or resolve_bounds(env_id, columns, source=source)
    scale = np.float32(action_scale)
    rows = rows if scale == 1 else rows._replace(actions=rows.actions * scale)
    full_card = dict(card or {}) | ({} if scale == 1 else {"action_scale": action_scale})
    try:
        return Transitions(*rows[:6], bounds, name, env_id, full_card, finite=rows.finite)
    except PotstillError:
        raw = as_columns(columns, source=source)
        for key in ("observations", "actions", "rewards", "next_observations"):
            if key in raw:
                check_finite(key, raw[key], source=source)
        check_scale(raw["actions"] * scale, bounds, source=source)
        raise


def paired_rows(columns: Mapping[str, np.ndarray], *, source: str) -> Rows:
    """Use each row as a transition with its own next observation.

    Without ``truncations``, an episode ends where the next observation is not the observation of the following row.
    """
    check_equal_rows(columns, source=source)
    if columns["next_observations"].shape != columns["observations"].shape:
        raise PotstillError(
            f"{source}: next_observations {columns['next_observations'].shape} and "
            f"observations {columns['observations'].shape} differ in shape"
        )
    if "truncations" in columns:
        cut = columns["truncations"].copy()
    else:
        cut = np.ones_like(columns["terminations"])
        cut[:-1] = np.any(columns["next_observations"][:-1] != columns["observations"][1:], axis=1)
    cut[-1:] = True  # the last episode ends with the data
    return Rows(
        columns["observations"],
        columns["actions"],
        columns["rewards"],
        columns["next_observations"],
        columns["terminations"],
        cut & ~columns["terminations"],
    )


def ordered_rows(columns: Mapping[str, Column], *, source: str) -> Rows:
    """Pair rows in order, with or without last observations. The number of observations determines which.

    Args:
        columns: ``terminals`` and, if there are any, ``timeouts``, as arrays; the other columns as arrays or HDF5
            datasets.
        source: name of the data in error messages.

    Raises:
        PotstillError: columns are of unequal length, or no transition is left.
    """
    check_equal_rows({key: values for key, values in columns.items() if key != "observations"}, source=source)
    terminals, states = np.asarray(columns["terminals"]), len(columns["observations"])
    ends = terminals | np.asarray(columns.get("timeouts", np.False_))
    ends[-1:] = True
    episodes = int(ends.sum())
    if states == len(terminals) + episodes:
        return last_observation_rows(as_columns(columns, source=source), ends)
    if states != len(terminals):
        raise PotstillError(
            f"{source}: columns with unequal numbers of rows: observations {states}, actions {len(terminals)}, "
            f"episodes {episodes}; expected {len(terminals)} observations, or {len(terminals) + episodes} with the "
            "last observation of each episode"
        )
    return qlearning_rows(columns, source=source)


def join_episodes(episodes: Sequence[Mapping[str, np.ndarray]], *, source: str) -> dict[str, np.ndarray]:
    """Concatenate the columns of all episodes.

    Raises:
        PotstillError: episodes differ in the size of observations or actions.
    """
    for key in ("observations", "actions"):
        sizes = sorted({episode[key].shape[1] for episode in episodes})
        if len(sizes) > 1:
            raise PotstillError(f"{source}: {key} have {sizes[0]} components in one episode and {sizes[1]} in another")
    return {key: np.concatenate([episode[key] for episode in episodes]) for key in episodes[0]}


def last_observation_rows(columns: Mapping[str, np.ndarray], ends: Bool[np.ndarray, " M"]) -> Rows:
    """Pair rows in order with last observations; ``ends`` are the last rows of episodes."""
    first = np.arange(len(ends)) + np.cumsum(ends) - ends  # one extra observation for each earlier episode
    return Rows(
        observations=columns["observations"].take(first, axis=0),
        actions=columns["actions"],
        rewards=columns["rewards"],
        next_observations=columns["observations"].take(first + 1, axis=0),
        terminations=columns["terminals"],
        truncations=ends & ~columns["terminals"],
    )
