"""The values that travel through the still, and the glossary of their axes.

Axis names, used in every shape annotation:

====  ==========================================
M     transitions in the dataset
S     components of a state (observation)
A     components of an action
B     states in one outer batch
N     synthetic (state, action) pairs
T     inner (student) training steps
K     students
====  ==========================================
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import InitVar, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from potstill.data.blocks import blocks, gather, records_of
from potstill.data.bounds import ActionBounds
from potstill.errors import PotstillError

COLUMNS = ("observations", "actions", "rewards", "next_observations", "terminations", "truncations")
SCALE_FLOOR = 1e-3  # added to the standard deviation, as the reference implementation does


@dataclass(frozen=True)
class Normaliser:
    """State standardisation: ``(s - mean) / scale``, with ``scale = std + 1e-3``.

    Every policy, teacher and distillate carries the one it was made with.

    >>> import numpy as np
    >>> n = Normaliser(mean=np.array([1.0]), scale=np.array([2.0]))
    >>> n(np.array([[5.0]])), n.invert(np.array([[2.0]]))
    (array([[2.]]), array([[5.]]))
    """

    mean: Float[np.ndarray, " S"]
    scale: Float[np.ndarray, " S"]

    @classmethod
    def of(cls, states: Float[np.ndarray, "M S"]) -> Normaliser:
        """Fit mean and scale to ``states`` (float64 sums, float32 result)."""
        contiguous = lambda rows: np.ascontiguousarray(states[rows])  # noqa: E731
        mean = sum(contiguous(rows).sum(axis=0, dtype=np.float64) for rows in blocks(states)) / len(states)
        squares = sum(np.square(contiguous(rows) - mean).sum(axis=0) for rows in blocks(states))
        scale = np.sqrt(squares / len(states)) + SCALE_FLOOR
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    @classmethod
    def identity(cls, size: int) -> Normaliser:
        """Leave states of ``size`` components as they are."""
        return cls(np.zeros(size, np.float32), np.ones(size, np.float32))

    def __call__(self, states: Any) -> Any:
        """Standardise states [..., S]; NumPy and JAX arrays alike."""
        return (states - self.mean) / self.scale

    def invert(self, states: Any) -> Any:
        """Return standardised states [..., S] to the environment's own units."""
        return states * self.scale + self.mean


@dataclass(frozen=True)
class Transitions:
    """An offline dataset: M transitions (s, a, r, s′) in the environment's own units.

    Rows keep the order in which they were gathered. ``terminations`` mark ends by the environment's
    own rule (bootstrapping stops there), ``truncations`` all other ends of an episode. Columns may be
    views of a memory-mapped file (:mod:`potstill.data.mapped`): then nothing here brings all of it into memory.

    Raises:
        PotstillError: when shapes disagree, or any value is not finite (column and row are named),
            or an action lies outside its bounds.
    """

    observations: Float[np.ndarray, "M S"]
    actions: Float[np.ndarray, "M A"]
    rewards: Float[np.ndarray, " M"]
    next_observations: Float[np.ndarray, "M S"]
    terminations: Bool[np.ndarray, " M"]
    truncations: Bool[np.ndarray, " M"]
    action_bounds: ActionBounds
    name: str = "unnamed"
    env_id: str | None = None
    card: dict[str, Any] = field(default_factory=dict)
    finite: InitVar[bool] = False  # whether all numbers are known to be finite: they are then not read again

    def __post_init__(self, finite: bool) -> None:
        from potstill.data.checks import check_transitions

        check_transitions(self, finite=finite)

    def __len__(self) -> int:
        return len(self.observations)

    @property
    def state_size(self) -> int:
        """S, the number of state components."""
        return self.observations.shape[1]

    @property
    def action_size(self) -> int:
        """A, the number of action components."""
        return self.actions.shape[1]

    @property
    def mapped(self) -> bool:
        """Whether the columns lie in a memory-mapped file of :mod:`potstill.data.mapped`, and not in memory."""
        return records_of(self.observations) is not None

    @functools.cached_property
    def normaliser(self) -> Normaliser:
        """The standardisation of this dataset's states."""
        return Normaliser.of(self.observations)

    @functools.cached_property
    def content_hash(self) -> str:
        """SHA-256 over names, shapes and bytes of all columns; independent of file format and name."""
        digest = hashlib.sha256()
        for column in COLUMNS:
            array = getattr(self, column)
            digest.update(f"{column}{array.shape}{array.dtype.str}".encode())
            for rows in blocks(array):
                digest.update(np.ascontiguousarray(array[rows]).data)
        return digest.hexdigest()

    @functools.cached_property
    def episode_ends(self) -> Bool[np.ndarray, " M"]:
        """True on the last row of each episode."""
        ends = np.empty(len(self), np.bool_)
        for rows in blocks(self.terminations):
            ends[rows] = self.terminations[rows] | self.truncations[rows]
        return ends

    def episode_returns(self) -> Float[np.ndarray, " E"]:
        """Undiscounted sum of rewards of each episode, in order."""
        ends = np.flatnonzero(self.episode_ends)
        starts = np.concatenate([[0], ends + 1])
        starts = starts[starts < len(self)]
        returns = np.zeros(len(starts), np.float64)
        for rows in blocks(self.rewards):  # an episode may lie in several
            inside = slice(np.searchsorted(starts, rows.start, "right") - 1, np.searchsorted(starts, rows.stop))
            begun = np.maximum(starts[inside] - rows.start, 0)
            returns[inside] += np.add.reduceat(self.rewards[rows].astype(np.float64), begun)
        return returns

    def take(self, rows: Any) -> Transitions:
        """The transitions at ``rows`` (indices or mask), in memory, with everything else unchanged.

        The standardisation also stays that of the whole dataset.
        """
        if not np.size(rows):
            raise PotstillError("an empty selection of transitions")
        found = gather([getattr(self, name) for name in COLUMNS], rows)
        columns: dict[str, Any] = dict(zip(COLUMNS, found, strict=True))
        taken = Transitions(
            **columns,
            action_bounds=self.action_bounds,
            name=self.name,
            env_id=self.env_id,
            card=self.card,
            finite=True,
        )
        vars(taken)["normaliser"] = self.normaliser  # where cached_property keeps it
        return taken
