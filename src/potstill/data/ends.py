"""Find the ends of episodes, and which of them are terminations, from flags, episode numbers, or a time limit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from potstill.errors import PotstillError

USUAL_LIMIT = 1000  # D4RL's time limit, if there is neither an environment nor any other sign of an end
FLAGS = ("terminations", "truncations", "dones", "starts", "ends", "last_steps", "terminal_steps")
"""The roles of columns of 0 and 1 that mark the ends of episodes."""
NUMBERS = ("episodes", "frames")
"""The roles of the number or name of a row's episode, and of the row's index in the episode."""


class Ends(NamedTuple):
    """The ends of the episodes in M rows."""

    terminations: Bool[np.ndarray, " M"]
    """Ends by the environment's own rule."""
    ends: Bool[np.ndarray, " M"]
    """The last transitions of episodes, by termination or truncation. The last row is one of them."""
    observed: Bool[np.ndarray, " M"]
    """Rows that hold only the last observation of an episode."""
    known: bool
    """Whether columns other than terminations mark ends."""


def find_ends(flags: Mapping[str, np.ndarray], rows: int, *, source: str) -> Ends:
    """Find the ends of episodes.

    - ``terminations`` and ``truncations`` are used as they are.
    - ``dones`` beside ``truncations`` are terminations. If they include every truncation, they mark both kinds of ends.
    - ``starts`` and ``episodes`` (a number or name in each row) mark an end in the row before a start or a change.
    - ``frames`` must be consecutive in each episode.
    - ``last_steps`` and ``terminal_steps`` follow RLDS: a last step holds only an observation. If it is also a terminal
      step, the step before it terminated.

    Args:
        flags: by role, boolean columns of M rows; ``episodes`` of any type, and ``frames``.
        rows: M.
        source: name of the data in error messages.

    Raises:
        PotstillError: rows of an episode are apart or out of order, or flags contradict each other.

    Example:
        >>> found = find_ends({"episodes": np.array([4, 4, 7])}, 3, source="a table")
        >>> found.ends.tolist(), found.terminations.tolist()
        ([False, True, True], [False, False, False])
    """
    none = np.zeros(rows, np.bool_)
    ends = flags.get("truncations", none)
    if "ends" in flags:
        ends = ends | flags["ends"]
    terminations = flags["terminations"].copy() if "terminations" in flags else _find_terminations(flags, none)
    if "starts" in flags:
        ends = ends | np.append(flags["starts"][1:], False)
    if "episodes" in flags:
        ends = ends | _find_changes(flags["episodes"], flags.get("frames"), source)
    if "dones" in flags:
        ends = ends | flags["dones"]
    observed = none
    if "last_steps" in flags and "terminations" not in flags:
        observed = flags["last_steps"]
        terminal = flags.get("terminal_steps", none)
        stray = np.flatnonzero(terminal & ~observed)
        if len(stray):
            raise PotstillError(f"{source}: row {stray[0]} is_terminal but not is_last: expected both in a last step")
        stray = np.flatnonzero(ends & ~observed & ~np.append(observed[1:], False))
        if len(stray):
            raise PotstillError(f"{source}: an episode ends in row {stray[0]}, but is_last does not mark that end")
        terminations = np.append(terminal[1:], False) & ~observed
        ends = np.append(observed[1:], True)
    elif "last_steps" in flags:
        ends = ends | flags["last_steps"]
    known = bool(ends.any()) or "truncations" in flags
    ends = ends | terminations
    ends[-1:] = True
    return Ends(terminations, ends if observed is none else ends & ~observed, observed, known)


def _find_terminations(flags: Mapping[str, np.ndarray], none: np.ndarray) -> np.ndarray:
    """Find terminations from ``dones`` beside ``truncations``. The kind of ``dones`` alone is unknown: none."""
    if "dones" not in flags or "truncations" not in flags:
        return none
    dones, cut = flags["dones"], flags["truncations"]
    terminated: np.ndarray = dones & ~cut if cut.any() and dones[cut].all() else dones
    return terminated


def _find_changes(episodes: np.ndarray, frames: np.ndarray | None, source: str) -> np.ndarray:
    """Whether the number of the episode changes after each row."""
    if episodes.dtype.kind == "f" and np.isnan(episodes).any():
        row = int(np.isnan(episodes).argmax())
        raise PotstillError(f"{source}: row {row} has no episode (NaN): give every row the number of its episode")
    changes = np.append(episodes[1:] != episodes[:-1], False)
    first = episodes[np.append(0, np.flatnonzero(changes) + 1)] if len(episodes) else episodes
    names, counts = np.unique(first, return_counts=True)
    if (counts > 1).any():
        name = names[counts > 1][0]
        raise PotstillError(f"{source}: the rows of episode {name} are apart: sort the rows by episode and time")
    if frames is not None and (gaps := (np.diff(frames) != 1) & ~changes[:-1]).any():
        row = int(np.argmax(gaps)) + 1
        raise PotstillError(
            f"{source}: row {row} is frame {frames[row]} of episode {episodes[row]}, but row {row - 1} is frame "
            f"{frames[row - 1]}: rows are missing or out of order"
        )
    return changes


def count_timeouts(terminations: Bool[np.ndarray, " M"], limit: int) -> Bool[np.ndarray, " M"]:
    """Mark a time-out every ``limit`` steps after the last termination.

    >>> count_timeouts(np.array([False, True, False, False, False]), 2).tolist()
    [False, True, False, True, False]
    """
    rows = np.arange(len(terminations))
    starts = np.zeros_like(rows)
    starts[1:] = np.where(terminations[:-1], rows[1:], 0)
    steps: np.ndarray = rows - np.maximum.accumulate(starts) + 1
    timeouts: np.ndarray = steps % limit == 0
    return timeouts
