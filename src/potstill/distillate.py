"""The distillate: N pairs and everything that is needed to train a student on them."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from potstill.bundled import find_artefact_path
from potstill.data.scaling import Scaled, Scaling
from potstill.environments.observations.rule import ENTRY, ObservationRule, read_rule
from potstill.environments.references import Reference, find_reference_returns
from potstill.errors import PotstillError, name_option, naming_options, naming_source, repeat_warnings
from potstill.networks.policy import Policy
from potstill.runtime import storage
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject, StrPath
from potstill.runtime.html import make_html_table
from potstill.runtime.validation import as_numbers
from potstill.students.ensemble import Students, train_students
from potstill.students.recipe import RECIPES, Recipe, read_recipe
from potstill.students.training import Pairs
from potstill.worlds.base import World
from potstill.worlds.returns import measure_imagined_returns

CHOICE_EPISODES = 10  # imagined episodes of each student if one is chosen
KINDS = {"env_id": str, "recipe": str, "student": dict, "reference": dict, "mixture": dict}
"""Types of entries of the metadata."""
REQUIRED = ("env_id", "dataset", "objective", "solver", "recipe", "potstill")


@check_arguments
@dataclass(frozen=True, repr=False)
class Distillate(Scaled):
    """N synthetic pairs in the units of the environment, with a record of how they were made.

    Discrete actions are probabilities of all A actions: soft labels.

    ``metadata`` contains the environment's id, the dataset (name, hash), the teacher (hash), the objective, weighting,
    solver, recipe and settings, the command, and the version of potstill.

    Raises:
        PotstillError: shapes disagree, a number is not finite, or a weight is not positive.

    Example:
        >>> import potstill
        >>> distillate = potstill.load("hopper-medium-replay")
        >>> distillate
        Distillate(256 pairs, 11 states, 3 actions, Hopper-v5, recipe default)
        >>> own = Distillate(distillate.states[:64], distillate.actions[:64], distillate.scaling, distillate.metadata)
        >>> len(own), own.pairs.states.shape
        (64, (64, 11))
    """

    states: Float[np.ndarray, "N S"]
    """States, in the units of the environment."""
    actions: Float[np.ndarray, "N A"]
    """Target actions. For some recipes they exceed the environment's bounds; the students' own actions never do."""
    scaling: Scaling
    """The normaliser of the states, and the action bounds."""
    metadata: JsonObject
    """How the pairs were made, as JSON values."""
    weights: Float[np.ndarray, " N"] | None = None
    """Weight of each pair in the students' loss: positive, with mean 1. ``None``: all weights are equal."""

    def __post_init__(self) -> None:
        for name, size in {"states": len(self.normaliser.mean), "actions": len(self.action_bounds)}.items():
            object.__setattr__(self, name, as_numbers(f"Distillate.{name}", getattr(self, name), axes=2))
            found = getattr(self, name).shape[1]
            if found != size:
                raise PotstillError(f"Distillate.{name} have {found} components, Distillate.scaling has {size}")
        if self.weights is not None:
            object.__setattr__(self, "weights", as_numbers("Distillate.weights", self.weights, axes=1))
            if not (self.weights > 0.0).all():
                i = int(np.argmax(self.weights <= 0.0))
                raise PotstillError(f"Distillate.weights[{i}] is {self.weights[i]:g}: expected a number above 0")

    def __len__(self) -> int:
        """N, the number of pairs."""
        return len(self.states)

    def __repr__(self) -> str:
        return (
            f"Distillate({len(self)} pairs, {self.states.shape[1]} states, {self.actions.shape[1]} actions, "
            f"{self.env_id or 'no environment'}, recipe {self.metadata.get('recipe', '?')})"
        )

    def _repr_html_(self) -> str:
        dataset = self.metadata.get("dataset")
        return make_html_table(
            "Distillate",
            {
                "pairs": len(self),
                "state components": self.states.shape[1],
                "action components": self.actions.shape[1],
                "environment": self.env_id,
                **({} if self.rule is None else {"states are made of": self.rule.describe()}),
                "dataset": dataset.get("name") if isinstance(dataset, Mapping) else dataset,
                **{name: self.metadata.get(name) for name in ("objective", "solver", "recipe")},
                "command": self.command if "command" in self.metadata else None,
            },
        )

    @property
    def beyond_bounds(self) -> int:
        """The number of pairs whose action exceeds the environment's bounds by more than a rounding error."""
        return int(self.action_bounds.is_outside(self.actions, slack=1e-5).sum())

    @property
    def action_numbers(self) -> Int[np.ndarray, " N"]:
        """The numbers of discrete actions; for soft labels, the number of the most probable action.

        Raises:
            PotstillError: the actions are continuous.
        """
        if not self.action_bounds.discrete:
            raise PotstillError("Distillate.action_numbers: the actions are continuous")
        return self.action_bounds.choose_actions(self.actions)

    @property
    def command(self) -> str:
        """The command that makes the pairs. Files do not say ``--states data``, which was once the default."""
        made = str(self.metadata.get("command", "potstill distill"))
        of_data = made.startswith("potstill distill ") and "states" not in self.metadata
        with naming_options():
            return f"{made} {name_option('states', 'data')}" if of_data else made

    @property
    def env_id(self) -> str | None:
        """Gymnasium id of the environment that the data come from, if known."""
        return self.metadata.get("env_id")

    @functools.cached_property
    def rule(self) -> ObservationRule | None:
        """How the observations of the environment become states, if they are no vectors themselves."""
        return read_rule(self.metadata.get(ENTRY), self.states.shape[1])

    @property
    def reference(self) -> Reference:
        """The returns that count as 0 and 100 in the students' scores: those in the file or the environment's."""
        stored = self.metadata.get("reference")
        return Reference(**stored) if stored else find_reference_returns(self.env_id)

    @property
    def recipe(self) -> Recipe:
        """The student recipe that the pairs were distilled for, as saved in the file."""
        student, name = self.metadata.get("student"), self.metadata.get("recipe")
        if student:
            return read_recipe(student)
        if name is None:
            raise PotstillError(
                "Distillate.metadata has neither 'student' nor 'recipe': name a recipe to train students"
            )
        return RECIPES[str(name)]

    @property
    def pairs(self) -> Pairs:
        """The pairs as students train on them: standardised states, actions in [−1, 1]."""
        states, actions = self.normaliser(self.states), self.action_bounds.to_unit(self.actions)
        weights = None if self.weights is None else jnp.asarray(self.weights, jnp.float32)
        return Pairs(jnp.asarray(states, jnp.float32), jnp.asarray(actions, jnp.float32), weights)

    def train_students(self, seeds: Sequence[int], recipe: Recipe | None = None) -> Students:
        """Train one student for each seed by behavioural cloning.

        Args:
            seeds: one for each student; a seed determines the initial network.
            recipe: the recipe to use instead of the one in the file, such as ``RECIPES["plain"]``.

        Raises:
            PotstillError: the seeds are not whole numbers, or ``recipe`` is not a recipe.
        """
        chosen = recipe or self.recipe
        return train_students(self.pairs, seeds, chosen, self.scaling)

    def train_student(
        self, seed: int = 0, recipe: Recipe | None = None, *, choose: int = 1, world: World | None = None
    ) -> Policy:
        """Train one student, or choose one of several; return it as a policy from observations to actions.

        Observations and actions are in the units of the environment; actions are within the bounds.

        Args:
            seed: determines the initial network.
            recipe: the recipe to use instead of the one in the file, such as ``RECIPES["plain"]``.
            choose: train this many students, with the seeds ``seed``, ``seed + 1``, …, and return the one with the
                highest mean return in ``world``.
            world: a world model of the dataset, see ``potstill model``. Required if ``choose`` is above 1.

        Raises:
            PotstillError: ``choose`` is below 1, or given without a model; the model was learned
                from other data, or its errors are too large to compare students.

        Example:
            >>> import potstill
            >>> distillate = potstill.load("hopper-medium-replay")
            >>> policy = distillate.train_student(seed=0, recipe=potstill.Recipe(layers=3, momentum=0.9))
            >>> policy(distillate.states[:2]).shape
            (2, 3)
        """
        if choose < 1:
            raise PotstillError(f"choose {choose}: expected at least 1")
        if (choose > 1) != (world is not None):
            raise PotstillError("choose and world belong together: the world model compares the students")
        if world is not None:
            self._check_world(world)
        students = self.train_students(range(seed, seed + choose), recipe)
        return students.make_policy(0 if world is None else find_best_student(world, students))

    def _check_world(self, world: World) -> None:
        """Raise unless a world model is of this distillate's dataset and accurate enough for rollouts."""
        dataset = self.metadata.get("dataset")
        if isinstance(dataset, Mapping) and "sha256" in dataset:
            world.check_dataset(str(dataset["sha256"]), str(dataset.get("name")))
        if not world.horizon:
            raise PotstillError("the errors of the world model are too large to compare students in it")

    def save(self, path: StrPath) -> Path:
        """Write the distillate as one ``.safetensors`` file (256 pairs: 15 to 25 kB), and return its path."""
        return storage.save(path, "distillate", self._to_arrays(), self.metadata)

    def _to_arrays(self) -> dict[str, np.ndarray]:
        columns = {"states": self.states, "actions": self.actions, "weights": self.weights}
        arrays = {name: column.astype(np.float32) for name, column in columns.items() if column is not None}
        return {**arrays, **self.scaling.to_arrays()}

    @property
    def content_hash(self) -> str:
        """SHA-256 of the file that :meth:`save` writes."""
        return hashlib.sha256(storage.pack("distillate", self._to_arrays(), self.metadata)).hexdigest()


def split_weights(
    weights: Float[np.ndarray, " N"] | Float[Array, " N"] | None, recipe: Recipe
) -> tuple[Float[np.ndarray, " N"] | None, Recipe]:
    """Split the weights of pairs into weights with mean 1 and their mean, which scales the recipe's learning rate.

    >>> weights, recipe = split_weights(np.array([0.5, 1.5]) * 2.0, RECIPES["paper"])
    >>> weights.tolist(), recipe.learning_rate
    ([0.5, 1.5], 0.2)
    """
    if weights is None:
        return None, recipe
    mean = round(float(np.mean(weights)), 5)  # removes float32 noise: exactly 1 if no step size was learned
    recipe = dataclasses.replace(recipe, learning_rate=recipe.learning_rate * mean)
    return (None if np.ptp(weights) == 0 else np.asarray(weights) / mean), recipe


@check_arguments
def load(path: StrPath) -> Distillate:
    """Read a distillate from a file, a run folder, or the name of a bundled dataset.

    Args:
        path: a ``.safetensors`` file, a run folder or :class:`potstill.Run` of ``distill``, or a bundled name.

    Raises:
        PotstillError: the file does not exist, is damaged, holds another kind of artefact, or has an unknown format
            version.

    Example:
        >>> distillate = load("hopper-medium-replay")
        >>> distillate.states.shape, distillate.metadata["objective"], distillate.reference.expert
        ((256, 11), 'q-gap', 3234.3)
    """
    path = find_artefact_path(path, "distillate")
    arrays, metadata = storage.load(path, "distillate")
    states, actions = (storage.require_array(arrays, name, path) for name in ("states", "actions"))
    scaling = Scaling.from_arrays(arrays, path)
    missing = [key for key in REQUIRED if key not in metadata]
    if missing:
        raise PotstillError(f"{path}: the metadata contain no '{missing[0]}'")
    for key, kind in KINDS.items():
        if not isinstance(metadata.get(key), kind | None):
            raise PotstillError(f"{path}: invalid {key} {json.dumps(metadata[key])[:40]}")
    sources = (metadata.get("mixture") or {"sources": []}).get("sources")
    if not isinstance(sources, list) or not all(isinstance(one, dict) and "metadata" in one for one in sources):
        raise PotstillError(f"{path}: invalid mixture {json.dumps(metadata['mixture'])[:40]}")
    weights = arrays.get("weights")
    repeat_warnings(path, metadata.get("warnings"))
    with naming_source(path):
        return Distillate(states, actions, scaling, metadata, weights)


def find_best_student(world: World, students: Students) -> int:
    """Return the index of the student with the highest mean return in a world model. The first wins a tie."""
    count = len(students)
    returns = measure_imagined_returns(world, students.act_separately, count * CHOICE_EPISODES).reshape(
        count, CHOICE_EPISODES
    )
    return int(np.argmax(returns.mean(axis=1)))
