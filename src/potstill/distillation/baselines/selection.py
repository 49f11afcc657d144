"""Baselines that select rows of the dataset."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int, PRNGKeyArray

from potstill.distillation.baselines.base import Baseline, Candidates, make_generator
from potstill.distillation.initial_states import cluster_states
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_fractions
from potstill.students.training import Pairs
from potstill.teachers.rows import check_order

Index = Int[np.ndarray, " N"]


@check_arguments
@dataclass(frozen=True)
class Selection(Baseline):
    """A baseline that selects rows. A subclass has a method ``select_rows``.

    Example:
        >>> import jax, potstill
        >>> class FirstRows(Selection):
        ...     def select_rows(self, candidates, size, rng):
        ...         return np.arange(size)
        >>> data = potstill.load_dataset("hopper-medium-replay")
        >>> FirstRows().make_pairs(data, None, 4, jax.random.key(0)).states.shape
        (4, 11)
    """

    labels: ClassVar[Literal["data", "teacher"]] = "data"
    """Whether pairs have the data's or the teacher's actions."""

    @abstractmethod
    def select_rows(self, candidates: Candidates, size: int, rng: np.random.Generator) -> Index:
        """Return the numbers of ``size`` different candidates."""

    def find_pairs(self, candidates: Candidates, size: int, key: PRNGKeyArray) -> Pairs:
        """Return the selected rows with their labels."""
        rows = self.select_rows(candidates, size, make_generator(key))
        return Pairs(
            candidates.states[rows], (candidates.actions if self.labels == "data" else candidates.targets)[rows]
        )


@check_arguments
@dataclass(frozen=True)
class RandomRows(Selection):
    """Any N rows, with the data's actions. The random selection of Lei, Zhang and Tao 2024.

    Example:
        >>> RandomRows().needs_teacher
        False
    """

    def select_rows(self, candidates: Candidates, size: int, rng: np.random.Generator) -> Index:
        """Draw rows with equal probability."""
        return rng.choice(len(candidates.index), size, replace=False)


@check_arguments
@dataclass(frozen=True)
class Medoids(Selection):
    """The states nearest to the centres of N clusters of states, with the teacher's actions.

    The clusters are those of k-means on at most 32,768 rows, see :mod:`potstill.distillation.initial_states`. These
    are the initial pairs of ``potstill distill``.

    Example:
        >>> Medoids().labels
        'teacher'
    """

    needs_teacher: ClassVar[bool] = True
    labels: ClassVar[Literal["data", "teacher"]] = "teacher"

    def select_rows(self, candidates: Candidates, size: int, rng: np.random.Generator) -> Index:
        """Return one row for each cluster."""
        return cluster_states(candidates.table, size, rng)


@check_arguments
@dataclass(frozen=True)
class BestEpisodes(Selection):
    """N random rows among the tenth of the rows whose episodes have the highest returns, with the data's actions.

    Returns are undiscounted. This is %BC (Chen et al. 2021, Decision Transformer) with N rows. Its usual share is a
    tenth. If N is larger than this share, the N rows of the highest returns are taken.

    Raises:
        PotstillError: the share is not in (0, 1]; the data have no rewards or are not in the order of their episodes
            (when pairs are made).

    Example:
        >>> BestEpisodes(share=0.05).labels
        'data'
    """

    share: float = 0.1
    """The share of the rows that N rows are drawn from."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_fractions(self, "share", one=True)

    def score_episodes(self, candidates: Candidates) -> Float[np.ndarray, " E"]:
        """The score of each episode."""
        if not candidates.data.has_rewards:
            raise PotstillError(f"{type(self).__name__} requires rewards, which {candidates.data.name} does not have")
        return candidates.data.episode_returns()

    def select_rows(self, candidates: Candidates, size: int, rng: np.random.Generator) -> Index:
        """Draw rows of the episodes with the highest scores."""
        data, rows = candidates.data, len(candidates.index)
        check_order(data, f"{type(self).__name__}", alternative="")
        episode = np.searchsorted(data.episode_bounds, candidates.index, side="right") - 1
        order = np.argsort(-self.score_episodes(candidates)[episode], kind="stable")
        pool = order[: max(size, math.ceil(self.share * rows))]
        return rng.choice(pool, size, replace=False)


@check_arguments
@dataclass(frozen=True)
class LongestEpisodes(BestEpisodes):
    """N random rows among the tenth of the rows whose episodes are longest, with the data's actions.

    Where episodes end by falling, the longest ones are those that do not fall. Rewards are not used.

    Example:
        >>> LongestEpisodes().share
        0.1
    """

    def score_episodes(self, candidates: Candidates) -> Float[np.ndarray, " E"]:
        """The number of steps of each episode."""
        return np.diff(candidates.data.episode_bounds).astype(np.float64)
