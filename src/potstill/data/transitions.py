"""Offline datasets as arrays, and the symbols of the axes in all shape annotations.

====  ======================================
M     transitions in the dataset
S     components of a state (observation)
A     components of an action
E     episodes
B     states in one outer batch
N     synthetic (state, action) pairs
T     inner (student) training steps
K     students
L     parallel environments (lanes)
====  ======================================
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from potstill.data.blocks import find_records, gather, iterate_blocks
from potstill.data.bounds import ActionBounds, describe_bounds
from potstill.data.checks import check_transitions
from potstill.environments.observations.rule import ENTRY, ObservationRule, read_rule
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.arrays import AnyArray
from potstill.runtime.html import make_html_table
from potstill.runtime.validation import as_numbers, check_least

COLUMNS = ("observations", "actions", "rewards", "next_observations", "terminations", "truncations")
NO_REWARDS = "none"  # of the entry ``rewards`` of a card
SCALE_FLOOR = 1e-3  # added to the standard deviation, as the reference implementation does

States = TypeVar("States", bound=AnyArray)  # NumPy or JAX arrays [..., S]


@check_arguments
@dataclass(frozen=True)
class Normaliser:
    """Standardisation of states: ``(s − mean) / scale`` with ``scale = std + 0.001``.

    Every policy, teacher and distillate stores the normaliser that it was made with.

    Args:
        mean: mean of each component [S].
        scale: standard deviation of each component plus 0.001 [S], positive. Lists are converted to float32 arrays.

    Raises:
        PotstillError: the lengths differ, a number is not finite, or a scale is not positive.

    Example:
        >>> import numpy as np
        >>> normaliser = Normaliser(mean=np.array([1.0]), scale=np.array([2.0]))
        >>> normaliser(np.array([[5.0]])), normaliser.invert(np.array([[2.0]]))
        (array([[2.]]), array([[5.]]))
    """

    mean: Float[np.ndarray, " S"]
    scale: Float[np.ndarray, " S"]

    def __post_init__(self) -> None:
        for name in ("mean", "scale"):
            object.__setattr__(self, name, as_numbers(f"Normaliser.{name}", getattr(self, name), axes=1))
        if not (self.scale > 0.0).all():
            i = int(np.argmax(self.scale <= 0.0))
            raise PotstillError(f"Normaliser.scale[{i}] is {self.scale[i]:g}: expected a number above 0")

    @classmethod
    def of(cls, states: Float[np.ndarray, "M S"]) -> Normaliser:
        """Fit mean and scale to ``states`` [M, S]. Sums are computed in float64, the result is float32."""
        parts: Iterator[np.ndarray] = (np.ascontiguousarray(states[rows]) for rows in iterate_blocks(states))
        mean = sum((part.sum(axis=0, dtype=np.float64) for part in parts), np.zeros(())) / len(states)
        parts = (np.ascontiguousarray(states[rows]) for rows in iterate_blocks(states))
        squares = sum((np.square(part - mean).sum(axis=0) for part in parts), np.zeros(()))
        scale = np.sqrt(squares / len(states)) + SCALE_FLOOR
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    @classmethod
    def identity(cls, size: int) -> Normaliser:
        """Return a normaliser that does not change states of ``size`` components."""
        check_least("Normaliser.identity: size", size, 1)
        return cls(np.zeros(size, np.float32), np.ones(size, np.float32))

    def __call__(self, states: States) -> States:
        """Standardise states [..., S]. Takes NumPy and JAX arrays."""
        standardised: States = (states - self.mean) / self.scale
        return standardised

    def invert(self, states: States) -> States:
        """Convert standardised states [..., S] back to the environment's units. Takes NumPy and JAX arrays."""
        original: States = states * self.scale + self.mean
        return original


@check_arguments
@dataclass(frozen=True, repr=False, eq=False)
class Transitions:
    """An offline dataset of M transitions (s, a, r, s′) in the environment's units.

    Rows are in the order in which they were recorded. Columns may be views of a memory-mapped file
    (:mod:`potstill.data.mapped`); no method loads a whole mapped column into memory.

    Args:
        observations: states s [M, S], float32.
        actions: actions a [M, A], float32.
        rewards: rewards r [M], float32.
        next_observations: next states s′ [M, S], float32.
        terminations: ends of episodes by the environment's own rule [M]: no value is bootstrapped there.
        truncations: all other ends of episodes, such as time-outs [M].
        action_bounds: the box that actions lie in.
        name: name of the dataset.
        env_id: Gymnasium id of its environment, or ``None``.
        card: where the dataset comes from, as JSON-compatible values.
        finite: whether the numbers are known to be finite and the actions inside their bounds, so that they need no
            checks.

    Raises:
        PotstillError: shapes disagree, a value is not finite (the message has its column and row), or an action
            lies outside its bounds.

    Example:
        >>> import numpy as np
        >>> two = Transitions(
        ...     observations=np.zeros((2, 3), np.float32), actions=np.zeros((2, 1), np.float32),
        ...     rewards=np.ones(2, np.float32), next_observations=np.zeros((2, 3), np.float32),
        ...     terminations=np.array([False, True]), truncations=np.array([False, False]),
        ...     action_bounds=ActionBounds.unit(1), name="two",
        ... )
        >>> two
        Transitions('two': 2 rows, 3 state and 1 action components, no environment, actions in [-1, 1])
        >>> two.episode_returns().tolist()
        [2.0]
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
    card: dict[str, object] = field(default_factory=dict)
    finite: InitVar[bool] = False

    @classmethod
    def of(
        cls,
        columns: Mapping[str, np.ndarray],
        action_bounds: ActionBounds,
        *,
        name: str = "unnamed",
        env_id: str | None = None,
        card: dict[str, object] | None = None,
        finite: bool = False,
    ) -> Transitions:
        """Make a dataset from its six columns by name. The other arguments are those of the constructor.

        Raises:
            PotstillError: a column is missing.
        """
        lacking = [column for column in COLUMNS if column not in columns]
        if lacking:
            raise PotstillError(f"Transitions.of: columns have no '{lacking[0]}': expected {', '.join(COLUMNS)}")
        six = {column: columns[column] for column in COLUMNS}
        return cls(**six, action_bounds=action_bounds, name=name, env_id=env_id, card=card or {}, finite=finite)

    def __post_init__(self, finite: bool) -> None:
        check_transitions(self.to_columns(), self.action_bounds, source=self.name, finite=finite)

    def __getattr__(self, name: str) -> np.ndarray:
        """Compute ``next_observations`` of rows in order. Python calls this method for missing attributes."""
        if name != "next_observations" or "_successors" not in vars(self):
            raise AttributeError(f"'Transitions' object has no attribute '{name}'")
        after: np.ndarray = vars(self).pop("_successors").to_array()
        vars(self)["next_observations"] = after
        return after

    def __len__(self) -> int:
        return len(self.observations)

    def __repr__(self) -> str:
        return (
            f"Transitions('{self.name}': {len(self):,} rows, {self.state_size} state and {self.action_size} action "
            f"components, {self.env_id or 'no environment'}, actions in {describe_bounds(self.action_bounds)})"
        )

    def _repr_html_(self) -> str:
        """Make a table for notebooks."""
        facts = {
            "rows": f"{len(self):,}",
            "state components": self.state_size,
            "action components": self.action_size,
            "environment": self.env_id,
            "action bounds": describe_bounds(self.action_bounds),
            "stored": "memory-mapped file" if self.mapped else "memory",
        }
        return make_html_table(f"Transitions: {self.name}", facts)

    def to_columns(self) -> dict[str, np.ndarray]:
        """Return the six columns by name, not copied."""
        return {name: getattr(self, name) for name in COLUMNS}

    @property
    def state_size(self) -> int:
        """S, the number of state components."""
        return int(self.observations.shape[1])

    @property
    def action_size(self) -> int:
        """A, the number of action components."""
        return int(self.actions.shape[1])

    @property
    def has_rewards(self) -> bool:
        """Whether the dataset has rewards. If not, ``rewards`` are 0."""
        return self.card.get("rewards") != NO_REWARDS

    @property
    def in_order(self) -> bool:
        """Whether next observations are those of the following rows and have not been used as an array yet."""
        return "_successors" in vars(self)

    @property
    def mapped(self) -> bool:
        """Whether the columns are views of a memory-mapped file (:mod:`potstill.data.mapped`)."""
        return find_records(self.observations) is not None

    @functools.cached_property
    def rule(self) -> ObservationRule | None:
        """How observations became these states, if they were no vectors: the rule in the card."""
        return read_rule(self.card.get(ENTRY), self.state_size)

    @functools.cached_property
    def normaliser(self) -> Normaliser:
        """The standardisation of this dataset's states."""
        return Normaliser.of(self.observations)

    @functools.cached_property
    def content_hash(self) -> str:
        """SHA-256 of the names, shapes and bytes of all columns. It does not depend on file format or name."""
        digest = hashlib.sha256()
        for name, column in self.to_columns().items():
            digest.update(f"{name}{column.shape}{column.dtype.str}".encode())
            for rows in iterate_blocks(column):
                digest.update(np.ascontiguousarray(column[rows]).data)
        return digest.hexdigest()

    @functools.cached_property
    def episode_ends(self) -> Bool[np.ndarray, " M"]:
        """Whether each row is the last of its episode."""
        ends = np.empty(len(self), np.bool_)
        for rows in iterate_blocks(self.terminations):
            ends[rows] = self.terminations[rows] | self.truncations[rows]
        return ends

    @functools.cached_property
    def episode_bounds(self) -> Int[np.ndarray, " n"]:
        """The first row of each of E episodes, then the number of rows. The last episode may be incomplete."""
        bounds = np.concatenate([[0], np.flatnonzero(self.episode_ends) + 1, [len(self)]])
        return bounds[:-1] if self.episode_ends[-1] else bounds

    def episode_returns(self) -> Float[np.ndarray, " E"]:
        """Compute the undiscounted return of each episode [E], in order. The last episode may be incomplete."""
        starts = self.episode_bounds[:-1]
        returns = np.zeros(len(starts), np.float64)
        for rows in iterate_blocks(self.rewards):  # an episode may extend over several blocks
            inside = slice(np.searchsorted(starts, rows.start, "right") - 1, np.searchsorted(starts, rows.stop))
            first = np.maximum(starts[inside] - rows.start, 0)
            returns[inside] += np.add.reduceat(self.rewards[rows].astype(np.float64), first)
        return returns

    def take(self, rows: slice | Sequence[int] | np.ndarray) -> Transitions:
        """Return the chosen transitions, in memory. All else is unchanged, including the normaliser of all rows.

        Args:
            rows: indices, a mask or a slice.

        Raises:
            PotstillError: ``rows`` is empty, or contains something other than numbers of rows.
        """
        if not np.size(rows):  # type: ignore[arg-type]  # 1 for a slice
            raise PotstillError("Transitions.take: an empty selection of rows: expected at least one")
        try:
            columns = dict(zip(COLUMNS, gather(list(self.to_columns().values()), rows), strict=True))
        except (IndexError, TypeError, ValueError) as error:
            raise PotstillError(f"Transitions.take: rows of {len(self):,}: {error}") from None
        taken = Transitions.of(
            columns, self.action_bounds, name=self.name, env_id=self.env_id, card=self.card, finite=True
        )
        vars(taken).update(normaliser=self.normaliser, rule=self.rule)  # fills the caches of the cached properties
        return taken
