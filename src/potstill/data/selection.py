"""Which rows of several datasets are kept: by their episodes' returns, by episodes drawn, by rows drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from potstill.config import ConvertConfig
from potstill.data.blocks import blocks, gather
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import COLUMNS, Transitions
from potstill.errors import PotstillError


@dataclass(frozen=True)
class Part:
    """What one of several datasets is: enough to choose from it, and to refuse what does not fit."""

    source: Path | str
    """What the user calls it."""
    place: Path | str
    """Where it is read from."""
    state_size: int
    bounds: ActionBounds
    env_id: str | None
    sha256: str
    lengths: Int[np.ndarray, " E"]
    returns: Float[np.ndarray, " E"]

    @classmethod
    def of(cls, data: Transitions, source: Path | str, place: Path | str) -> Part:
        """The part that ``data`` from ``place`` are; where they end, their last episode does."""
        ends = np.flatnonzero(data.episode_ends)
        ends = ends if len(ends) and ends[-1] == len(data) - 1 else np.append(ends, len(data) - 1)
        papers = (data.state_size, data.action_bounds, data.env_id, data.content_hash)
        return cls(source, place, *papers, np.diff(ends, prepend=-1), data.episode_returns())


def check_alike(parts: Sequence[Part]) -> None:
    """Raise unless all parts have the sizes, the action bounds and the environment of the first."""
    first = parts[0]
    for part in parts[1:]:
        for what, one, other in (
            ("states", first.state_size, part.state_size),
            ("actions", len(first.bounds), len(part.bounds)),
            ("least actions", first.bounds.low.tolist(), part.bounds.low.tolist()),
            ("greatest actions", first.bounds.high.tolist(), part.bounds.high.tolist()),
            ("environment", first.env_id, part.env_id),
        ):
            if one != other:
                raise PotstillError(f"{part.source} does not fit {first.source}: {what} {other}, not {one}")


def kept_rows(parts: Sequence[Part], config: ConvertConfig) -> list[Bool[np.ndarray, " M"]]:
    """Which rows of each part are kept.

    Raises:
        PotstillError: nothing is left, or fewer episodes or rows than were asked for.
    """
    lengths = np.concatenate([part.lengths for part in parts])
    rng = np.random.default_rng(config.seed)
    kept = kept_episodes(np.concatenate([part.returns for part in parts]), config, rng)
    mask = np.repeat(kept, lengths)
    if config.rows is not None:
        left = np.flatnonzero(mask)
        if config.rows > len(left):
            raise PotstillError(f"--rows {config.rows}: only {len(left)} are left to draw from")
        mask = np.zeros_like(mask)
        mask[left[rng.choice(len(left), config.rows, replace=False)]] = True
    return np.split(mask, np.cumsum([part.lengths.sum() for part in parts])[:-1])


def kept_episodes(
    returns: Float[np.ndarray, " E"], config: ConvertConfig, rng: np.random.Generator
) -> Bool[np.ndarray, " E"]:
    """Which episodes are kept: by return, then the best share of these, then some of these at random."""
    low = -np.inf if config.min_return is None else config.min_return
    high = np.inf if config.max_return is None else config.max_return
    left = np.flatnonzero((returns >= low) & (returns <= high))
    if not len(left):
        raise PotstillError(
            f"no episode has a return between {low:g} and {high:g}: they lie in [{returns.min():.4g}, "
            f"{returns.max():.4g}]"
        )
    best = np.argsort(-returns[left], kind="stable")[: max(1, round(config.best_episodes * len(left)))]
    left = np.sort(left[best])
    if config.episodes is not None:
        if config.episodes > len(left):
            raise PotstillError(f"--episodes {config.episodes}: only {len(left)} are left to draw from")
        left = rng.choice(left, config.episodes, replace=False)
    kept = np.zeros(len(returns), np.bool_)
    kept[left] = True
    return kept


def kept_parts(data: Transitions, kept: Bool[np.ndarray, " M"]) -> Iterator[dict[str, np.ndarray]]:
    """The kept rows of a dataset, some at a time; an episode is cut where the row after is not kept."""
    followed = np.append(kept[1:], False)
    for rows in blocks(data.observations):
        chosen = rows.start + np.flatnonzero(kept[rows])
        part = dict(zip(COLUMNS, gather([getattr(data, name) for name in COLUMNS], chosen), strict=True))
        part["truncations"] = part["truncations"] | (~followed[chosen] & ~part["terminations"])
        yield part


def episode_sample(data: Transitions, most: int) -> Transitions:
    """Mapped data in memory: whole episodes drawn with a fixed seed, together at most ``most`` rows.

    Where not one episode is so short, the first ``most`` rows of one. Data in memory are returned as they are.
    """
    if not data.mapped or len(data) <= most:
        return data
    ends = np.append(np.flatnonzero(data.episode_ends), len(data) - 1)
    starts = np.append(0, ends[:-1] + 1)
    drawn = np.random.default_rng(0).permutation(np.flatnonzero(starts <= ends))
    count = np.searchsorted(np.cumsum((ends - starts + 1)[drawn]), most, side="right")
    if not count:
        return data.take(slice(int(starts[drawn[0]]), int(starts[drawn[0]]) + most))
    return data.take(np.concatenate([np.arange(starts[i], ends[i] + 1) for i in np.sort(drawn[:count])]))
