"""Closed forms: the last layer, or the infinitely wide student, trained to convergence with a ridge penalty.

Under a kernel K, a student trained to convergence computes

    f(s) = K(s, S) (K(S, S) + λ I)⁻¹ y,    y = artanh((1 − m) a),                     (1)

the limit of gradient descent on ½ ‖f(S) − y‖² with a penalty λ. The squared error after the tanh has the same
minimum, y = artanh a; the margin m keeps y finite for actions of ±1.

:class:`KernelRidge`   K is the tangent kernel at infinite width (the limit of kernel descent).
:class:`FeatureRidge`  K(x, y) = 1/P Σ_p φ_p(x)·φ_p(y) + 1, where φ_p is the last hidden layer of network p and 1 stands
                       for a bias: only the last layer learns. The networks of the pool are drawn from the key.
                       Network p = 1 … P trains on the current pairs for p / P of ``trained`` steps; no gradient
                       flows through this training. Source: FRePo (Zhou et al. 2022), which keeps its pool
                       between outer steps.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.distillation.solvers.base import Solver, require_continuous, require_sgd
from potstill.distillation.solvers.kernel_descent import tangent_kernel
from potstill.networks.mlp import compute_layer_inputs
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.students.training import Pairs, train_network

MARGIN = 0.01


def regress(
    kernel: Float[Array, "N N"], elsewhere: Float[Array, "B N"], pairs: Pairs, penalty: float
) -> Float[Array, "B A"]:
    """Compute actions by (1).

    For pairs with weights w, each pair has the penalty λ / w: (W½ K W½ + λ I) z = W½ y, c = W½ z; means are weighted.

    Args:
        kernel: K between the pairs.
        elsewhere: K between states and pairs.
        pairs: the pairs to fit.
        penalty: λ as a fraction of the kernel's mean diagonal.
    """
    weights = jnp.ones(len(kernel)) if pairs.weights is None else pairs.weights
    roots = jnp.sqrt(weights * weights.sum() / jnp.sum(weights**2))
    size = penalty * jnp.sum(weights * jnp.diagonal(kernel)) / weights.sum()
    targets = roots[:, None] * jnp.arctanh((1.0 - MARGIN) * pairs.actions)
    inner = roots[:, None] * kernel * roots + size * jnp.eye(len(kernel))
    return jnp.tanh(elsewhere @ (roots[:, None] * jax.scipy.linalg.solve(inner, targets, assume_a="pos")))


def make_ridge_system(
    kernel: Float[Array, "N N"], pairs: Pairs, penalty: float
) -> tuple[Float[Array, " N"], Float[Array, "N A"]]:
    """Compute λ / w and y of the system that :func:`regress` solves, in the form (K + diag(λ / w)) c = y.

    Weights have a weighted mean of 1, as there.
    """
    weights = jnp.ones(len(kernel)) if pairs.weights is None else pairs.weights
    level = penalty * jnp.sum(weights * jnp.diagonal(kernel)) / weights.sum()
    shares = weights * weights.sum() / jnp.sum(weights**2)
    return level / shares, jnp.arctanh((1.0 - MARGIN) * pairs.actions)


@check_arguments
@dataclass(frozen=True)
class KernelRidge(Solver):
    """Ridge regression under the tangent kernel at infinite width: a student that is trained to convergence.

    Raises:
        PotstillError: a field has a wrong type or is out of range, the recipe is not SGD on mean actions, or actions
            are discrete.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from potstill.students import Pairs, Recipe
        >>> pairs = Pairs(3.0 * jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> KernelRidge(Recipe(), penalty=1e-6)(pairs, pairs.states, jax.random.key(0)).round(1).tolist()
        [[0.5], [0.0], [-0.5]]
    """

    penalty: float = 1e-3
    """λ, as a fraction of the kernel's mean diagonal."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, penalty=1e-9)
        require_sgd(self)
        require_continuous(self)

    def __call__(self, pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray) -> Float[Array, "B A"]:
        """Actions of the infinitely wide student after training to convergence. ``key`` is unused."""
        del key
        kernel, elsewhere = (tangent_kernel(x, pairs.states, self.recipe) for x in (pairs.states, states))
        return regress(kernel, elsewhere, pairs, self.penalty)


@check_arguments
@dataclass(frozen=True)
class FeatureRidge(Solver):
    """Ridge regression on the last hidden layers of a pool of networks.

    A network of several towers is replaced by one of its towers.

    Raises:
        PotstillError: a field has a wrong type or is out of range, the recipe is not SGD on mean actions, or actions
            are discrete.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from potstill.students import Pairs, Recipe
        >>> pairs = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> solver = FeatureRidge(Recipe(width=8, layers=2), networks=2)
        >>> solver(pairs, jnp.zeros((2, 3)), jax.random.key(0)).shape
        (2, 1)
    """

    networks: int = 4
    """P, the number of networks in the pool. They are redrawn at each outer step; their features are concatenated."""

    trained: int = 0
    """Training steps of network P, the last of the pool, on the pairs. Network p takes the fraction p / P of them."""

    penalty: float = 1e-3
    """λ, as a fraction of the features' mean squared norm."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, networks=1, trained=0, penalty=1e-9)
        require_sgd(self)
        require_continuous(self)

    def __call__(self, pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray) -> Float[Array, "B A"]:
        """Actions of the last layer fitted to the features of networks drawn from ``key``."""
        fixed = jax.lax.stop_gradient(pairs)
        kernel, elsewhere = jnp.ones(()), jnp.ones(())
        for place, network_key in enumerate(jax.random.split(key, self.networks)):
            age = self.trained * (place + 1) // self.networks
            network = train_network(network_key, fixed, dataclasses.replace(self.recipe, towers=1, steps=age))
            at_pairs, at_states = (compute_layer_inputs(network, x)[-1] for x in (pairs.states, states))
            kernel = kernel + at_pairs @ at_pairs.T / self.networks
            elsewhere = elsewhere + at_states @ at_pairs.T / self.networks
        return regress(kernel, elsewhere, pairs, self.penalty)
