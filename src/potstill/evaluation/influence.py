"""Leave-one-out: the actions of a student that is trained without one of the pairs, for each pair.

With a fixed ridge, :class:`KernelRidge` and :class:`KernelInterpolation` solve one linear system G c = y, where
G = K + R is the kernel of the pairs plus a diagonal. Without pair j, by the inverse of a bordered matrix,

    c⁽ʲ⁾ = c − G⁻¹[:, j] c_j / G⁻¹[j, j],     f⁽ʲ⁾(s) = f(s) − (k(s)ᵀ G⁻¹)_j c_j / G⁻¹[j, j],                (1)

for all j from one factorisation. This is exact for the ridge R of all pairs. If a solver is trained on the other pairs
alone, R changes by about 1 / N of itself.

:class:`KernelDescent` and :class:`DrawnKernelDescent` are not linear: their descent is repeated with weight 0 for pair
j, all pairs in one product of matrices. The other weights are multiplied by N / (N − 1), which makes the descent of
:class:`KernelDescent` that of the N − 1 pairs. All other solvers are called once for each pair.
Source of (1): Cook 1977, "Detection of influential observation in linear regression", for kernels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.distillation.solvers.base import Solver
from potstill.distillation.solvers.drawn import DrawnKernelDescent
from potstill.distillation.solvers.drawn_kernel import drawn_kernel
from potstill.distillation.solvers.interpolation import KernelInterpolation, make_targets
from potstill.distillation.solvers.kernel_descent import KernelDescent, descent, tangent_kernel
from potstill.distillation.solvers.ridge import KernelRidge, make_ridge_system
from potstill.students.training import Pairs, compute_unit_actions

TOGETHER = 16  # pairs whose descents are computed together

LeftOut = Float[np.ndarray, "N B A"]


def find_method(solver: Solver) -> str:
    """Name the computation: ``closed form``, ``masked descent`` or ``refits``.

    >>> from potstill.students import RECIPES
    >>> find_method(KernelDescent(RECIPES["plain"])), find_method(KernelRidge(RECIPES["plain"]))
    ('masked descent', 'closed form')
    """
    if isinstance(solver, KernelRidge | KernelInterpolation):
        return "closed form"
    drawn = isinstance(solver, KernelDescent) and solver.initialisation == "drawn"
    return "masked descent" if isinstance(solver, KernelDescent | DrawnKernelDescent) and not drawn else "refits"


def leave_each_out(solver: Solver, pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray) -> LeftOut:
    """Compute the actions in ``states`` of students that are trained without one of the pairs, for each pair.

    Args:
        solver: the solver. ``key`` determines what it draws.
        pairs: N ≥ 2 pairs.
        states: standardised states.
        key: the same for all students.

    Example:
        >>> from potstill.students import RECIPES
        >>> pairs = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> leave_each_out(KernelRidge(RECIPES["plain"]), pairs, jnp.eye(3), jax.random.key(0)).shape
        (3, 3, 1)
    """
    method = find_method(solver)
    if method == "refits":
        return fit_without_each(solver, pairs, states, key)
    kernel, elsewhere = _compute_kernels(solver, pairs, states, key)
    if method == "closed form":
        return _solve_without_each(solver, kernel, elsewhere, pairs)
    return _descend_without_each(solver, kernel, elsewhere, pairs)


def _compute_kernels(solver: Solver, pairs: Pairs, states: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
    """Kernels between the pairs, and between states and pairs."""
    if isinstance(solver, KernelInterpolation | DrawnKernelDescent):
        found = drawn_kernel(key, states, pairs.states, solver.recipe, solver.networks)
        kernel = found[: len(pairs.states)]
        return 0.5 * (kernel + kernel.T), found[len(pairs.states) :]
    return tuple(tangent_kernel(x, pairs.states, solver.recipe) for x in (pairs.states, states))  # type: ignore[return-value]


def _solve_without_each(solver: Solver, kernel: Array, elsewhere: Array, pairs: Pairs) -> LeftOut:
    """Compute (1). With penalties of the pairs, W½ K W½ + λ I of the ridge solver is K + λ W⁻¹ for c."""
    loss = solver.recipe.loss
    if isinstance(solver, KernelRidge):
        ridge, targets = make_ridge_system(kernel, pairs, solver.penalty)
    else:
        assert isinstance(solver, KernelInterpolation)
        ridge, targets = solver.make_ridge(kernel, pairs), make_targets(pairs.actions, loss)
    inverse = np.linalg.inv(np.asarray(kernel, np.float64) + np.diag(np.asarray(ridge, np.float64)))
    wide, far = np.asarray(targets, np.float64), np.asarray(elsewhere, np.float64)
    coefficients = inverse @ wide
    before, reach = far @ coefficients, far @ inverse
    steps = coefficients / np.diag(inverse)[:, None]
    outputs = before[None] - reach.T[:, :, None] * steps[:, None, :]
    return np.asarray(compute_unit_actions(jnp.asarray(outputs, jnp.float32), loss))


def _descend_without_each(solver: Solver, kernel: Array, elsewhere: Array, pairs: Pairs) -> LeftOut:
    count, recipe = len(pairs.states), solver.recipe
    weights = jnp.ones(count) if pairs.weights is None else pairs.weights
    if isinstance(solver, DrawnKernelDescent):
        fit: Callable[[Pairs], Array] = functools.partial(solver.fit, kernel)
    else:
        fit = lambda pairs: descent(kernel, jnp.zeros_like(pairs.actions), pairs, recipe)  # noqa: E731

    @jax.jit
    def act(left_out: Array) -> Array:
        masks = 1.0 - jax.nn.one_hot(left_out, count)
        kept = jax.vmap(lambda mask: fit(pairs._replace(weights=weights * mask * count / (count - 1.0))))(masks)
        return compute_unit_actions(jnp.einsum("bn,jna->jba", elsewhere, kept), recipe.loss)

    rows = np.arange(count)
    padded = np.concatenate([rows, np.repeat(rows[-1:], -count % TOGETHER)]).reshape(-1, TOGETHER)
    return np.concatenate([np.asarray(act(jnp.asarray(some))) for some in padded])[:count]


def fit_without_each(solver: Solver, pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray) -> LeftOut:
    """Call the solver once without each pair: exact for every solver, and slow."""

    @jax.jit
    def act(kept: Array) -> Array:
        weights = None if pairs.weights is None else pairs.weights[kept]
        return solver(Pairs(pairs.states[kept], pairs.actions[kept], weights), states, key)

    rows = np.arange(len(pairs.states))
    return np.stack([np.asarray(act(jnp.asarray(np.delete(rows, j)))) for j in rows])


def measure_influence(
    left_out: LeftOut, actions: Float[np.ndarray, "B A"], wanted: Float[np.ndarray, "B A"]
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Measure what each pair changes: the mean squared change of the actions, and the change of the imitation error.

    Args:
        left_out: actions without each pair.
        actions: with all pairs.
        wanted: the teacher's.

    Returns:
        Both [N]. The second is positive for pairs without which the student is farther from the teacher.

    >>> one = np.ones((1, 1))
    >>> [part.tolist() for part in measure_influence(np.array([[[0.5]]]), one, 2.0 * one)]
    [[0.25], [1.25]]
    """
    changes = np.square(left_out - actions[None]).sum(-1).mean(-1)
    errors = np.square(left_out - wanted[None]).sum(-1).mean(-1)
    return changes, errors - np.square(actions - wanted).sum(-1).mean()


def count_for_half(values: Float[np.ndarray, " N"]) -> int:
    """Count the largest values that together make half of the sum.

    >>> count_for_half(np.array([1.0, 5.0, 1.0, 1.0]))
    1
    """
    ordered = np.sort(values)[::-1]
    return int(np.searchsorted(np.cumsum(ordered), 0.5 * ordered.sum()) + 1)
