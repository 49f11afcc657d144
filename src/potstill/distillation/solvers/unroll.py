"""The unroll: a real student's training, differentiated step by step (method §4).

Two adjoints of the same loop, equal up to rounding:

``autodiff``  back-propagation through ``lax.scan`` as JAX derives it; keeps activations of every step.
``sweep``     the reverse sweep written out; keeps parameters of every step, and computes activations anew.
              With U the optimiser's step, x ← U(x, ∇ℓ(θ, D)) for x = (θ, what the optimiser carries), and
              λ the adjoint of x, each step backwards is

                  (λ, μ) ← ∂U(x, ∇ℓ)ᵀ λ,    (λ_θ, λ_D) ← (λ_θ, λ_D) + ∂/∂ε ∇_(θ, D) ℓ(θ + ε μ, D)

              one forward-over-reverse product that yields the Hessian's and the pairs' part at once.

Either may go back through a window of the last steps only (truncated back-propagation), and the training may
end at a random step (RaT-BPTT, Feng et al. 2024).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import UnrollConfig
from potstill.errors import PotstillError
from potstill.students import training as clone
from potstill.students.recipe import Recipe
from potstill.students.training import Pairs, Training

WHOLE = UnrollConfig()


def check_window(recipe: Recipe, settings: UnrollConfig | None) -> None:
    """Raise if the window is longer than the student's training."""
    if settings is not None and settings.window is not None and settings.window > recipe.steps:
        raise PotstillError(f"--unroll.window {settings.window}: students of this recipe train {recipe.steps} steps")


def unrolled_actions(
    pairs: Pairs,
    states: Float[Array, "B S"],
    key: PRNGKeyArray,
    *,
    recipe: Recipe,
    settings: UnrollConfig = WHOLE,
    adjoint: str = "autodiff",
) -> Float[Array, "B A"]:
    """Mean actions in ``states`` of a student trained on ``pairs`` from the start that ``key`` draws."""
    state, noise = clone.begun(key, pairs, recipe)
    window = recipe.steps if settings.window is None else settings.window
    if window < recipe.steps:
        first: Any = recipe.steps - window
        if settings.random_window:
            first = jax.random.randint(jax.random.fold_in(key, 1), (), 0, first + 1)
        state, noise = _ahead(state, noise, pairs, recipe, first, window)
    descend = swept if adjoint == "sweep" else clone.descend
    params = descend(state, noise, pairs, recipe, window).params
    return clone.mean_actions(params, states, pairs.actions.shape[-1])


def _ahead(state: Training, noise: Any, pairs: Pairs, recipe: Recipe, first: Any, window: int) -> tuple[Training, Any]:
    """Train up to step ``first`` without a gradient; and the noise of the ``window`` steps from there."""
    constant = jax.lax.stop_gradient(pairs)

    def body(i: Array, state: Training) -> Training:
        return clone.one_step(state, None if noise is None else noise[i], constant, recipe)

    ahead = jax.lax.fori_loop(0, first, body, state)
    return ahead, None if noise is None else jax.lax.dynamic_slice_in_dim(noise, first, window)


def _swept(state: Training, noise: Any, pairs: Pairs, recipe: Recipe, steps: int) -> Training:
    return clone.descend(state, noise, pairs, recipe, steps)


swept = jax.custom_vjp(_swept, nondiff_argnums=(3, 4))


def _forward(state: Training, noise: Any, pairs: Pairs, recipe: Recipe, steps: int) -> tuple[Training, Any]:
    body = lambda state, noise_key: (clone.one_step(state, noise_key, pairs, recipe), state)  # noqa: E731
    last, path = jax.lax.scan(body, state, noise, length=steps)
    return last, (path, noise, pairs)


def _backward(recipe: Recipe, steps: int, residual: Any, adjoint: Training) -> tuple[Training, None, Pairs]:
    path, noise, pairs = residual
    gradient = jax.grad(clone.bc_loss, argnums=(0, 1))

    def body(carry: tuple[Training, Pairs], step: Any) -> tuple[tuple[Training, Pairs], None]:
        of_state, of_pairs = carry
        state, noise_key = step
        slope = jax.grad(clone.bc_loss)(state.params, pairs, noise_key)
        of_state, of_slope = jax.vjp(lambda x, g: clone.step(x, g, recipe), state, slope)[1](of_state)
        tangents = jax.jvp(lambda p: gradient(p, pairs, noise_key), (state.params,), (of_slope,))[1]
        of_params, of_pairs = jax.tree.map(jnp.add, (of_state.params, of_pairs), tangents)
        return (of_state._replace(params=of_params), of_pairs), None

    zero = jax.tree.map(jnp.zeros_like, pairs)
    (of_state, of_pairs), _ = jax.lax.scan(body, (adjoint, zero), (path, noise), length=steps, reverse=True)
    return of_state, None, of_pairs


swept.defvjp(_forward, _backward)
