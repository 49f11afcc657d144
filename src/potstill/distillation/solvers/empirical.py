"""Kernel descent at finite width, with the tangent kernels and initial functions of finite networks.

Let J be the Jacobian of a network's outputs with respect to its parameters. Linearised at its initialisation, the
network trains by

    f(S) ← f(S) − α₀ K v,    v ← β₀ v + ∂ℓ/∂f(S),    K = J(S) J(S)ᵀ                   (1)

over all pairs and outputs jointly. Let c be the sum of the steps. The parameters have then moved by J(S)ᵀ c (one
vector-Jacobian product), and f(s) = f₀(s) + J(s) J(S)ᵀ c in other states (one Jacobian-vector product). Only K, of
size N A × N A, is stored. A layer with inputs h and δ_a = ∂f_a/∂z for its pre-activations z contributes one term to

    K_(x,a)(y,b) = Σ_layers (h(x)·h(y) + 1) δ_a(x)·δ_b(y).                            (2)

Loss, initialisation and width are the student's own; only the features stay fixed.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.distillation.solvers.base import Solver, require_sgd
from potstill.distillation.solvers.kernel_descent import descent
from potstill.networks.mlp import Params, apply_mlp, compute_layer_inputs
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs, compute_unit_actions, initialise_network


def empirical_kernel(params: Params, states: Float[Array, "N S"]) -> Float[Array, "N A N A"]:
    """K of (2) for one network, for all pairs of states and all pairs of outputs."""

    def output_of_biases(biases: list[Array], state: Float[Array, " S"]) -> Float[Array, " A"]:
        layers = [{**layer, "bias": bias} for layer, bias in zip(params, biases, strict=True)]
        return apply_mlp(type(params)(layers), state)

    biases = [layer["bias"] for layer in params]
    deltas = jax.vmap(jax.jacrev(output_of_biases), (None, 0))(biases, states)
    total = jnp.zeros((), states.dtype)
    for inputs, delta in zip(compute_layer_inputs(params, states), deltas, strict=True):
        flat = delta.reshape(-1, delta.shape[-1])
        products = (flat @ flat.T).reshape(*delta.shape[:2], *delta.shape[:2])
        total = total + (inputs @ inputs.T + 1.0)[:, None, :, None] * products
    return total


def compute_linearised_actions(
    params: Params, pairs: Pairs, states: Float[Array, "B S"], recipe: Recipe
) -> Float[Array, "B A"]:
    """Compute the actions of the network linearised at ``params`` and trained on ``pairs``."""
    outputs, pull = jax.vjp(lambda p: apply_mlp(p, pairs.states), params)
    kernel = empirical_kernel(params, pairs.states).reshape(outputs.size, outputs.size)
    c = descent(kernel, outputs, pairs, recipe)
    initial, change = jax.jvp(lambda p: apply_mlp(p, states), (params,), pull(c))
    return compute_unit_actions(initial + change, recipe.loss)


@check_arguments
@dataclass(frozen=True)
class EmpiricalKernelDescent(Solver):
    """Kernel descent with the tangent kernels of random networks, whose actions are averaged.

    A network of several towers is replaced by one of its towers.

    Raises:
        PotstillError: a field has a wrong type or is out of range, or the recipe is not SGD on mean actions.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from potstill.students import Pairs, Recipe
        >>> pairs = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> solver = EmpiricalKernelDescent(Recipe(steps=5, width=8, layers=2))
        >>> solver(pairs, jnp.zeros((2, 3)), jax.random.key(0)).shape
        (2, 1)
    """

    networks: int = 1
    """The number of networks that are drawn at each outer step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, networks=1)
        require_sgd(self)

    def __call__(self, pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray) -> Float[Array, "B A"]:
        """Mean actions in ``states`` of linearised networks drawn from ``key``."""
        recipe = dataclasses.replace(self.recipe, towers=1)

        def one(key: PRNGKeyArray) -> Float[Array, "B A"]:
            params = initialise_network(key, pairs.states.shape[-1], pairs.actions.shape[-1], recipe)
            return compute_linearised_actions(params, pairs, states, recipe)

        actions: Float[Array, "P B A"] = jax.lax.map(one, jax.random.split(key, self.networks))
        return actions.mean(axis=0)
