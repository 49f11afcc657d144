"""Apply a rule to the observations of a Gymnasium environment. This module imports Gymnasium."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Dict
from jaxtyping import Float

from potstill.environments.observations.parts import Part
from potstill.environments.observations.rule import ObservationRule
from potstill.errors import PotstillError

Env: TypeAlias = gymnasium.Env[Any, Any]
Space: TypeAlias = gymnasium.Space[Any]


class RuleObservation(gymnasium.ObservationWrapper[Any, Any, Any]):
    """An environment whose observations a rule turns into vectors.

    Args:
        env: the environment.
        rule: a rule that :func:`fit_space` accepts for it.
    """

    def __init__(self, env: Env, rule: ObservationRule) -> None:
        super().__init__(env)
        self.rule = rule
        self.observation_space = Box(-np.inf, np.inf, (rule.size,), np.float32)

    def observation(self, observation: object) -> Float[np.ndarray, " S"]:
        """Turn an observation into a vector."""
        arrays = {part.name: np.asarray(_find(observation, part.name))[None] for part in self.rule.parts}
        vector: np.ndarray = self.rule(arrays)[0]
        return vector


def _find(observation: Any, name: str) -> object:
    """Return the array of a nested dictionary; an observation that is no dictionary is the array itself."""
    if not isinstance(observation, Mapping):
        return observation
    for key, value in observation.items():
        if key == name:
            return value
        if name.startswith(f"{key}/") and isinstance(value, Mapping):
            return _find(value, name[len(key) + 1 :])
    raise PotstillError(f"an observation of the environment has no '{name}'")


def list_leaves(space: Space, prefix: str = "") -> dict[str, Space]:
    """List the spaces in nested dictionaries, in alphabetical order of their keys; another space has an empty name."""
    if not isinstance(space, Dict):
        return {prefix.removesuffix("/"): space}
    found: dict[str, Space] = {}
    for key in sorted(space):
        found |= list_leaves(space[key], f"{prefix}{key}/")
    return found


def make_rule(space: Space, label: str) -> ObservationRule:
    """Make the rule for a space of dictionaries: all its boxes, in alphabetical order of their keys.

    Raises:
        PotstillError: a space in it is not a box.
    """
    leaves = list_leaves(space)
    for name, leaf in leaves.items():
        _check_box(name, leaf, label)
    return ObservationRule.of({name: (leaf.shape or (), str(leaf.dtype)) for name, leaf in leaves.items()})


def _check_box(name: str, leaf: Space, label: str) -> None:
    if not isinstance(leaf, Box):
        where = f"'{name}' of its observations" if name else "the observation space"
        raise PotstillError(
            f"{label}: {where} is {leaf}, expected a Box. Register an environment without it, or one wrapped in "
            "gymnasium.wrappers.FlattenObservation"
        )


def fit_space(rule: ObservationRule, space: Space, label: str) -> bool:
    """Check that a rule applies to the observations of an environment.

    Returns:
        Whether it has to be applied. Observations that are vectors of the right size already are used unchanged,
        except by a rule with an encoder.

    Raises:
        PotstillError: an array is missing, or has another shape or type.
    """
    rule.check_encoder()
    leaves = list_leaves(space)
    single = set(leaves) == {""} and len(rule.parts) == 1
    if set(leaves) == {""} and not single and space.shape == (rule.size,) and not rule.changes_values:
        return False
    for part in rule.parts:
        leaf = leaves.get("" if single else part.name)
        if leaf is None:
            has = ", ".join(leaves) if set(leaves) != {""} else f"no dictionary, but {space}"
            raise PotstillError(f"{label}: its observations have no '{part.name}' as the data have (they are {has})")
        _check_box(part.name, leaf, label)
        _check_leaf(part, leaf, label)
    return True


def _check_leaf(part: Part, leaf: Space, label: str) -> None:
    """Raise unless a box has the shape of a part and, for an image, also its type."""
    same = leaf.shape == part.shape or (int(np.prod(leaf.shape or ())) == part.size == 1)
    kinds = {"uint8" if name == "uint8" else "float" for name in (str(leaf.dtype), part.dtype)}
    if not same or (part.is_image and len(kinds) > 1):
        raise PotstillError(
            f"{label}: {part.label} is {leaf.dtype} {leaf.shape}, but {part.dtype} {part.shape} in the data"
        )
