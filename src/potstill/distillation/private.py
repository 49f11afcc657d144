"""Outer steps that are differentially private for episodes of the data.

Each outer step samples every episode independently with probability q, computes the gradient g_e of the outer loss on
states of each sampled episode, and moves the pairs by

    g = (Σ_e g_e min(1, c / ‖g_e‖) + σ c z) / (q E),    z ~ N(0, I)                  (1)

with E episodes. One episode changes the sum by at most c. A step is a Poisson-subsampled Gaussian mechanism with noise
multiplier σ, and all steps together are (ε, δ)-differentially private for adding or removing an episode;
:func:`~potstill.evaluation.privacy.accounting.compute_epsilon` computes ε. Sources: Abadi et al. 2016 (DP-SGD); the
unit is an episode and not a row, because rows of an episode are alike.

The statement is about the pairs, given the teacher and its normaliser. A teacher that was trained on the same data is
not private, and neither are metrics of the run. The initial pairs (:func:`make_public_pairs`) and the scale of the
values (:func:`find_public_scale`) depend on the teacher alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from potstill.distillation.objectives.base import StateTable
from potstill.distillation.state_table import evaluate_teacher, take_rows
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_finite, check_ranges
from potstill.students.training import Pairs
from potstill.teachers.base import Teacher

BLOCK = 8  # episodes whose gradients are computed at once
SCALE_STATES = 4096  # random states whose values define the scale
Tree = TypeVar("Tree", bound=PyTree)


@check_arguments
@dataclass(frozen=True, eq=False)
class PrivateGradients:
    """Sampled episodes, clipped gradients and noise: (1).

    Args:
        first: the first row of each episode in the state table. The rows of an episode are consecutive.
        length: its number of rows.
        noise: σ, the noise multiplier.
        expected: q E, the mean number of episodes in a step.
        rows: number of states that are drawn of each sampled episode, with replacement.
        clip: c, the norm to which the gradient of an episode is clipped.

    Raises:
        PotstillError: a field has a wrong type or is out of range; or there are fewer episodes than ``expected``.

    Example:
        >>> import numpy as np
        >>> steps = PrivateGradients(np.array([0, 10]), np.array([10, 5]), noise=1.0, expected=1)
        >>> steps.share
        0.5
    """

    first: Int[np.ndarray, " E"]
    length: Int[np.ndarray, " E"]
    noise: float
    expected: int = 16
    rows: int = 32
    clip: float = 1.0

    def __post_init__(self) -> None:
        check_ranges(self, noise=1e-12, expected=1, rows=1, clip=1e-12)
        check_finite(self, "noise", "clip")
        if self.expected > len(self.first):
            raise PotstillError(
                f"PrivateGradients.expected {self.expected}: expected at most the number of episodes, {len(self.first)}"
            )

    @property
    def share(self) -> float:
        """The probability q that an episode is sampled in a step."""
        return self.expected / len(self.first)

    def draw_episodes(self, key: PRNGKeyArray) -> Int[np.ndarray, " n"]:
        """Sample episodes independently of each other, with probability q each."""
        rng = np.random.default_rng(np.asarray(jax.random.key_data(key)))
        return np.flatnonzero(rng.random(len(self.first)) < self.share)

    def draw_batch(self, table: StateTable, episode: Int[Array, ""], key: PRNGKeyArray) -> StateTable:
        """Draw states of one episode."""
        first, length = jnp.asarray(self.first)[episode], jnp.asarray(self.length)[episode]
        return take_rows(table, first + jax.random.randint(key, (self.rows,), 0, length))

    def add_noise(self, total: Tree, key: PRNGKeyArray) -> Tree:
        """Compute (1) from the sum of the clipped gradients."""
        leaves, structure = jax.tree.flatten(total)
        keys = jax.random.split(key, len(leaves))
        spread = self.noise * self.clip
        noisy = [(x + spread * jax.random.normal(k, x.shape)) / self.expected for x, k in zip(leaves, keys, strict=True)]
        return jax.tree.unflatten(structure, noisy)


def clip_gradient(gradient: Tree, most: float) -> Tree:
    """Scale a gradient down to the norm ``most``, if it is longer.

    Example:
        >>> clip_gradient(jnp.array([3.0, 4.0]), 1.0).round(2).tolist()
        [0.6, 0.8]
    """
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
    factor = jnp.minimum(1.0, most / jnp.maximum(norm, 1e-30))
    return jax.tree.map(lambda leaf: jnp.where(jnp.isfinite(norm), leaf * factor, 0.0), gradient)


def make_private_gradient(
    loss_of: Callable[[Any, StateTable, PRNGKeyArray], Float[Array, ""]], private: PrivateGradients
) -> Callable[[Any, StateTable, PRNGKeyArray], tuple[Float[Array, ""], Any]]:
    """Make the function that computes a loss and its private gradient (1).

    Args:
        loss_of: the loss of the variables on a batch of states; the key determines the student.
        private: how episodes are sampled, and the noise.

    Returns:
        A function of the variables, the whole table and a key. The loss is the mean over the sampled episodes. It is
        not private.
    """

    @jax.jit
    def add(
        variables: PyTree, table: StateTable, chosen: Int[Array, " B"], used: Bool[Array, " B"], key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], PyTree]:
        def of_one(episode: Array) -> tuple[Array, PyTree]:
            batch = private.draw_batch(table, episode, jax.random.fold_in(key, episode))
            loss, gradient = jax.value_and_grad(loss_of)(variables, batch, key)
            return loss, clip_gradient(gradient, private.clip)

        losses, gradients = jax.vmap(of_one)(chosen)
        mask = lambda leaf: jnp.tensordot(used.astype(leaf.dtype), leaf, 1)  # noqa: E731
        return mask(losses), jax.tree.map(mask, gradients)

    finish = jax.jit(private.add_noise)

    def compute(variables: PyTree, table: StateTable, key: PRNGKeyArray) -> tuple[Float[Array, ""], PyTree]:
        sample_key, student_key, noise_key = jax.random.split(key, 3)
        chosen = private.draw_episodes(sample_key)
        total: tuple[Any, Any] = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, variables))
        for few in np.split(chosen, range(BLOCK, len(chosen), BLOCK)):
            used = np.arange(BLOCK) < len(few)
            padded = np.pad(few, (0, BLOCK - len(few)))
            total = jax.tree.map(jnp.add, total, add(variables, table, padded, used, student_key))
        return total[0] / max(1, len(chosen)), finish(total[1], noise_key)

    return compute


def make_public_pairs(teacher: Teacher, size: int, key: PRNGKeyArray) -> Pairs:
    """Make initial pairs without the data: standard normal states, in units of the teacher's normaliser.

    Example:
        >>> import potstill
        >>> teacher = potstill.load_teacher("hopper-medium-replay")
        >>> make_public_pairs(teacher, 4, jax.random.key(0)).actions.shape
        (4, 3)
    """
    states = jax.random.normal(key, (size, len(teacher.normaliser.mean)))
    return Pairs(states, teacher.act(states))


def find_public_scale(teacher: Teacher) -> Float[Array, ""]:
    """Find the standard deviation of the teacher's values in standard normal states: a scale without the data."""
    states = jax.random.normal(jax.random.key(0), (SCALE_STATES, len(teacher.normaliser.mean)))
    values = evaluate_teacher(states, teacher)[1].min(axis=-1)
    return jnp.maximum(values.std(), 1e-8)


def find_episodes(rows: Int[np.ndarray, " M"], bounds: Int[np.ndarray, " E+1"]) -> tuple[np.ndarray, np.ndarray]:
    """Find the first position and the number of positions of each episode that has any of these sorted rows.

    Example:
        >>> first, length = find_episodes(np.array([0, 2, 5, 6]), np.array([0, 4, 5, 8]))
        >>> first.tolist(), length.tolist()
        ([0, 2], [2, 2])
    """
    edges = np.searchsorted(rows, bounds)
    first, length = edges[:-1], np.diff(edges)
    return first[length > 0], length[length > 0]

