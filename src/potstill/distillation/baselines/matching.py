"""Baselines that move pairs by gradient descent until a quantity of theirs matches that of the dataset."""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Literal

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from potstill.distillation.baselines.base import Baseline, Candidates, make_generator
from potstill.distillation.labels import constrain_actions
from potstill.errors import PotstillError
from potstill.networks.mlp import Params, apply_mlp
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.students.initialisation import draw_network
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs, TrainingState, bc_loss, initialise_student, train_steps

EPSILON = 1e-6  # the least norm of a gradient in a cosine


@check_arguments
@dataclass(frozen=True)
class Matching(Baseline):
    """Gradient descent on a matching loss of the pairs. A subclass has the methods ``start`` and ``matching_loss``.

    The pairs start as random rows. The actions to clone are the teacher's; without a teacher, the data's. Actions stay
    in [−1, 1].

    Raises:
        PotstillError: a field is out of range.
    """

    steps: int = 500
    """Number of steps on the pairs."""
    learning_rate: float = 0.01
    """Step size for the pairs."""
    optimiser: Literal["sgd", "adam"] = "adam"
    """Adam, or SGD with momentum 0.5."""
    batch: int = 256
    """Rows of the dataset in a step."""
    restart: int = 50
    """Steps after which a new network is drawn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, steps=0, learning_rate=1e-12, batch=1, restart=1)

    def prepare(self, candidates: Candidates, key: PRNGKeyArray) -> PyTree:
        """Compute what all steps share. The default is nothing."""
        del candidates, key
        return ()

    @abstractmethod
    def start(self, shared: PyTree, pairs: Pairs, key: PRNGKeyArray) -> PyTree:
        """Return the networks of the next ``restart`` steps."""

    @abstractmethod
    def matching_loss(self, pairs: Pairs, batch: Pairs, networks: PyTree) -> Float[Array, ""]:
        """Return how far the pairs are from a batch of the dataset's rows."""

    def advance(self, networks: PyTree, pairs: Pairs) -> PyTree:
        """Return the networks of the next step. By default, they do not change."""
        del pairs
        return networks

    def find_pairs(self, candidates: Candidates, size: int, key: PRNGKeyArray) -> Pairs:
        """Move random rows by gradient descent on the matching loss."""
        row_key, shared_key, loop_key = jax.random.split(key, 3)
        pairs = candidates.draw_pairs(size, make_generator(row_key))
        rows = Pairs(candidates.states, candidates.targets)
        shared = self.prepare(candidates, shared_key)
        optimiser, networks = self.make_rule().init(pairs), None
        for number in range(self.steps):
            network_key, batch_key = jax.random.split(jax.random.fold_in(loop_key, number))
            if number % self.restart == 0:
                networks = start_networks(self, shared, pairs, network_key)
            pairs, optimiser, networks = take_step(self, pairs, optimiser, networks, rows, batch_key)
        return pairs

    def make_rule(self) -> optax.GradientTransformation:
        """Make the optimiser of the pairs."""
        return optax.adam(self.learning_rate) if self.optimiser == "adam" else optax.sgd(self.learning_rate, 0.5)


@functools.partial(jax.jit, static_argnums=0)
def start_networks(matching: Matching, shared: PyTree, pairs: Pairs, key: PRNGKeyArray) -> PyTree:
    """Return the networks of the next steps."""
    return matching.start(shared, pairs, key)


@functools.partial(jax.jit, static_argnums=0)
def take_step(
    matching: Matching, pairs: Pairs, optimiser: optax.OptState, networks: PyTree, rows: Pairs, key: PRNGKeyArray
) -> tuple[Pairs, optax.OptState, PyTree]:
    """Take a step on the pairs; return them with the state of their optimiser and the networks of the next step."""
    drawn = jax.random.randint(key, (matching.batch,), 0, len(rows.states))
    gradient = jax.grad(matching.matching_loss)(pairs, jax.tree.map(lambda x: x[drawn], rows), networks)
    change, optimiser = matching.make_rule().update(gradient, optimiser, pairs)
    states, actions, _ = optax.apply_updates(pairs, change)
    pairs = Pairs(states, constrain_actions(actions, matching.recipe.loss, 1.0))
    return pairs, optimiser, matching.advance(networks, pairs)


def gradient_distance(ours: Params, theirs: Params) -> Float[Array, ""]:
    """Σ over layers and output units of 1 − cos of the angle between two gradients of the unit's weights.

    Source: Zhao, Mopuri and Bilen 2021. Biases are joined to the weights of their units.

    >>> one = [{"weight": jnp.eye(2), "bias": jnp.zeros(2)}]
    >>> other = [{"weight": -jnp.eye(2), "bias": jnp.zeros(2)}]
    >>> round(float(gradient_distance(one, one)), 4), round(float(gradient_distance(one, other)), 4)
    (0.0, 4.0)
    """
    total = jnp.zeros(())
    for a, b in zip(ours, theirs, strict=True):
        x, y = (jnp.concatenate([g["weight"], g["bias"][..., None, :]], axis=-2) for g in (a, b))
        norms = jnp.sqrt((jnp.sum(x * x, axis=-2) + EPSILON**2) * (jnp.sum(y * y, axis=-2) + EPSILON**2))
        total = total + jnp.sum(1.0 - jnp.sum(x * y, axis=-2) / norms)
    return total


@check_arguments
@dataclass(frozen=True)
class GradientMatching(Matching):
    """Gradient matching: the gradient of the BC loss on the pairs has the direction of that on the dataset.

        min over D of Σ_t d(∇_θ ℓ_BC(θ_t, D), ∇_θ ℓ_BC(θ_t, B_t))

    θ_0 is a new network, B_t a batch of rows, and θ_t+1 is trained on the pairs for ``network_steps`` steps of the
    recipe. d is :func:`gradient_distance`. Source: Zhao, Mopuri and Bilen 2021 (Dataset Condensation with Gradient
    Matching), with its batch, its 50 steps per network and its 10 network steps. It differs from theirs: there are no
    classes, so all pairs are matched together; the network follows the student's recipe; there are fewer restarts; and
    the pairs are moved by Adam, because the loss rises with their SGD at 0.1.

    Raises:
        PotstillError: a field is out of range.

    Example:
        >>> GradientMatching(steps=100).network_steps
        10
    """

    network_steps: int = 10
    """Steps of the student's recipe on the pairs between two steps on the pairs."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, network_steps=0)

    def start(self, shared: PyTree, pairs: Pairs, key: PRNGKeyArray) -> TrainingState:
        """Return a new network, before its first step."""
        del shared
        return initialise_student(key, pairs, self.recipe)[0]

    def matching_loss(self, pairs: Pairs, batch: Pairs, networks: TrainingState) -> Float[Array, ""]:
        """Return the distance of the two gradients."""
        ours, theirs = (jax.grad(bc_loss)(networks.params, each, None, self.recipe.loss) for each in (pairs, batch))
        return gradient_distance(ours, theirs)

    def advance(self, networks: TrainingState, pairs: Pairs) -> TrainingState:
        """Train the network on the pairs."""
        return train_steps(networks, None, pairs, self.recipe, self.network_steps)


@check_arguments
@dataclass(frozen=True)
class DistributionMatching(Matching):
    """Distribution matching: pairs and dataset have the same mean embedding under random networks.

        min over D of E_ψ ‖ 1/N Σ_i ψ(s_i, a_i) − mean_B ψ(s, a) ‖²

    ψ is the hidden part of a student's network with state and action as its input, drawn anew in every step. Source:
    Zhao and Bilen 2023 (Dataset Condensation with Distribution Matching), with its step size and momentum, but fewer
    steps. It differs from theirs: there are no classes, so the action is part of the input instead.

    Raises:
        PotstillError: a field is out of range, or the recipe has a single layer.

    Example:
        >>> DistributionMatching().restart
        1
    """

    steps: int = 1000
    """Number of steps on the pairs."""
    learning_rate: float = 1.0
    """Step size for the pairs."""
    optimiser: Literal["sgd", "adam"] = "sgd"
    """SGD with momentum 0.5, as in the source, or Adam."""
    restart: int = 1
    """Steps after which a new network is drawn."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.recipe.layers < 2:
            raise PotstillError("DistributionMatching requires a recipe with a hidden layer: Recipe.layers is 1")

    def start(self, shared: PyTree, pairs: Pairs, key: PRNGKeyArray) -> Params:
        """Return a new embedding."""
        del shared
        inputs = pairs.states.shape[-1] + pairs.actions.shape[-1]
        return draw_network(key, (inputs, *[self.recipe.width] * (self.recipe.layers - 1)), self._embedding)

    @property
    def _embedding(self) -> Recipe:
        """The recipe of the embedding: one network without a residual block."""
        return replace(self.recipe, towers=1, residual=False)

    def matching_loss(self, pairs: Pairs, batch: Pairs, networks: Params) -> Float[Array, ""]:
        """Return the squared distance of the mean embeddings."""
        ours, theirs = (
            jnp.mean(apply_mlp(networks, jnp.concatenate([each.states, each.actions], axis=-1)), axis=0)
            for each in (pairs, batch)
        )
        return jnp.sum((ours - theirs) ** 2)
