"""Recorded episodes, and the datasets that they form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from potstill.errors import PotstillError

COLUMNS = ("observations", "actions", "rewards")


@dataclass(frozen=True)
class Episode:
    """An episode of T steps, with T + 1 observations.

    An episode that is neither ``terminated`` nor ``truncated`` by the time limit is cut: its recording stopped before
    its end.
    """

    actions: Float[np.ndarray, "T A"] | Int[np.ndarray, " T"]
    """Actions, or the numbers of discrete actions."""
    rewards: Float[np.ndarray, " T"]
    observations: Float[np.ndarray, "T+1 S"]
    terminated: bool
    truncated: bool
    lane: int = 0
    """The index of the parallel environment."""

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def ended(self) -> bool:
        """Whether the episode was recorded to its end."""
        return self.terminated or self.truncated

    @property
    def total(self) -> float:
        """The undiscounted return."""
        return float(self.rewards.sum(dtype=np.float64))

    def take_first(self, steps: int) -> Episode:
        """Return the first ``steps`` steps as a cut episode, or the whole episode if it is not longer."""
        if steps >= len(self):
            return self
        return replace(
            self,
            observations=self.observations[: steps + 1],
            actions=self.actions[:steps],
            rewards=self.rewards[:steps],
            terminated=False,
            truncated=False,
        )


class OpenEpisode:
    """An episode that is being recorded.

    Args:
        observation: the first observation [S].
    """

    def __init__(self, observation: ArrayLike) -> None:
        self.observations = [np.asarray(observation, np.float32)]
        self.actions: list[np.ndarray] = []
        self.rewards: list[float] = []

    def __len__(self) -> int:
        return len(self.rewards)

    def add(self, action: ArrayLike, reward: float, after: ArrayLike) -> None:
        """Append a step and the observation after it."""
        self.observations.append(np.array(after, np.float32))
        discrete = np.asarray(action).dtype.kind in "iu"
        self.actions.append(np.array(action, np.int64 if discrete else np.float32))
        self.rewards.append(reward)

    def close(self, terminated: bool, truncated: bool, lane: int = 0) -> Episode:
        """Return the episode so far. It must have at least one step."""
        return Episode(
            observations=np.stack(self.observations),
            actions=np.stack(self.actions),
            rewards=np.array(self.rewards, np.float32),
            terminated=bool(terminated),
            truncated=bool(truncated and not terminated),
            lane=lane,
        )


@dataclass
class Recording:
    """Recorded episodes, in the order of the dataset."""

    episodes: list[Episode] = field(default_factory=list)
    rows: int = 0
    """The total number of steps."""

    def add(self, episode: Episode) -> None:
        """Append an episode."""
        self.episodes.append(episode)
        self.rows += len(episode)

    def with_episodes(self, episodes: Iterable[Episode]) -> Recording:
        """Return a copy with more episodes at the end."""
        longer = Recording(list(self.episodes), self.rows)
        for episode in episodes:
            longer.add(episode)
        return longer

    def take_first(self, rows: int) -> Recording:
        """Return a copy with the first ``rows`` steps. The last episode is cut if it is too long."""
        shorter, left = Recording(), rows
        for episode in self.episodes:
            if left <= 0:
                break
            shorter.add(episode.take_first(left))
            left -= len(episode)
        return shorter

    def list_returns(self) -> list[float]:
        """List the undiscounted returns of the episodes that were recorded to their end."""
        return [episode.total for episode in self.episodes if episode.ended]

    def to_columns(self) -> dict[str, np.ndarray]:
        """Return columns in D4RL's layout. A cut episode counts as timed out, unless it is the last one."""
        lasts = np.cumsum([len(episode) for episode in self.episodes]) - 1
        terminals, timeouts = np.zeros((2, self.rows), np.bool_)
        terminals[lasts] = [episode.terminated for episode in self.episodes]
        timeouts[lasts] = ~terminals[lasts]
        timeouts[-1] = self.episodes[-1].truncated
        return {
            "observations": np.concatenate([episode.observations[:-1] for episode in self.episodes]),
            "actions": self._concatenate("actions"),
            "rewards": self._concatenate("rewards"),
            "terminals": terminals,
            "timeouts": timeouts,
        }

    def _concatenate(self, column: str) -> np.ndarray:
        return np.concatenate([getattr(episode, column) for episode in self.episodes])

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the episodes as arrays for a checkpoint. :meth:`from_arrays` is the inverse."""
        if not self.episodes:
            return {}
        facts = [[len(episode), episode.terminated, episode.truncated, episode.lane] for episode in self.episodes]
        return {**{column: self._concatenate(column) for column in COLUMNS}, "episodes": np.array(facts, np.int64)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], *, source: str) -> Recording:
        """Rebuild a recording from :meth:`to_arrays`.

        Raises:
            PotstillError: the lengths of the arrays do not match.
        """
        recording = cls()
        if "episodes" not in arrays:
            return recording
        steps, states = 0, 0
        for length, terminated, truncated, lane in arrays["episodes"].tolist():
            own, seen = slice(steps, steps + length), slice(states, states + length + 1)
            recording.add(
                Episode(
                    actions=arrays["actions"][own],
                    rewards=arrays["rewards"][own],
                    observations=arrays["observations"][seen],
                    terminated=bool(terminated),
                    truncated=bool(truncated),
                    lane=lane,
                )
            )
            steps, states = own.stop, seen.stop
        if (len(arrays["rewards"]), len(arrays["actions"]), len(arrays["observations"])) != (steps, steps, states):
            raise PotstillError(f"{source}: the lengths of the episodes do not sum to the number of rows")
        return recording
