"""Select rows of datasets by the returns of their episodes, or at random by episode or by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from potstill.data.blocks import gather, iterate_blocks
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import COLUMNS, Transitions
from potstill.environments.observations.rule import ENTRY
from potstill.errors import PotstillError
from potstill.runtime.files import StrPath
from potstill.runtime.validation import Dataclass, check_fractions, check_ranges

FACTS = ("action_bounds", "action_scale", "actions_outside", "rewards", ENTRY)
"""Entries of a dataset's card that remain true when its rows are copied to another dataset."""


@dataclass(frozen=True)
class Selection:
    """Which episodes and rows of a dataset to keep. The steps are applied in the order of the fields.

    Raises:
        PotstillError: a field is out of range.
    """

    min_return: float | None = None
    """Keep the episodes with at least this undiscounted return."""
    max_return: float | None = None
    """Keep the episodes with at most this undiscounted return."""
    best_episodes: float = 1.0
    """Keep this share of the remaining episodes, those with the highest returns."""
    episodes: int | None = None
    """Keep this many of the remaining episodes, drawn at random."""
    rows: int | None = None
    """Keep this many of the remaining rows, drawn at random."""
    seed: int = 0
    """Seed of the random draws."""

    def __post_init__(self) -> None:
        check_selection(self)


def check_selection(settings: Dataclass) -> None:
    """Check the fields of :class:`Selection`, in that class or in the settings of a command.

    Raises:
        PotstillError: a field is out of range.
    """
    check_ranges(settings, episodes=1, rows=1, seed=0)
    check_fractions(settings, "best_episodes", one=True)


@dataclass(frozen=True)
class SourceSummary:
    """Sizes, episodes and returns of one of the datasets to merge, for selection and compatibility checks."""

    source: StrPath
    """The name or path that the user gave."""
    place: StrPath
    """The name, path or folder that the rows are read from."""
    state_size: int
    bounds: ActionBounds
    env_id: str | None
    sha256: str
    lengths: Int[np.ndarray, " E"]
    """Rows of each episode."""
    returns: Float[np.ndarray, " E"]
    """Undiscounted return of each episode."""
    facts: dict[str, object] = field(default_factory=dict)
    """The entries of its card about actions and rewards."""

    @classmethod
    def of(cls, data: Transitions, source: StrPath, place: StrPath) -> SourceSummary:
        """Summarise ``data``. A last episode without an end ends at the last row."""
        return cls(
            source,
            place,
            state_size=data.state_size,
            bounds=data.action_bounds,
            env_id=data.env_id,
            sha256=data.content_hash,
            lengths=np.diff(data.episode_bounds),
            returns=data.episode_returns(),
            facts={key: data.card[key] for key in FACTS if key in data.card},
        )


def check_compatible(parts: Sequence[SourceSummary]) -> None:
    """Check that all parts have the sizes, the action bounds and the environment of the first one.

    Raises:
        PotstillError: a part differs from the first one.
    """
    first = parts[0]
    for part in parts[1:]:
        for what, one, other in (
            ("state components", first.state_size, part.state_size),
            ("action components", len(first.bounds), len(part.bounds)),
            ("lowest actions", first.bounds.low.tolist(), part.bounds.low.tolist()),
            ("highest actions", first.bounds.high.tolist(), part.bounds.high.tolist()),
            ("environment", first.env_id, part.env_id),
            ("the rule of observations", *(str(each.facts.get(ENTRY)) for each in (first, part))),
            ("rewards", *("none" if "rewards" in each.facts else "some" for each in (first, part))),
        ):
            if one != other:
                raise PotstillError(f"{part.source} has {what} {other}, but {first.source} has {one}")


def select_rows(parts: Sequence[SourceSummary], selection: Selection) -> list[Bool[np.ndarray, " _"]]:
    """Return masks of the rows of each part to keep. Episodes and rows are drawn from all parts together.

    Raises:
        PotstillError: nothing is left, or there are fewer episodes or rows than ``selection`` asks for.
    """
    lengths = np.concatenate([part.lengths for part in parts])
    returns = np.concatenate([part.returns for part in parts])
    rng = np.random.default_rng(selection.seed)
    mask = np.repeat(select_episodes(returns, selection, rng), lengths)
    if selection.rows is not None:
        left = np.flatnonzero(mask)
        if selection.rows > len(left):
            raise PotstillError(f"cannot draw {selection.rows} rows: only {len(left)} remain")
        mask = np.zeros_like(mask)
        mask[left[rng.choice(len(left), selection.rows, replace=False)]] = True
    return np.split(mask, np.cumsum([part.lengths.sum() for part in parts])[:-1])


def select_episodes(
    returns: Float[np.ndarray, " E"], selection: Selection, rng: np.random.Generator
) -> Bool[np.ndarray, " E"]:
    """Return a mask of the episodes to keep: a random draw from the best share of those in the range of returns.

    Raises:
        PotstillError: nothing is left, or there are fewer episodes than ``selection`` asks for.
    """
    low = -np.inf if selection.min_return is None else selection.min_return
    high = np.inf if selection.max_return is None else selection.max_return
    left = np.flatnonzero((returns >= low) & (returns <= high))
    if not len(left):
        raise PotstillError(
            f"no episode has a return between {low:g} and {high:g}: the returns lie in [{returns.min():.4g}, "
            f"{returns.max():.4g}]"
        )
    best = np.argsort(-returns[left], kind="stable")[: max(1, round(selection.best_episodes * len(left)))]
    left = np.sort(left[best])
    if selection.episodes is not None:
        if selection.episodes > len(left):
            raise PotstillError(f"cannot draw {selection.episodes} episodes: only {len(left)} remain")
        left = rng.choice(left, selection.episodes, replace=False)
    kept = np.zeros(len(returns), np.bool_)
    kept[left] = True
    return kept


def read_kept(data: Transitions, kept: Bool[np.ndarray, " M"]) -> Iterator[dict[str, np.ndarray]]:
    """Read the kept rows of a dataset, block by block. An episode is truncated where the next row is not kept."""
    followed = np.append(kept[1:], False)
    for rows in iterate_blocks(data.observations):
        chosen = rows.start + np.flatnonzero(kept[rows])
        part = dict(zip(COLUMNS, gather(list(data.to_columns().values()), chosen), strict=True))
        part["truncations"] = part["truncations"] | (~followed[chosen] & ~part["terminations"])
        yield part


def sample_episodes(data: Transitions, max_rows: int) -> Transitions:
    """Load random whole episodes of a mapped dataset into memory, with at most ``max_rows`` rows in total.

    The draw has a fixed seed. If the first drawn episode is longer, the sample is its first ``max_rows`` rows.
    Data in memory, and data with at most ``max_rows`` rows, are returned unchanged.
    """
    if not data.mapped or len(data) <= max_rows:
        return data
    starts, lengths = data.episode_bounds[:-1], np.diff(data.episode_bounds)
    drawn = np.random.default_rng(0).permutation(len(starts))
    count = np.searchsorted(np.cumsum(lengths[drawn]), max_rows, side="right")
    if not count:
        return data.take(slice(int(starts[drawn[0]]), int(starts[drawn[0]]) + max_rows))
    return data.take(np.concatenate([np.arange(starts[i], starts[i] + lengths[i]) for i in np.sort(drawn[:count])]))
