"""Tangent kernels of random finite networks, and solvers that use them.

A student of finite width trains under a kernel that differs from that at infinite width, randomly with its
initialisation and systematically with its architecture. Here each outer step draws new networks with one output. With
h_l(x) the inputs of layer l and δ_l(x) the derivative of the output with respect to its pre-activations, the kernel of
the step is the mean over P networks of

    K(x, y) = Σ_l (h_l(x)·h_l(y) + 1) δ_l(x)·δ_l(y),                                  (1)

whose expectation is, to leading order in 1 / width, that of :mod:`~potstill.distillation.solvers.kernel_descent`. All
outputs share it. The outer loss is then an expectation over kernels, so the pairs cannot rely on a single one.
"""

from __future__ import annotations

import functools
from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.distillation.solvers.base import Solver, StudentPolicy, name_solvers, require_trained
from potstill.errors import PotstillError
from potstill.networks.mlp import Params
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.students.initialisation import SCHEMES
from potstill.students.recipe import Loss, Recipe
from potstill.students.training import Pairs, compute_unit_actions

Features: TypeAlias = list[list[tuple[Array, Array]]]
"""h_l [B, width] and δ_l [B, width] of (1), for each network and layer."""


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


def draw_networks(key: PRNGKeyArray, size: int, recipe: Recipe, networks: int) -> list[Params]:
    """Draw networks with ``size`` inputs and one output."""
    sizes, drawn = (size, *[recipe.width] * (recipe.layers - 1), 1), []
    for network_key in jax.random.split(key, networks):
        *hidden, last = SCHEMES[recipe.initialisation].draw(network_key, sizes)
        drawn.append([*hidden, jax.tree.map(lambda w: recipe.output_gain * w, last)])
    return drawn


def drawn_kernel(
    key: PRNGKeyArray, x: Float[Array, "B S"], pairs: Float[Array, "N S"], recipe: Recipe, networks: int
) -> Float[Array, "N+B N"]:
    """The mean of (1) over networks drawn from ``key``: rows for the pairs, then for the states ``x``."""
    drawn = draw_networks(key, x.shape[-1], recipe, networks)
    features = [compute_features(params, jnp.concatenate([pairs, x])) for params in drawn]
    of_pairs = [[(h[: len(pairs)], d[: len(pairs)]) for h, d in layers] for layers in features]
    return compare_features(features, of_pairs)


def compare_features(left: Features, right: Features) -> Float[Array, "B N"]:
    """Compute the mean of (1) over networks between B and N states, from their features under the same networks."""
    total = jnp.zeros(())
    for layers, other_layers in zip(left, right, strict=True):
        for (h, d), (other_h, other_d) in zip(layers, other_layers, strict=True):
            total = total + (h @ other_h.T + 1.0) * (d @ other_d.T) / len(left)
    return total


@check_arguments
@dataclass(frozen=True)
class DrawnKernelSolver(Solver):
    """A solver whose student is the function k(s)ᵀ c, before the last nonlinearity, under a drawn kernel.

    A subclass computes the coefficients c [N, A] from the kernel of the pairs, in :meth:`fit`.
    """

    networks: int = 4
    """P, the number of networks whose kernels are averaged. With fewer networks, kernels vary more."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, networks=1)
        require_trained(self)
        if self.recipe.residual:
            others = ("kernel", "unroll") if self.recipe.optimiser == "sgd" else ("unroll",)
            raise PotstillError(
                f"{type(self).__name__} does not support residual students (Recipe.residual): choose "
                f"{name_solvers(others)}, or a recipe that is not residual"
            )

    @abstractmethod
    def fit(self, kernel: Float[Array, "N N"], pairs: Pairs) -> Float[Array, "N A"]:
        """Compute the coefficients of the trained student. ``kernel`` is symmetric up to rounding."""

    def __call__(self, pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray) -> Float[Array, "B A"]:
        """Actions in ``states`` of the student under the kernel that ``key`` draws."""
        kernel, count = drawn_kernel(key, states, pairs.states, self.recipe, self.networks), len(pairs.states)
        return compute_unit_actions(kernel[count:] @ self.fit(kernel[:count], pairs), self.recipe.loss)

    def make_policy(self, pairs: Pairs, key: PRNGKeyArray) -> StudentPolicy:
        """Make the student as a function of states; the inner problem is solved once."""
        student = _solve(pairs, key, self)
        return lambda states: _act(states, student, self.recipe.loss)


class _Student(NamedTuple):
    """A trained student. The features of the pairs are kept, because a rollout has thousands of calls."""

    networks: list[Params]
    features: Features
    """Those of the pairs."""
    coefficients: Float[Array, "N A"]


@functools.partial(jax.jit, static_argnames="solver")
def _solve(pairs: Pairs, key: PRNGKeyArray, solver: DrawnKernelSolver) -> _Student:
    networks = draw_networks(key, pairs.states.shape[-1], solver.recipe, solver.networks)
    features = [compute_features(params, pairs.states) for params in networks]
    return _Student(networks, features, solver.fit(compare_features(features, features), pairs))


@functools.partial(jax.jit, static_argnames="loss")
def _act(states: Float[Array, "B S"], student: _Student, loss: Loss) -> Float[Array, "B A"]:
    features = [compute_features(params, states) for params in student.networks]
    return compute_unit_actions(compare_features(features, student.features) @ student.coefficients, loss)
