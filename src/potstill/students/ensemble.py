"""Students: K policies cloned from the same pairs and stored as one batch of networks."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import ArrayLike

from potstill.data.scaling import Scaled, Scaling
from potstill.data.transitions import Normaliser
from potstill.errors import PotstillError, name_option
from potstill.networks.mlp import Params
from potstill.networks.policy import Policy, Towers, check_layers
from potstill.runtime import devices
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import as_numbers
from potstill.students.recipe import Loss, Recipe
from potstill.students.training import Pairs, check_pairs, compute_mean_actions, train_networks

SEEDS = 1 << 32
"""The number of seeds. Larger numbers would give the students of smaller ones."""


@functools.partial(jax.jit, static_argnames=("size", "loss"))
def _act(params: Params, states: Float[Array, "K E S"], size: int, loss: Loss) -> Float[Array, "K E A"]:
    return jax.vmap(lambda p, s: compute_mean_actions(p, s, size, loss))(params, states)


@check_arguments
@dataclass(frozen=True, repr=False)
class Students(Scaled):
    """K trained students.

    Use one student through :meth:`make_policy`, all of them in parallel through :meth:`act_separately`, and their
    averaged actions through :meth:`act_as_ensemble`. All three take observations and return actions in the units of the
    environment, within the bounds; for discrete actions, their numbers [L].

    Raises:
        PotstillError: the layers do not lead from the scaling's states to its actions.

    Example:
        >>> from potstill.students import Recipe, train_students
        >>> pairs = Pairs(jnp.eye(3), jnp.zeros((3, 1)))
        >>> students = train_students(pairs, [0, 1], Recipe(steps=2, width=4, layers=2), Scaling.identity(3, 1))
        >>> len(students), students.act_as_ensemble(np.zeros((5, 3))).shape
        (2, (5, 1))
        >>> students.make_policy(1)(np.zeros((5, 3))).shape
        (5, 1)
    """

    params: Params
    """Layers of all students: each array has a leading axis K."""
    scaling: Scaling
    """The normaliser of the observations, and the bounds that the actions are scaled to."""

    def __post_init__(self) -> None:
        inputs, outputs, stacked = len(self.normaliser.mean), len(self.action_bounds), isinstance(self.params, Towers)
        check_layers("Students.params", self.params, inputs, (outputs, 2 * outputs), stacked=1 + stacked)

    def __len__(self) -> int:
        """K, the number of students."""
        return len(self.params[0]["bias"])

    def __repr__(self) -> str:
        sizes = "-".join(str(layer["weight"].shape[-2]) for layer in self.params)
        noun = "network" if len(self) == 1 else "networks"
        return f"Students({len(self)} {noun} {sizes}-{self.params[-1]['weight'].shape[-1]})"

    def make_policy(self, index: int) -> Policy:
        """Make a policy of student ``index``.

        Raises:
            PotstillError: there is no such student.
        """
        if not 0 <= index < len(self):
            raise PotstillError(f"Students.make_policy: index {index}: expected a number from 0 to {len(self) - 1}")
        size = len(self.action_bounds)
        layers = jax.tree.map(lambda x: np.asarray(x[index]), self.params)
        layers[-1] = {k: v[..., :size] for k, v in layers[-1].items()}
        return Policy(layers, self.scaling, "softmax" if self.action_bounds.discrete else "tanh")

    def fix_inputs(self, values: ArrayLike) -> Students:
        """Return the students as policies of the first S − F components of the observations, with the last F fixed.

        They turn students that have the task as an input into policies of one task. The fixed components c only add a
        constant to the first layer, W [x, c] + b = W_x x + (W_c c + b), so they become a part of its biases.

        Args:
            values: the last F components [F], in the units of the environment.

        Raises:
            PotstillError: there are not more than F components.

        Example:
            >>> from potstill.students import Recipe, train_students
            >>> pairs = Pairs(jnp.eye(3), jnp.zeros((3, 1)))
            >>> students = train_students(pairs, [0, 1], Recipe(steps=2, width=4, layers=2), Scaling.identity(3, 1))
            >>> students.fix_inputs([1.0])
            Students(2 networks 2-4-1)
        """
        given = as_numbers("Students.fix_inputs: values", values, axes=1)
        normaliser, size = self.normaliser, len(self.normaliser.mean) - len(given)
        if size < 1:
            raise PotstillError(f"Students.fix_inputs: {len(given)} values: expected fewer than {size + len(given)}")
        fixed = (given - normaliser.mean[size:]) / normaliser.scale[size:]
        weight, bias = np.asarray(self.params[0]["weight"]), np.asarray(self.params[0]["bias"])
        first = {"weight": weight[..., :size, :], "bias": bias + np.float32(fixed) @ weight[..., size:, :]}
        layers = type(self.params)([jax.tree.map(jnp.asarray, first), *self.params[1:]])
        kept = Normaliser(normaliser.mean[:size], normaliser.scale[:size])
        return Students(layers, Scaling(kept, self.action_bounds))

    def _standardise(self, method: str, observations: np.ndarray) -> np.ndarray:
        needed = len(self.normaliser.mean)
        if observations.shape[-1] != needed:
            raise PotstillError(
                f"Students.{method}: observations of {observations.shape[-1]} components: expected {needed}"
            )
        return self.normaliser(observations)

    def _compute_unit_actions(self, states: np.ndarray | Array) -> Float[Array, "K E A"]:
        loss: Loss = "cross-entropy" if self.action_bounds.discrete else "squared-error"
        unit: Array = _act(self.params, jnp.asarray(states), len(self.action_bounds), loss)
        return unit

    def act_separately(self, observations: Float[np.ndarray, "L S"]) -> np.ndarray:
        """Return mean actions. The L observations are split evenly: the first L/K go to student 0, and so on.

        Raises:
            PotstillError: L is not a multiple of K, or the observations have another number of components.
        """
        if len(observations) % len(self):
            raise PotstillError(
                f"Students.act_separately: {len(observations)} observations: expected a multiple of {len(self)}, "
                "the number of students"
            )
        states = self._standardise("act_separately", observations).reshape(len(self), -1, observations.shape[-1])
        unit = np.asarray(self._compute_unit_actions(states))
        return self.action_bounds.choose_actions(unit.reshape(len(observations), -1))

    def act_as_ensemble(self, observations: Float[np.ndarray, "L S"]) -> np.ndarray:
        """Return the students' mean actions, averaged; for discrete actions, the most probable one on average."""
        states = jnp.broadcast_to(self._standardise("act_as_ensemble", observations), (len(self), *observations.shape))
        return self.action_bounds.choose_actions(np.asarray(self._compute_unit_actions(states).mean(axis=0)))

    policy, each, ensemble = make_policy, act_separately, act_as_ensemble  # their names in version 0.1


@check_arguments
def train_students(pairs: Pairs, seeds: Sequence[int], recipe: Recipe, scaling: Scaling) -> Students:
    """Train one student for each seed, all in one compiled call.

    Args:
        pairs: standardised states, actions in [−1, 1] and, if any, weights.
        seeds: one for each student; a seed determines the initial network.
        recipe: the network and its training.
        scaling: the standardisation of the pairs' states, which the students apply to their observations, and the
            bounds that their actions are scaled to.

    Raises:
        PotstillError: the seeds are not integers from 0 to 2³² − 1, the pairs have different lengths or do not match
            the scaling, a number is not finite, or the training diverges.

    Example:
        >>> from potstill.students import Pairs, Recipe, train_students
        >>> pairs = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> recipe = Recipe(steps=2, width=4, layers=2)
        >>> train_students(pairs, seeds=[0, 1], recipe=recipe, scaling=Scaling.identity(3, 1))
        Students(2 networks 3-4-1)
    """
    if np.ndim(seeds) != 1 or not len(seeds) or not all(isinstance(seed, int | np.integer) for seed in seeds):
        raise PotstillError(f"seeds {seeds}: expected a list of integers, one for each student")
    if not all(0 <= seed < SEEDS for seed in seeds):
        raise PotstillError(f"seeds {seeds}: expected numbers from 0 to {SEEDS - 1}")
    check_pairs(pairs, scaling)
    recipe = recipe.fit_to_actions(discrete=scaling.action_bounds.discrete)
    keys = jax.vmap(jax.random.key)(np.array(seeds, np.uint32))
    params = devices.localise(train_networks(keys, pairs, recipe))
    if not all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(params)):
        raise PotstillError(
            f"the training of students diverged: lower the recipe's learning rate (now {recipe.learning_rate:g}), such "
            f"as by {name_option('recipe.learning_rate')}"
        )
    return Students(params, scaling)
