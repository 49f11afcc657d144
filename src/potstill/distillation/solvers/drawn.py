"""Kernel descent with the tangent kernels of random finite networks.

Pairs that are distilled for the exact kernel may rely on details that no finite student has: their infinitely wide
student may reach the teacher's return while finite students fail. Here kernels are redrawn at each outer step
(:mod:`~potstill.distillation.solvers.drawn_kernel`). The initial function is 0.

Students trained by Adam are described as if SGD trained them: with momentum 0.9 and half of the largest stable step
size, for 300 steps. On pairs that are hard to fit, this is too short; see
:mod:`~potstill.distillation.solvers.interpolation`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.distillation.solvers.drawn_kernel import DrawnKernelSolver
from potstill.distillation.solvers.kernel_descent import descent
from potstill.runtime.arguments import check_arguments
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs

FITTING = Recipe(steps=300, momentum=0.9, learning_rate=1.0)  # replaces Adam; the kernel is scaled instead of the rate
SHARE = 0.5  # step size of these students, as a fraction of the largest stable one
MOST = 0.9  # largest such fraction for students trained by SGD: larger steps are shortened
POWERS = 30  # iterations for the largest eigenvalue


@check_arguments
@dataclass(frozen=True)
class DrawnKernelDescent(DrawnKernelSolver):
    """Kernel descent with tangent kernels of random finite networks, which are redrawn at each outer step.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from potstill.students import Pairs, Recipe
        >>> solver = DrawnKernelDescent(Recipe(momentum=0.9), networks=2)
        >>> pairs = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> solver(pairs, jnp.zeros((2, 3)), jax.random.key(0)).shape
        (2, 1)
    """

    def fit(self, kernel: Float[Array, "N N"], pairs: Pairs) -> Float[Array, "N A"]:
        """Train by descent, under the symmetric part of the kernel: the reverse sweep assumes exact symmetry."""
        kernel, zero = 0.5 * (kernel + kernel.T), jnp.zeros_like(pairs.actions)
        adam = self.recipe.optimiser != "sgd"
        training = dataclasses.replace(FITTING, loss=self.recipe.loss) if adam else self.recipe
        weights = jnp.ones(len(kernel), kernel.dtype) if pairs.weights is None else pairs.weights
        root = jnp.sqrt(jnp.maximum(weights, 1e-12))  # √0 has no derivative
        largest = largest_eigenvalue(root * kernel * root[:, None])
        terms = 4 * len(pairs.actions) if self.recipe.loss == "cross-entropy" else pairs.actions.size  # see stability
        limit = (1.0 + training.momentum) * terms / largest  # of stable step sizes
        scale = SHARE * limit if adam else jnp.minimum(1.0, MOST * limit / self.recipe.learning_rate)
        return scale * descent(scale * kernel, zero, pairs, training)


def largest_eigenvalue(kernel: Float[Array, "N N"]) -> Float[Array, ""]:
    """The largest eigenvalue of a symmetric matrix with positive entries, by power iteration.

    The eigenvector is constant under differentiation: the derivative has an error of the second order in that of the
    eigenvector.
    """
    constant = jax.lax.stop_gradient(kernel)
    start = jnp.ones(len(kernel), kernel.dtype)
    power = lambda _, x: (constant @ x) / jnp.linalg.norm(constant @ x)  # noqa: E731
    vector = jax.lax.fori_loop(0, POWERS, power, start / jnp.linalg.norm(start))
    eigenvalue: Array = vector @ kernel @ vector
    return eigenvalue
