"""Kernel interpolation: students that fit their pairs closely, as those trained by Adam do.

The student is the function of least norm, under a tangent kernel K, that fits the pairs before the last nonlinearity.
With targets y = atanh(a), where actions are limited to ±0.97, and weights w,

    f(s) = k(s)ᵀ (K + ρ k̄ w̄ W⁻¹)⁻¹ y,    π(s) = tanh f(s),                            (1)

where k̄ is the weighted mean of the diagonal of K, w̄ that of the weights, ρ the ridge and W = diag(w). For discrete
actions, y = log p of smoothed probabilities p, centred over the actions, and softmax replaces tanh. K is the mean of
the kernels of random finite networks, which are redrawn at each outer step, as in
:mod:`~potstill.distillation.solvers.drawn_kernel`.

The solver ``drawn`` describes students of Adam by a descent of 300 steps, in which the small eigenvalues of K do not
converge. The experiment ``fitted-students`` measures how far both are from trained networks. Neither includes the
learning rate, the number of steps, or the features that networks learn.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.distillation.solvers.drawn_kernel import DrawnKernelSolver
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_finite, check_ranges
from potstill.students.recipe import Loss
from potstill.students.training import Pairs

EDGE = 0.97  # largest magnitude of an action that is fitted; share of the labels in smoothed probabilities
LEAST_SHARE = 1e-15  # of a pair in the weights of all pairs, so that the ridge is finite


def make_targets(actions: Float[Array, "N A"], loss: Loss) -> Float[Array, "N A"]:
    """Make y of (1): the outputs of a network whose actions, limited to ±0.97 or smoothed, are those of the pairs."""
    if loss == "squared-error":
        return jnp.arctanh(jnp.clip(actions, -EDGE, EDGE))
    logits = jnp.log(EDGE * actions + (1.0 - EDGE) / actions.shape[-1])
    return logits - logits.mean(axis=-1, keepdims=True)


@check_arguments
@dataclass(frozen=True)
class KernelInterpolation(DrawnKernelSolver):
    """The function of least norm that fits the pairs, under the tangent kernels of random finite networks.

    It describes students that are trained until they fit their pairs, by any optimiser.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from potstill.students import Pairs, RECIPES
        >>> solver = KernelInterpolation(RECIPES["pytorch"], networks=1)
        >>> pairs = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> solver(pairs, pairs.states, jax.random.key(0)).round(2).tolist()
        [[0.5], [0.0], [-0.5]]
    """

    networks: int = 3
    """P, the number of networks whose kernels are averaged. With fewer networks, kernels vary more."""
    ridge: float = 1e-3
    """ρ, relative to the mean of the kernel's diagonal. A larger ridge gives a smoother student."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, ridge=1e-6)
        check_finite(self, "ridge")

    def fit(self, kernel: Float[Array, "N N"], pairs: Pairs) -> Float[Array, "N A"]:
        """Solve (1) for the coefficients, with the symmetric part of the kernel."""
        targets = make_targets(pairs.actions, self.recipe.loss)
        ridge = jnp.diag(self.make_ridge(kernel, pairs))
        coefficients: Array = jnp.linalg.solve(0.5 * (kernel + kernel.T) + ridge, targets)
        return coefficients

    def make_ridge(self, kernel: Float[Array, "N N"], pairs: Pairs) -> Float[Array, " N"]:
        """Compute the diagonal ρ k̄ w̄ W⁻¹ of (1)."""
        weights = jnp.ones(len(kernel), kernel.dtype) if pairs.weights is None else pairs.weights
        shares = weights / weights.sum()
        level = self.ridge * (shares @ jnp.diag(kernel)) * (shares @ shares)  # neither the scale nor zeros change it
        return level / jnp.maximum(shares, LEAST_SHARE)
