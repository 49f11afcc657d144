"""The interface of baselines, and the rows that they choose from."""

from __future__ import annotations

import dataclasses
import functools
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from potstill.data.split import select_training_rows
from potstill.data.transitions import Transitions
from potstill.distillation.objectives.base import StateTable
from potstill.distillation.state_table import build_state_table
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_types
from potstill.students.recipe import RECIPES, Recipe
from potstill.students.training import Pairs
from potstill.teachers.base import Teacher


@check_arguments
@dataclass(frozen=True, eq=False)
class Candidates:
    """The training rows of a dataset, from which pairs may come. All columns are computed on first use.

    M is the number of rows, S of state components and A of action components.

    Example:
        >>> import potstill
        >>> data = potstill.load_dataset("hopper-medium-replay")
        >>> Candidates(data, None, np.arange(3)).states.shape
        (3, 11)
    """

    data: Transitions
    teacher: Teacher | None
    index: Int[np.ndarray, " M"]
    """The numbers of the rows in the dataset."""

    @functools.cached_property
    def states(self) -> Float[Array, "M S"]:
        """Standardised states: by the teacher's normaliser, or by the data's without a teacher."""
        normaliser = (self.data if self.teacher is None else self.teacher).normaliser
        return jnp.asarray(normaliser(self.data.observations[self.index]), jnp.float32)

    @functools.cached_property
    def actions(self) -> Float[Array, "M A"]:
        """The data's actions, in [−1, 1]; for discrete actions, vectors with a single 1."""
        unit = self.data.action_bounds.to_unit(self.data.actions[self.index])
        return jnp.asarray(unit, jnp.float32)

    @functools.cached_property
    def table(self) -> StateTable:
        """The state table of the rows, with the teacher's actions and values."""
        return build_state_table(self.data, self.teacher, index=self.index)

    @functools.cached_property
    def targets(self) -> Float[Array, "M A"]:
        """The actions to clone: the teacher's, or the data's without a teacher."""
        return self.actions if self.teacher is None else self.table.teacher_actions

    def draw_pairs(self, size: int, rng: np.random.Generator) -> Pairs:
        """Draw ``size`` different rows as pairs, with the actions to clone."""
        rows = rng.choice(len(self.index), size, replace=False)
        return Pairs(self.states[rows], self.targets[rows])


@check_arguments
@dataclass(frozen=True)
class Baseline(ABC):
    """A way to make N pairs from a dataset. A subclass is a frozen dataclass with a method ``find_pairs``.

    Raises:
        PotstillError: a field has a wrong type, or the recipe samples actions.

    Example:
        >>> @dataclass(frozen=True)
        ... class FirstRows(Baseline):
        ...     def find_pairs(self, candidates, size, key):
        ...         return Pairs(candidates.states[:size], candidates.actions[:size])
        >>> import potstill
        >>> data = potstill.load_dataset("hopper-medium-replay")
        >>> FirstRows().make_pairs(data, None, 4, jax.random.key(0)).actions.shape
        (4, 3)
    """

    needs_teacher: ClassVar[bool] = False
    """Whether it uses the teacher's actions or values."""
    plays: ClassVar[bool] = False
    """Whether it plays in the environment. All others use the dataset alone."""

    recipe: Recipe = RECIPES["default"]
    """The recipe of the students that the pairs are for. Baselines that only select rows do not use it."""

    def __post_init__(self) -> None:
        check_types(self)
        if self.recipe.sampled:
            raise PotstillError(f"{type(self).__name__} requires a recipe that trains on mean actions")

    @abstractmethod
    def find_pairs(self, candidates: Candidates, size: int, key: PRNGKeyArray) -> Pairs:
        """Return ``size`` pairs: standardised states and actions in [−1, 1].

        Args:
            candidates: the training rows of the dataset, and the teacher.
            size: N, at most the number of candidates.
            key: determines everything random.
        """

    def make_pairs(self, data: Transitions, teacher: Teacher | None, size: int, key: PRNGKeyArray) -> Pairs:
        """Make N pairs from the training rows of a dataset.

        Args:
            data: the dataset.
            teacher: gives actions and values; ``None`` if there is none.
            size: N.
            key: determines everything random. The same key gives the same pairs.

        Returns:
            States [N, S], standardised by the teacher's normaliser (by the data's without a teacher), and actions
            [N, A] in [−1, 1]; for discrete actions, probabilities.

        Raises:
            PotstillError: there are more pairs than training rows, there is no teacher or no environment although the
                baseline needs one, or the pairs are not finite.
        """
        rows = select_training_rows(len(data))
        if not 1 <= size <= len(rows):
            raise PotstillError(f"{size} pairs: expected 1 to {len(rows)}, the training rows of {data.name}")
        if self.needs_teacher and teacher is None:
            raise PotstillError(f"{type(self).__name__} requires a teacher")
        if self.plays and data.env_id is None:
            raise PotstillError(f"{type(self).__name__} plays in the environment, but {data.name} names none")
        recipe = self.recipe.fit_to_actions(discrete=data.action_bounds.discrete)
        found = dataclasses.replace(self, recipe=recipe).find_pairs(Candidates(data, teacher, rows), size, key)
        if not all(bool(jnp.isfinite(column).all()) for column in (found.states, found.actions)):
            raise PotstillError(f"{type(self).__name__} diverged: its pairs are not finite; lower its learning rate")
        return found


def make_generator(key: PRNGKeyArray) -> np.random.Generator:
    """Make NumPy's generator of random numbers from a key."""
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
