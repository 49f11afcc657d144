"""The unroll: differentiation through the training of a finite student, step by step, as in the paper.

There are two implementations of the adjoint, equal up to rounding:

``autodiff``  JAX's back-propagation through ``lax.scan``. It stores the activations of every step.
``sweep``     a hand-written reverse sweep. It stores the parameters of every step and recomputes the activations.
              With U the optimiser's step, x ← U(x, ∇ℓ(θ, D)) for x = (θ, optimiser state), and λ the adjoint of x,
              each step of the reverse sweep is

                  (λ, μ) ← ∂U(x, ∇ℓ)ᵀ λ,    (λ_θ, λ_D) ← (λ_θ, λ_D) + ∂/∂ε ∇_(θ, D) ℓ(θ + ε μ, D)

              one forward-over-reverse product that gives the terms of the Hessian and of the pairs together.

Either can be limited to a window of the last steps (truncated back-propagation), and training can end at a random
step (RaT-BPTT, Feng et al. 2024).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree

from potstill.distillation.solvers.base import Solver, StudentPolicy
from potstill.errors import PotstillError
from potstill.networks.mlp import Params
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.students.recipe import Recipe
from potstill.students.training import (
    Pairs,
    StepKeys,
    TrainingState,
    compute_mean_actions,
    initialise_student,
    step_loss,
    take_optimiser_step,
    train_step,
    train_steps,
)


@check_arguments
@dataclass(frozen=True)
class Unroll(Solver):
    """Back-propagation through the training of a finite student, for any recipe.

    Memory and time of a gradient grow with the number of differentiated steps; ``window`` limits it.

    Raises:
        PotstillError: a field has a wrong type or is out of range, the window is longer than the training, or a random
            window has no length.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from potstill.students import Pairs, Recipe
        >>> pairs = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> solver = Unroll(Recipe(steps=4, width=8, layers=2), window=2)
        >>> slope = jax.grad(lambda pairs: solver(pairs, jnp.zeros((2, 3)), jax.random.key(0)).sum())(pairs)
        >>> slope.states.shape, slope.actions.shape
        ((3, 3), (3, 1))
    """

    trains_networks: ClassVar[bool] = True
    adjoint: ClassVar[Literal["autodiff", "sweep"]] = "autodiff"
    """How the training is differentiated."""

    window: int | None = None
    """Differentiate only this number of last training steps. Default: all steps, which gives the exact gradient."""

    random_window: bool = False
    """End the training, and with it the window, at a random step (RaT-BPTT)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, window=1)
        if self.random_window and self.window is None:
            raise PotstillError("Unroll.random_window requires Unroll.window, the number of steps to differentiate")
        if self.window is not None and self.window > self.recipe.steps:
            raise PotstillError(
                f"Unroll.window {self.window}: expected at most {self.recipe.steps}, the training steps of the recipe"
            )

    def __call__(self, pairs: Pairs, states: Float[Array, "B S"], key: PRNGKeyArray) -> Float[Array, "B A"]:
        """Mean actions in ``states`` of a student trained on ``pairs``. ``key`` determines the initial network."""
        return compute_mean_actions(self._train(pairs, key), states, pairs.actions.shape[-1], self.recipe.loss)

    def make_policy(self, pairs: Pairs, key: PRNGKeyArray) -> StudentPolicy:
        """Make the trained student as a function of states; it is trained once."""
        params, size, loss = jax.jit(self._train)(pairs, key), pairs.actions.shape[-1], self.recipe.loss
        return jax.jit(lambda states: compute_mean_actions(params, states, size, loss))

    def _train(self, pairs: Pairs, key: PRNGKeyArray) -> Params:
        """Train the student, and differentiate the window."""
        recipe = self.recipe
        state, keys = initialise_student(key, pairs, recipe)
        window = recipe.steps if self.window is None else self.window
        if window < recipe.steps:
            first: int | Array = recipe.steps - window
            if self.random_window:
                first = jax.random.randint(jax.random.fold_in(key, 1), (), 0, recipe.steps - window + 1)
            state, keys = _skip_ahead(state, keys, pairs, recipe, first, window)
        train = swept_steps if self.adjoint == "sweep" else train_steps
        trained: Params = train(state, keys, pairs, recipe, window).params
        return trained

    def make_exact(self) -> Solver:
        """Make the same unroll without a window."""
        return dataclasses.replace(self, window=None, random_window=False)


@check_arguments
@dataclass(frozen=True)
class Sweep(Unroll):
    """The unroll with a hand-written reverse sweep: slower on small problems, but with less memory on large ones.

    Actions and gradients are those of :class:`Unroll`, up to rounding.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from potstill.students import Pairs, Recipe
        >>> pairs = Pairs(jnp.eye(3), jnp.array([[0.5], [0.0], [-0.5]]))
        >>> recipe, states, key = Recipe(steps=4, width=8, layers=2), jnp.zeros((2, 3)), jax.random.key(0)
        >>> bool(jnp.allclose(Sweep(recipe)(pairs, states, key), Unroll(recipe)(pairs, states, key)))
        True
    """

    adjoint: ClassVar[Literal["autodiff", "sweep"]] = "sweep"


def _skip_ahead(
    state: TrainingState, keys: StepKeys, pairs: Pairs, recipe: Recipe, first: int | Array, window: int
) -> tuple[TrainingState, Key[Array, " W"] | None]:
    """Train up to step ``first`` without a gradient; also return the keys of the ``window`` steps from there."""
    constant = jax.lax.stop_gradient(pairs)

    def body(i: Array, state: TrainingState) -> TrainingState:
        return train_step(state, None if keys is None else keys[i], constant, recipe)

    ahead = jax.lax.fori_loop(0, first, body, state)
    return ahead, None if keys is None else jax.lax.dynamic_slice_in_dim(keys, first, window)


def _sweep(state: TrainingState, keys: StepKeys, pairs: Pairs, recipe: Recipe, steps: int) -> TrainingState:
    return train_steps(state, keys, pairs, recipe, steps)


swept_steps = jax.custom_vjp(_sweep, nondiff_argnums=(3, 4))
"""``train_steps`` with the reverse sweep for its derivative."""


def _forward(
    state: TrainingState, keys: StepKeys, pairs: Pairs, recipe: Recipe, steps: int
) -> tuple[TrainingState, tuple[TrainingState, StepKeys, Pairs]]:
    body = lambda state, key: (train_step(state, key, pairs, recipe), state)  # noqa: E731
    last, path = jax.lax.scan(body, state, keys, length=steps)
    return last, (path, keys, pairs)


def _backward(
    recipe: Recipe, steps: int, residual: tuple[TrainingState, StepKeys, Pairs], adjoint: TrainingState
) -> tuple[TrainingState, None, Pairs]:
    path, keys, pairs = residual
    gradient = jax.grad(step_loss, argnums=(0, 1))

    def body(carry: tuple[TrainingState, Pairs], step: PyTree) -> tuple[tuple[TrainingState, Pairs], None]:
        state_adjoint, pairs_adjoint = carry
        state, key = step
        slope = jax.grad(step_loss)(state.params, pairs, key, recipe)
        pull = jax.vjp(lambda x, g: take_optimiser_step(x, g, recipe), state, slope)[1]
        state_adjoint, slope_adjoint = pull(state_adjoint)
        tangents = jax.jvp(lambda p: gradient(p, pairs, key, recipe), (state.params,), (slope_adjoint,))[1]
        params_adjoint, pairs_adjoint = jax.tree.map(jnp.add, (state_adjoint.params, pairs_adjoint), tangents)
        return (state_adjoint._replace(params=params_adjoint), pairs_adjoint), None

    zero = jax.tree.map(jnp.zeros_like, pairs)
    (state_adjoint, pairs_adjoint), _ = jax.lax.scan(body, (adjoint, zero), (path, keys), length=steps, reverse=True)
    return state_adjoint, None, pairs_adjoint


swept_steps.defvjp(_forward, _backward)
