"""Action spaces: the box that actions lie in, with the scaling from it to [−1, 1]; or a finite set of actions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float

from potstill.errors import PotstillError, name_option
from potstill.runtime.arguments import check_arguments
from potstill.runtime.arrays import AnyArray
from potstill.runtime.validation import as_numbers, check_least

MOST_ACTIONS = 1 << 10  # of a finite set. Each is a component of every row's action, so larger sets need much memory.
Actions = TypeVar("Actions", bound=AnyArray)  # NumPy or JAX arrays [..., A]


@check_arguments
@dataclass(frozen=True, eq=False)
class ActionBounds:
    """Lowest and highest value of each action component, in the environment's own units.

    Networks and objectives use unit actions u in [−1, 1]. The environment uses actions a in its own units:

        u = 2 (a − low) / (high − low) − 1,        a = low + (u + 1) (high − low) / 2

    Args:
        low: lowest values [A], finite, each below ``high``. Lists are converted to float32 arrays.
        high: highest values [A], finite.

    Raises:
        PotstillError: if the shapes differ, a bound is not finite, or a lower bound is not below its upper one.

    Example:
        >>> import numpy as np
        >>> bounds = ActionBounds(np.array([0.0, -1.0]), np.array([10.0, 1.0]))
        >>> bounds.to_unit(np.array([5.0, 1.0])).tolist(), bounds.from_unit(np.array([1.0, 0.0])).tolist()
        ([0.0, 1.0], [10.0, 0.0])
    """

    low: Float[np.ndarray, " A"]
    high: Float[np.ndarray, " A"]

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            object.__setattr__(self, name, as_numbers(f"ActionBounds.{name}", getattr(self, name), axes=1))
        wrong = np.flatnonzero(self.low >= self.high)
        if len(wrong):
            i = int(wrong[0])
            raise PotstillError(
                f"ActionBounds [{self.low[i]:g}, {self.high[i]:g}] of component {i}: low must be less than high"
            )

    @classmethod
    def unit(cls, size: int) -> ActionBounds:
        """Return bounds of ±1 for ``size`` components."""
        check_least("ActionBounds.unit: size", size, 1)
        return cls(-np.ones(size, np.float32), np.ones(size, np.float32))

    def __len__(self) -> int:
        """A, the number of action components."""
        return len(self.low)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ActionBounds):
            return NotImplemented
        return (
            self.discrete == other.discrete
            and np.array_equal(self.low, other.low)
            and np.array_equal(self.high, other.high)
        )

    def __hash__(self) -> int:
        return hash((self.low.tobytes(), self.high.tobytes()))

    @property
    def discrete(self) -> bool:
        """Whether the actions are a finite set, see :class:`DiscreteActions`."""
        return False

    def to_unit(self, actions: Actions) -> Actions:
        """Scale actions [..., A] from the bounds to [−1, 1]. Takes NumPy and JAX arrays."""
        unit: Actions = (actions - self.low) / (self.high - self.low) * 2.0 - 1.0
        return unit

    def from_unit(self, unit: Actions) -> Actions:
        """Scale unit actions [..., A] from [−1, 1] to the bounds. Takes NumPy and JAX arrays."""
        actions: Actions = self.low + (unit + 1.0) * 0.5 * (self.high - self.low)  # type: ignore[operator]
        return actions

    def choose_actions(self, unit: np.ndarray) -> np.ndarray:
        """Turn the outputs of a policy [..., A] into actions of the environment: here :meth:`from_unit`."""
        return self.from_unit(unit)

    def draw_uniform(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw ``count`` actions [count, A] of the environment uniformly between the bounds."""
        drawn: np.ndarray = rng.uniform(self.low, self.high, (count, len(self))).astype(np.float32)
        return drawn

    def clip(self, actions: Float[np.ndarray, "*B A"]) -> Float[np.ndarray, "*B A"]:
        """Move actions [..., A] that lie outside the bounds to the nearest bound."""
        clipped: np.ndarray = np.clip(actions, self.low, self.high)
        return clipped

    def is_outside(self, actions: Float[np.ndarray, "*B A"], slack: float = 0.0) -> Bool[np.ndarray, "*B"]:
        """Whether each action [..., A] lies outside the bounds in some component.

        Args:
            actions: in the environment's own units.
            slack: tolerated excess, as a fraction of each component's range.
        """
        room = slack * (self.high - self.low)
        wrong: np.ndarray = np.any((actions < self.low - room) | (actions > self.high + room), axis=-1)
        return wrong


@check_arguments
class DiscreteActions(ActionBounds):
    """A finite set of actions, which the environment numbers 0, 1, …, A − 1.

    Inside potstill, an action is a vector of A probabilities. In a dataset, it has 1 for the action that was taken and
    0 for all others; for a policy, it has π(a | s) for each a. These vectors lie in the box [0, 1]^A and need no
    scaling: :meth:`to_unit` and :meth:`from_unit` return their argument. The environment takes the number of the most
    probable action, which :meth:`choose_actions` returns.

    Args:
        count: A, the number of actions, at least 2.

    Raises:
        PotstillError: there are fewer than 2 actions, or more than 1,024.

    Example:
        >>> import numpy as np
        >>> actions = DiscreteActions(3)
        >>> actions.to_vectors(np.array([2, 0])).tolist(), actions.choose_actions(np.array([[0.2, 0.5, 0.3]])).tolist()
        ([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]], [1])
    """

    def __init__(self, count: int) -> None:
        check_least("DiscreteActions.count", count, 2)
        if count > MOST_ACTIONS:
            raise PotstillError(f"DiscreteActions.count {count}: expected at most {MOST_ACTIONS}")
        super().__init__(np.zeros(count, np.float32), np.ones(count, np.float32))

    def __repr__(self) -> str:
        return f"DiscreteActions({len(self)})"

    @property
    def discrete(self) -> bool:
        """True."""
        return True

    def to_unit(self, actions: Actions) -> Actions:
        """Return the vectors [..., A] unchanged."""
        return actions

    def from_unit(self, unit: Actions) -> Actions:
        """Return the vectors [..., A] unchanged."""
        return unit

    def choose_actions(self, unit: np.ndarray) -> np.ndarray:
        """Return the numbers [...] of the most probable actions in vectors [..., A]; of equal ones, the lowest."""
        return np.asarray(np.argmax(unit, axis=-1))

    def draw_uniform(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw the numbers of ``count`` actions [count] uniformly."""
        drawn: np.ndarray = rng.integers(len(self), size=count)
        return drawn

    def to_vectors(self, numbers: np.ndarray) -> np.ndarray:
        """Turn the numbers of actions [...] into vectors [..., A], float32.

        Raises:
            PotstillError: a number is not one of 0, 1, …, A − 1.
        """
        wrong = (numbers < 0) | (numbers >= len(self)) | (numbers != np.rint(numbers))
        if wrong.any():
            row = int(np.flatnonzero(wrong.reshape(-1))[0])
            raise PotstillError(
                f"action {numbers.reshape(-1)[row]:g} in row {row} ({int(wrong.sum())} such values): expected whole "
                f"numbers from 0 to {len(self) - 1}"
            )
        vectors = np.zeros((*np.shape(numbers), len(self)), np.float32)
        np.put_along_axis(vectors, np.asarray(numbers, np.int64)[..., None], 1.0, axis=-1)
        return vectors

    def is_hard(self, vectors: np.ndarray, slack: float = 1e-6) -> np.ndarray:
        """Whether each vector [..., A] has 1 for one action and 0 for all others."""
        hard: np.ndarray = np.isclose(vectors.max(axis=-1), 1.0, atol=slack) & np.isclose(
            np.abs(vectors).sum(axis=-1), 1.0, atol=slack * len(self)
        )
        return hard


def describe_bounds(bounds: ActionBounds, most: int = 4) -> str:
    """Describe bounds in an error message: once if all components share them, else those of the first few components.

    >>> describe_bounds(ActionBounds([0.0, 15.0], [3000.0, 35.0]))
    '[0, 3000] × [15, 35]'
    >>> describe_bounds(DiscreteActions(3))
    '{0, 1, 2}'
    """
    if bounds.discrete:
        return f"{{0, 1, {'2' if len(bounds) == 3 else f'…, {len(bounds) - 1}'}}}" if len(bounds) > 2 else "{0, 1}"
    pairs = [f"[{low:.4g}, {high:.4g}]" for low, high in zip(bounds.low.tolist(), bounds.high.tolist(), strict=True)]
    if len(set(pairs)) == 1:
        return pairs[0]
    return " × ".join(pairs[:most]) + (f" × … ({len(pairs)} components)" if len(pairs) > most else "")


def describe_remedies(low: np.ndarray, high: np.ndarray) -> str:
    """Describe the options for actions in [``low``, ``high``] that are outside their bounds.

    >>> describe_remedies(np.array([0.0, -5.0]), np.array([3000.0, 4.0]))
    "state the bounds with action_low=[0, -5] and action_high=[3000, 4], convert another unit with \
out_of_bounds='scale', or clip overshoot with out_of_bounds='clip'"
    """
    scale, clip = (name_option("out_of_bounds", way) for way in ("scale", "clip"))
    return (
        f"state the bounds with {name_bounds(low, high)}, convert another unit with {scale}, or clip overshoot with "
        f"{clip}"
    )


def name_bounds(low: np.ndarray, high: np.ndarray) -> str:
    """Name the options that state these bounds.

    >>> name_bounds(np.array([0.0, -5.0]), np.array([3000.0, 4.0]))
    'action_low=[0, -5] and action_high=[3000, 4]'
    """
    return f"{name_option('action_low', *low.tolist())} and {name_option('action_high', *high.tolist())}"
