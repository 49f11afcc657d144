"""The distillate: N pairs and all that a stranger needs to train a student from them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from potstill.bundled import BUNDLED
from potstill.data.bounds import ActionBounds
from potstill.data.transitions import Normaliser
from potstill.environments.registry import Reference, reference_returns
from potstill.errors import PotstillError
from potstill.networks.policy import Policy
from potstill.runtime import storage
from potstill.students.ensemble import Students, train_students
from potstill.students.recipe import Recipe, recipe_named, recipe_of

REQUIRED = ("env_id", "dataset", "objective", "solver", "recipe", "potstill")


@dataclass(frozen=True)
class Distillate:
    """N synthetic pairs in the environment's own units, and where they come from.

    ``metadata`` holds: env_id, dataset (name, hash), teacher (hash), objective, weighting, solver,
    recipe, config, command and the version of potstill.
    """

    states: Float[np.ndarray, "N S"]
    actions: Float[np.ndarray, "N A"]
    """What students are to aim at: for some recipes beyond the environment's bounds, which their tanh keeps."""
    normaliser: Normaliser
    action_bounds: ActionBounds
    metadata: dict[str, Any]
    weights: Float[np.ndarray, " N"] | None = None
    """How much each pair counts in the students' loss: positive, of mean 1. ``None``: all alike."""

    def __len__(self) -> int:
        return len(self.states)

    @property
    def beyond_bounds(self) -> int:
        """How many pairs ask for an action outside the environment's bounds, by more than rounding."""
        return int(self.action_bounds.outside(self.actions, slack=1e-5).sum())

    @property
    def env_id(self) -> str | None:
        """Gymnasium id of the environment the data come from, if known."""
        return self.metadata.get("env_id")

    @property
    def reference(self) -> Reference:
        """The returns that are 0 and 100 of its students' scores: those in the file, or those of its environment."""
        kept = self.metadata.get("reference")
        return Reference(**kept) if kept else reference_returns(self.env_id)

    @property
    def recipe(self) -> Recipe:
        """The student recipe that the pairs were distilled for: the one in the file, whatever its name means today."""
        student = self.metadata.get("student")
        return recipe_of(student) if student else recipe_named(self.metadata["recipe"])

    def train_students(self, seeds: list[int], recipe: str | None = None) -> Students:
        """Train one student a seed by behavioural cloning.

        Args:
            seeds: each gives one random start.
            recipe: name of another recipe than the one in the file.
        """
        return train_students(
            self.normaliser(self.states),
            self.action_bounds.to_unit(self.actions),
            seeds,
            self.recipe if recipe is None else recipe_named(recipe),
            self.normaliser,
            self.action_bounds,
            self.weights,
        )

    def train_student(self, seed: int = 0, recipe: str | None = None) -> Policy:
        """Train one student; the policy returned takes raw observations and gives actions within bounds.

        >>> import potstill
        >>> distillate = potstill.load("hopper-medium-replay")
        >>> policy = distillate.train_student(seed=0)
        >>> policy(distillate.states[:2]).shape
        (2, 3)
        """
        return self.train_students([seed], recipe).policy(0)

    def save(self, path: Path | str) -> Path:
        """Write the distillate as one ``.safetensors`` file of about 15 KB."""
        arrays = {
            "states": self.states.astype(np.float32),
            "actions": self.actions.astype(np.float32),
            "state_mean": self.normaliser.mean,
            "state_scale": self.normaliser.scale,
            "action_low": self.action_bounds.low,
            "action_high": self.action_bounds.high,
        }
        if self.weights is not None:
            arrays["weights"] = self.weights.astype(np.float32)
        return storage.save(path, "distillate", arrays, self.metadata)


def settle(weights: Any, recipe: Recipe) -> tuple[Float[np.ndarray, " N"] | None, Recipe]:
    """Part the weights of pairs into their mean, a factor on the recipe's step size, and weights of mean 1.

    >>> weights, recipe = settle(np.array([0.5, 1.5]) * 2.0, recipe_named("paper"))
    >>> weights.tolist(), recipe.learning_rate
    ([0.5, 1.5], 0.2)
    """
    if weights is None:
        return None, recipe
    mean = round(float(np.mean(weights)), 5)  # float32 knows no more: where no step size was learned it is 1
    recipe = dataclasses.replace(recipe, learning_rate=recipe.learning_rate * mean)
    return (None if np.ptp(weights) == 0 else np.asarray(weights) / mean), recipe


def distillate_path(path: Path | str) -> Path:
    """The distillate file itself, where a run folder or a bundled dataset's name is given."""
    bundled = BUNDLED / f"{path}.distillate.safetensors"
    if bundled.is_file():
        return bundled
    return Path(path) / "distillate.safetensors" if Path(path).is_dir() else Path(path)


def load(path: Path | str) -> Distillate:
    """Read a distillate: a file, a run folder, or the name of a bundled dataset for the one made of it.

    Raises:
        PotstillError: no such file, damaged, another kind of file, or an unknown format version.
    """
    path = distillate_path(path)
    arrays, metadata = storage.load(path, "distillate")
    names = ("states", "actions", "state_mean", "state_scale", "action_low", "action_high")
    states, actions, mean, scale, low, high = (storage.require_array(arrays, name, path) for name in names)
    lacking = [key for key in REQUIRED if key not in metadata]
    if lacking:
        raise PotstillError(f"{path}: its metadata lack '{lacking[0]}'")
    fits = states.ndim == actions.ndim == 2 and len(states) == len(actions)
    if not fits or mean.shape != scale.shape or states.shape[1:] != mean.shape or actions.shape[1:] != low.shape:
        raise PotstillError(f"{path}: states {states.shape}, actions {actions.shape} and normaliser do not fit")
    weights = arrays.get("weights")
    if weights is not None and (weights.shape != (len(states),) or not (weights > 0).all()):
        raise PotstillError(f"{path}: a positive weight for each of its {len(states)} pairs is needed")
    return Distillate(states, actions, Normaliser(mean, scale), ActionBounds(low, high), metadata, weights)
