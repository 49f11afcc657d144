"""Episodes as they are recorded, and the dataset that they make up, in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from potstill.errors import PotstillError

COLUMNS = ("observations", "actions", "rewards")


@dataclass(frozen=True)
class Episode:
    """What an environment showed, was given and answered: T steps, T + 1 observations.

    An episode that neither ``terminated`` nor was ``truncated`` (by the time limit) was cut: the recording
    stopped within it.
    """

    actions: Float[np.ndarray, "T A"]
    rewards: Float[np.ndarray, " T"]
    observations: Float[np.ndarray, "T+1 S"]
    terminated: bool
    truncated: bool
    lane: int = 0
    """Which of the environments side by side it was played in."""

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def ended(self) -> bool:
        """Whether the environment ended it."""
        return self.terminated or self.truncated

    @property
    def total(self) -> float:
        """Undiscounted return."""
        return float(self.rewards.sum(dtype=np.float64))

    def head(self, steps: int) -> Episode:
        """The first ``steps`` steps: a cut episode, unless that is all of them."""
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
    """An episode that is being played."""

    def __init__(self, observation: Any) -> None:
        self.observations = [np.asarray(observation, np.float32)]
        self.actions: list[np.ndarray] = []
        self.rewards: list[float] = []

    def __len__(self) -> int:
        return len(self.rewards)

    def add(self, action: Any, reward: float, after: Any) -> None:
        """Append a step and the observation after it."""
        self.observations.append(np.array(after, np.float32))
        self.actions.append(np.array(action, np.float32))
        self.rewards.append(reward)

    def close(self, terminated: bool, truncated: bool, lane: int = 0) -> Episode:
        """The episode so far, of at least one step."""
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
    """Episodes one after the other."""

    episodes: list[Episode] = field(default_factory=list)
    rows: int = 0

    def add(self, episode: Episode) -> None:
        """Append an episode."""
        self.episodes.append(episode)
        self.rows += len(episode)

    def plus(self, episodes: Iterable[Episode]) -> Recording:
        """The same with more episodes at the end."""
        longer = Recording(list(self.episodes), self.rows)
        for episode in episodes:
            longer.add(episode)
        return longer

    def head(self, rows: int) -> Recording:
        """The first ``rows`` steps; the last episode is cut where that is within it."""
        kept, left = Recording(), rows
        for episode in self.episodes:
            if left <= 0:
                break
            kept.add(episode.head(left))
            left -= len(episode)
        return kept

    def returns(self) -> list[float]:
        """Undiscounted returns of the episodes that ended."""
        return [episode.total for episode in self.episodes if episode.ended]

    def columns(self) -> dict[str, np.ndarray]:
        """Rows as in D4RL's files: an episode that was cut counts as timed out, but for the very last one."""
        lasts = np.cumsum([len(episode) for episode in self.episodes]) - 1
        terminals, timeouts = np.zeros((2, self.rows), np.bool_)
        terminals[lasts] = [episode.terminated for episode in self.episodes]
        timeouts[lasts] = ~terminals[lasts]
        timeouts[-1] = self.episodes[-1].truncated
        return {
            "observations": np.concatenate([episode.observations[:-1] for episode in self.episodes]),
            "actions": self._joined("actions"),
            "rewards": self._joined("rewards"),
            "terminals": terminals,
            "timeouts": timeouts,
        }

    def _joined(self, column: str) -> np.ndarray:
        return np.concatenate([getattr(episode, column) for episode in self.episodes])

    def arrays(self) -> dict[str, np.ndarray]:
        """The same episodes as a few arrays; :meth:`from_arrays` gives them back."""
        if not self.episodes:
            return {}
        papers = [[len(episode), episode.terminated, episode.truncated, episode.lane] for episode in self.episodes]
        return {**{column: self._joined(column) for column in COLUMNS}, "episodes": np.array(papers, np.int64)}

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray], *, source: str) -> Recording:
        """Rebuild a recording.

        Raises:
            PotstillError: the arrays do not fit together.
        """
        recording = cls()
        if "episodes" not in arrays:
            return recording
        steps, states = 0, 0
        for length, terminated, truncated, lane in arrays["episodes"].tolist():
            rows, seen = slice(steps, steps + length), slice(states, states + length + 1)
            columns = {"actions": arrays["actions"][rows], "rewards": arrays["rewards"][rows]}
            observations = arrays["observations"][seen]
            recording.add(
                Episode(
                    **columns,
                    observations=observations,
                    terminated=bool(terminated),
                    truncated=bool(truncated),
                    lane=lane,
                )
            )
            steps, states = rows.stop, seen.stop
        if (len(arrays["rewards"]), len(arrays["actions"]), len(arrays["observations"])) != (steps, steps, states):
            raise PotstillError(f"{source}: its episodes do not add up to its rows")
        return recording
