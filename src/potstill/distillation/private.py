"""Outer steps that are differentially private for episodes of the data.

Each outer step samples every episode independently with probability q, computes the gradient g_e of the outer loss on
states of each sampled episode, and moves the variables by

    g = (Σ_e g_e min(1, c / ‖g_e‖) + σ c z) / (q E),    z ~ N(0, I)                  (1)

with E episodes. One episode changes the sum by at most c. A step is a Poisson-subsampled Gaussian mechanism with noise
multiplier σ, and all steps together are (ε, δ)-differentially private for adding or removing an episode, with q and
q E fixed; :func:`~potstill.evaluation.privacy.accounting.compute_epsilon` computes ε. Sources: Abadi et al. 2016
(DP-SGD); the unit is an episode and not a row, because rows of an episode are alike.

The statement is about the pairs, given the teacher, its normaliser and the number of episodes. A teacher that was
trained on the same data is not private, and neither are metrics of the run. The initial pairs
(:func:`make_public_pairs`) and the scale of the values (:func:`find_public_scale`) depend on the teacher alone. The
gradient of an episode depends on no other episode: the weights of states are equal, and which rows of an episode are
used does not depend on the other episodes.

Whoever can repeat the sampling and the noise can subtract the noise. Both therefore come from a secret, not from the
seed of the run. They are drawn by NumPy in float64; the generator is not a cryptographic one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from potstill.distillation.objectives.base import StateTable
from potstill.distillation.schedule import Schedule
from potstill.distillation.state_table import evaluate_teacher, take_rows
from potstill.errors import PotstillError, name_option
from potstill.runtime import devices
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_finite, check_ranges
from potstill.students.training import Pairs
from potstill.teachers.base import Teacher

Tree: TypeAlias = Any  # a pytree of arrays
BLOCK = 8  # episodes whose gradients are computed at once
SCALE_STATES = 4096  # random states whose values define the scale
SECRET_BITS = 128


@check_arguments
@dataclass(frozen=True, eq=False)
class PrivateGradients:
    """Sampled episodes, clipped gradients and noise: (1).

    Args:
        first: the first row of each episode in the state table. The rows of an episode are consecutive.
        length: its number of rows, at least 1.
        noise: σ, the noise multiplier. 0: gradients are clipped, and nothing is private.
        expected: q E, the mean number of episodes in a step.
        rows: number of states that are drawn of each sampled episode, with replacement.
        clip: c, the norm to which the gradient of an episode is clipped.
        secret: determines the sampled episodes and the noise. Default: 128 random bits of the operating system.

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
    secret: int = field(default_factory=lambda: secrets.randbits(SECRET_BITS), repr=False)

    def __post_init__(self) -> None:
        check_ranges(self, noise=0.0, expected=1, rows=1, clip=1e-12, secret=0)
        check_finite(self, "noise", "clip")
        if self.expected > len(self.first):
            raise PotstillError(
                f"PrivateGradients.expected {self.expected}: expected at most the number of episodes, {len(self.first)}"
            )
        if len(self.first) != len(self.length) or (self.length < 1).any():
            raise PotstillError("PrivateGradients.length: expected a number of rows of at least 1 for each episode")
        order = np.argsort(self.first, kind="stable")
        ends = self.first[order] + self.length[order]
        if self.first[order[0]] < 0 or (ends[:-1] > self.first[order[1:]]).any():
            raise PotstillError("PrivateGradients.first: episodes share rows, or begin before the first row")

    @property
    def share(self) -> float:
        """The probability q that an episode is sampled in a step."""
        return self.expected / len(self.first)

    def make_generator(self, key: PRNGKeyArray) -> np.random.Generator:
        """Make the generator of the sample and the noise of a step, from the secret and the step's key."""
        return np.random.default_rng([self.secret, *np.asarray(jax.random.key_data(key)).tolist()])

    def draw_episodes(self, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
        """Sample episodes independently of each other, with probability q each."""
        return np.flatnonzero(rng.random(len(self.first)) < self.share)

    def draw_batch(self, table: StateTable, episode: Int[Array, ""], key: PRNGKeyArray) -> StateTable:
        """Draw states of one episode."""
        first, length = jnp.asarray(self.first)[episode], jnp.asarray(self.length)[episode]
        return take_rows(table, first + jax.random.randint(key, (self.rows,), 0, length))

    def add_noise(self, total: Tree, rng: np.random.Generator) -> Tree:
        """Compute (1) from the sum of the clipped gradients."""
        spread = self.noise * self.clip

        def add(leaf: Array) -> Array:
            noisy = np.asarray(leaf, np.float64) + spread * rng.standard_normal(leaf.shape)
            return jnp.asarray(noisy / self.expected, leaf.dtype)

        return jax.tree.map(add, total)

    def check_loop(self, table: StateTable, schedule: Schedule) -> None:
        """Check that an outer loop makes the statement true.

        Raises:
            PotstillError: the data decide when to stop, the weights of states differ, or there are several devices.
        """
        if schedule.steps is None or schedule.budget is not None:
            raise PotstillError("private gradients require a given number of steps: expected Schedule.steps, no budget")
        if not np.allclose(table.weights, 1.0, atol=1e-4):
            raise PotstillError("private gradients require uniform weights of states, which depend on no other state")
        if jax.process_count() > 1 or devices.find_all_devices().size > 1:
            raise PotstillError(
                f"private gradients run in one process on one device: choose {name_option('devices', 1)}"
            )
        if int((self.first + self.length).max()) > len(table.states):
            raise PotstillError(f"PrivateGradients: an episode has rows beyond the {len(table.states)} of the table")


def clip_gradient(gradient: Tree, most: float) -> Tree:
    """Scale a gradient down to the norm ``most``, if it is longer.

    Example:
        >>> clip_gradient(jnp.array([3.0, 4.0]), 2.5).tolist()
        [1.5, 2.0]
    """
    norm = jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
    factor = jnp.minimum(1.0, most / jnp.maximum(norm, 1e-30))
    return jax.tree.map(lambda leaf: jnp.where(jnp.isfinite(norm), leaf * factor, 0.0), gradient)


def make_private_gradient(
    loss_of: Callable[[Tree, StateTable, PRNGKeyArray], Float[Array, ""]],
    private: PrivateGradients,
    prepare: Callable[[StateTable, PRNGKeyArray], StateTable] = lambda batch, key: batch,
) -> Callable[[Tree, StateTable, PRNGKeyArray], tuple[Float[Array, ""], Tree]]:
    """Make the function that computes a loss and its private gradient (1).

    Args:
        loss_of: the loss of the variables on a batch of states; the key determines the student. All episodes of a step
            have the same key, so that what does not depend on the states is computed once.
        private: how episodes are sampled, and the noise.
        prepare: changes the states that are drawn of one episode, such as by noise.

    Returns:
        A function of the variables, the whole table and a key. The loss is the mean over the sampled episodes whose
        loss is finite: it is not private, and outliers must not stop the run.
    """

    @jax.jit
    def add(
        variables: PyTree, table: StateTable, chosen: Int[Array, " B"], used: Bool[Array, " B"], key: PRNGKeyArray
    ) -> tuple[Float[Array, ""], Float[Array, ""], PyTree]:
        rows_key, student_key = jax.random.split(key)

        def differentiate(episode: Array) -> tuple[Array, PyTree]:
            draw_key, prepare_key = jax.random.split(jax.random.fold_in(rows_key, episode))
            batch = prepare(private.draw_batch(table, episode, draw_key), prepare_key)
            loss, gradient = jax.value_and_grad(loss_of)(variables, batch, student_key)
            return loss, clip_gradient(gradient, private.clip)

        losses, gradients = jax.vmap(differentiate)(chosen)
        total = lambda leaf: jnp.tensordot(used.astype(leaf.dtype), leaf, 1)  # noqa: E731
        finite = used & jnp.isfinite(losses)
        return jnp.where(finite, losses, 0.0).sum(), finite.sum().astype(losses.dtype), jax.tree.map(total, gradients)

    def compute(variables: PyTree, table: StateTable, key: PRNGKeyArray) -> tuple[Float[Array, ""], PyTree]:
        rng = private.make_generator(key)
        chosen = private.draw_episodes(rng)
        loss, count, total = jnp.zeros(()), jnp.zeros(()), jax.tree.map(jnp.zeros_like, variables)
        for start in range(0, len(chosen), BLOCK):
            few = chosen[start : start + BLOCK]
            used = np.arange(BLOCK) < len(few)
            padded = np.pad(few, (0, BLOCK - len(few)))
            found = add(variables, table, padded, used, key)
            loss, count, total = jax.tree.map(jnp.add, (loss, count, total), found)
        return loss / jnp.maximum(count, 1.0), private.add_noise(total, rng)

    return compute


@check_arguments
def make_public_pairs(teacher: Teacher, size: int, key: PRNGKeyArray) -> Pairs:
    """Make initial pairs without the data: standard normal states, in units of the teacher's normaliser.

    Args:
        teacher: acts in these states.
        size: N.
        key: determines the states.

    Returns:
        N pairs without weights: standardised states [N, S] and the teacher's actions [N, A].

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


@check_arguments
def find_episodes(rows: Int[np.ndarray, " M"], bounds: Int[np.ndarray, " n"]) -> tuple[np.ndarray, np.ndarray]:
    """Find the rows of a state table that each episode has, for :class:`PrivateGradients`.

    Args:
        rows: the rows of the dataset that the table has, in order.
        bounds: the first row of each episode in the dataset, then its number of rows.

    Returns:
        The first row in the table and the number of rows of each episode that has any.

    Example:
        >>> first, length = find_episodes(np.array([0, 2, 5, 6]), np.array([0, 4, 5, 8]))
        >>> first.tolist(), length.tolist()
        ([0, 2], [2, 2])
    """
    edges = np.searchsorted(rows, bounds)
    first, length = edges[:-1], np.diff(edges)
    return first[length > 0], length[length > 0]
