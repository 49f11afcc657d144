"""Step sizes at which students train stably on any data.

Early in training, a step of size α with momentum β on the mean squared error of N pairs with A action components
multiplies the error along an eigenvector of the kernel K(S, S) with eigenvalue λ by the roots of a quadratic
polynomial. Both roots lie in the unit circle if

    α κ < 2 (1 + β),        κ = 2 λ_max / (N A)                                       (1)

(Polyak 1964). The Hessian of the cross-entropy in the outputs of a softmax has eigenvalues up to 1/2, so that κ is at
most λ_max / (2 N): A is replaced by 4. Many dimensions, heavy tails or constant columns make λ_max large, and a fixed
step size may diverge.
"""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from potstill.distillation.solvers.kernel_descent import tangent_kernel
from potstill.students.recipe import Recipe

CROSS_ENTROPY = 4
SAMPLE = 256  # states from which λ_max is computed
USED = 0.9  # largest share of the limit (1) that is accepted
CHOSEN = 0.2  # share of the limit that is chosen otherwise; the default recipe uses 0.13 to 0.21 on common data


def curvature(states: Float[Array, "N S"], recipe: Recipe, actions: int) -> float:
    """κ of (1) for pairs with these states and ``actions`` action components."""
    kernel = np.asarray(_kernel(states, recipe), np.float64)
    terms = CROSS_ENTROPY if recipe.loss == "cross-entropy" else actions
    return float(2.0 * np.linalg.eigvalsh(kernel)[-1] / (len(states) * terms))


@functools.partial(jax.jit, static_argnames="recipe")
def _kernel(states: Float[Array, "N S"], recipe: Recipe) -> Float[Array, "N N"]:
    return tangent_kernel(states, states, recipe)


def stabilise(
    recipe: Recipe, states: Float[np.ndarray, "M S"], actions: int, pairs: Float[np.ndarray, "N S"] | None = None
) -> Recipe:
    """Return the recipe, with a smaller learning rate if its own is near or beyond the limit (1) for these states.

    Initial pairs may lie farther apart than the states of the data: far states are rare, but have clusters of their
    own. Therefore the limit is computed for both. Recipes with Adam are returned unchanged: their steps do not
    depend on the scale of the loss.

    Args:
        recipe: the recipe of the student.
        states: standardised states of the data; evenly spaced rows of them are used.
        actions: A, the number of action components.
        pairs: states as those of the initial pairs.

    Example:
        >>> import numpy as np
        >>> from potstill.students import RECIPES
        >>> wild = np.random.default_rng(0).normal(size=(256, 500)) * 5.0
        >>> stabilise(RECIPES["default"], wild, 1).learning_rate < RECIPES["default"].learning_rate
        True
        >>> stabilise(RECIPES["adam"], wild, 1) == RECIPES["adam"]
        True
    """
    if recipe.optimiser != "sgd" or not recipe.learning_rate:
        return recipe
    rows = np.unique(np.linspace(0, len(states) - 1, min(len(states), SAMPLE), dtype=int))
    limit = 2.0 * (1.0 + recipe.momentum)
    both = [states[rows], *([] if pairs is None else [pairs])]
    largest = max(curvature(jnp.asarray(each, jnp.float32), recipe, actions) for each in both)
    used = recipe.learning_rate * largest / limit
    if used <= USED:
        return recipe
    return dataclasses.replace(recipe, learning_rate=float(f"{recipe.learning_rate * CHOSEN / used:.3g}"))
