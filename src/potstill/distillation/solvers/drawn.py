"""Kernel descent with the tangent kernels of random finite networks.

A student of finite width trains under a kernel that differs from that at infinite width, randomly with its
initialisation and systematically with its architecture. Pairs that are distilled for the exact kernel may rely on
details that no finite student has: their infinitely wide student may reach the teacher's return while finite students
fail. Here each outer step draws new networks with one output. With h_l(x) the inputs of layer l and δ_l(x) the
derivative of the output with respect to its pre-activations, the kernel of the step is the mean over P networks of

    K(x, y) = Σ_l (h_l(x)·h_l(y) + 1) δ_l(x)·δ_l(y),                                  (1)

whose expectation is, to leading order in 1 / width, that of :mod:`~potstill.distillation.solvers.kernel_descent`. All
outputs share it. The initial function is 0. The outer loss is then an expectation over kernels, so the pairs cannot
rely on the details of a single one.

Students trained by Adam are described by the same kernels, as if SGD trained them until they fit their pairs: with
momentum 0.9 and half of the largest stable step size, for 300 steps. On pairs with a teacher's labels, this function
differs from the mean of eight networks trained by PyTorch's Adam by about as much as one of these networks does.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.distillation.solvers.base import Solver, require_trained
from potstill.distillation.solvers.kernel_descent import descent
from potstill.errors import PotstillError
from potstill.networks.mlp import Params
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.students.initialisation import SCHEMES
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs, compute_unit_actions

FITTING = Recipe(steps=300, momentum=0.9, learning_rate=1.0)  # replaces Adam; the kernel is scaled instead of the rate
SHARE = 0.5  # step size of these students, as a fraction of the largest stable one
MOST = 0.9  # largest such fraction for students trained by SGD: larger steps are shortened
POWERS = 30  # iterations for the largest eigenvalue


def compute_features(params: Params, x: Float[Array, "B S"]) -> list[tuple[Array, Array]]:
    """Compute h_l and δ_l of (1) for each layer of a ReLU network with one output."""
    inputs, active = [x], []
    for layer in params[:-1]:
        before = inputs[-1] @ layer["weight"] + layer["bias"]
        active.append(before > 0.0)
        inputs.append(jax.nn.relu(before))
    delta = jnp.ones((len(x), 1), x.dtype)
    deltas = [delta]
    for layer, on in zip(reversed(params[1:]), reversed(active), strict=True):
        delta = jnp.where(on, delta @ layer["weight"].T, 0.0)
        deltas.append(delta)
    return list(zip(inputs, reversed(deltas), strict=True))


def drawn_kernel(
    key: PRNGKeyArray, x: Float[Array, "B S"], pairs: Float[Array, "N S"], recipe: Recipe, networks: int
) -> Float[Array, "N+B N"]:
    """The mean of (1) over networks drawn from ``key``: rows for the pairs, then for the states ``x``."""
    sizes, total = (x.shape[-1], *[recipe.width] * (recipe.layers - 1), 1), jnp.zeros(())
    for network_key in jax.random.split(key, networks):
        *hidden, last = SCHEMES[recipe.initialisation].draw(network_key, sizes)
        params = [*hidden, jax.tree.map(lambda w: recipe.output_gain * w, last)]
        for inputs, deltas in compute_features(params, jnp.concatenate([pairs, x])):
            products = inputs @ inputs[: len(pairs)].T + 1.0
            total = total + products * (deltas @ deltas[: len(pairs)].T) / networks
    return total


@check_arguments
@dataclass(frozen=True)
class DrawnKernelDescent(Solver):
    """Kernel descent with tangent kernels of random finite networks, which are redrawn at each outer step.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from potstill.students import Pairs, Recipe
        >>> solver = DrawnKernelDescent(Recipe(momentum=0.9), networks=2)
        >>> pairs = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> solver(pairs, jnp.zeros((2, 3)), jax.random.key(0)).shape
        (2, 1)
    """

    networks: int = 4
    """P, the number of networks whose kernels are averaged. With fewer networks, kernels vary more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, networks=1)
        require_trained(self)
        if self.recipe.residual:
            raise PotstillError(
                "DrawnKernelDescent does not support residual students: use solver 'kernel' or 'unroll'"
            )

    def __call__(self, pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray) -> Float[Array, "B A"]:
        """Actions in ``states`` of the student under the kernel that ``key`` draws."""
        kernel = drawn_kernel(key, states, pairs.states, self.recipe, self.networks)
        count = len(pairs.states)
        return compute_unit_actions(kernel[count:] @ _solve(kernel[:count], pairs, self.recipe), self.recipe.loss)

    def make_policy(self, pairs: Pairs, key: PRNGKeyArray) -> Callable[[Float[Array, "B S"]], Float[Array, "B A"]]:
        """Make the student as a function of states; the inner problem is solved once."""
        coefficients = _prepare(pairs, key, self)
        return lambda states: _act(states, pairs.states, coefficients, key, self)


def _solve(kernel: Float[Array, "N N"], pairs: Pairs, recipe: Recipe) -> Float[Array, "N A"]:
    """The coefficients of the trained student, for the symmetric part: the reverse sweep assumes exact symmetry."""
    kernel, zero = 0.5 * (kernel + kernel.T), jnp.zeros_like(pairs.actions)
    adam = recipe.optimiser != "sgd"
    training = dataclasses.replace(FITTING, loss=recipe.loss) if adam else recipe
    weights = jnp.ones(len(kernel), kernel.dtype) if pairs.weights is None else pairs.weights
    root = jnp.sqrt(jnp.maximum(weights, 1e-12))  # √0 has no derivative
    largest = largest_eigenvalue(root * kernel * root[:, None])
    terms = 4 * len(pairs.actions) if recipe.loss == "cross-entropy" else pairs.actions.size  # see stability
    limit = (1.0 + training.momentum) * terms / largest  # of stable step sizes
    scale = SHARE * limit if adam else jnp.minimum(1.0, MOST * limit / recipe.learning_rate)
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


@functools.partial(jax.jit, static_argnames="solver")
def _prepare(pairs: Pairs, key: PRNGKeyArray, solver: DrawnKernelDescent) -> Float[Array, "N A"]:
    kernel = drawn_kernel(key, pairs.states[:1], pairs.states, solver.recipe, solver.networks)
    return _solve(kernel[: len(pairs.states)], pairs, solver.recipe)


@functools.partial(jax.jit, static_argnames="solver")
def _act(
    states: Float[Array, "B S"],
    pairs: Float[Array, "N S"],
    coefficients: Float[Array, "N A"],
    key: PRNGKeyArray,
    solver: DrawnKernelDescent,
) -> Float[Array, "B A"]:
    kernel = drawn_kernel(key, states, pairs, solver.recipe, solver.networks)
    return compute_unit_actions(kernel[len(pairs) :] @ coefficients, solver.recipe.loss)
