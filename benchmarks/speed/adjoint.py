"""The gradient of kernel descent by its own adjoint and by JAX's, over the number of pairs.

``descent`` is the gradient of the default recipe's steps in function space, with three outputs, in the kernel and the
pairs. ``whole`` is the gradient of a squared error in 1,024 states in the pairs, kernels included. Both use one core.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.speed.harness import Call, Comparison, Prepare

SIZES = (64, 256, 1024)
STATES, ACTIONS, ROWS = 11, 3, 1024
Descend = Callable[..., Any]


def descend_by_loop(kernel: Any, before: Any, pairs: Any, recipe: Any) -> Any:
    """The steps of kernel descent, differentiated by JAX."""
    import jax

    from potstill.distillation.solvers.kernel_descent import Descent, _multiply, _step

    body = lambda now, _: (_step(now, before + _multiply(kernel, now.c), pairs, recipe), None)  # noqa: E731
    return jax.lax.scan(body, Descent(before, before), None, length=recipe.steps)[0].c


def make_gradient(what: str, by: str, size: int, rows: int) -> Call:
    """``descent`` or ``whole``, with the adjoint of ``own`` or ``jax``."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from potstill.distillation.solvers.kernel_descent import descent, tangent_kernel
    from potstill.runtime import devices
    from potstill.students.recipe import RECIPES
    from potstill.students.training import Pairs

    devices.keep_memory()
    recipe, rng = RECIPES["default"], np.random.default_rng(0)
    descend: Descend = descent if by == "own" else descend_by_loop
    draw = lambda *shape: jnp.asarray(rng.uniform(-0.9, 0.9, size=shape), jnp.float32)  # noqa: E731
    pairs, states = Pairs(draw(size, STATES), draw(size, ACTIONS)), draw(rows, STATES)

    def alone(kernel: Any, pairs: Pairs) -> Any:
        return jnp.sum(descend(kernel, jnp.zeros_like(pairs.actions), pairs, recipe) ** 2)

    def whole(pairs: Pairs, states: Any) -> Any:
        kernel, elsewhere = (tangent_kernel(x, pairs.states, recipe) for x in (pairs.states, states))
        c = descend(kernel, jnp.zeros_like(pairs.actions), pairs, recipe)
        return jnp.mean(jnp.tanh(elsewhere @ c) ** 2)

    kernel = tangent_kernel(pairs.states, pairs.states, recipe)
    program, given = (
        (jax.jit(jax.grad(alone, argnums=(0, 1))), (kernel, pairs))
        if what == "descent"
        else (jax.jit(jax.grad(whole)), (pairs, states))
    )

    def call() -> None:
        jax.block_until_ready(program(*given))

    return call


def list_programs(cell: Cell, workspace: Workspace) -> dict[str, Prepare]:
    """Both gradients, each by both adjoints; at toy size only one program."""
    size, rows = (4, 8) if workspace.toy else (int(cell["pairs"]), ROWS)
    return {
        f"{what}, {by}": lambda what=what, by=by: make_gradient(what, by, size, rows)  # type: ignore[misc]
        for what in ("descent", "whole")[: 1 if workspace.toy else 2]
        for by in ("own", "jax")
    }


def describe_inputs(cell: Cell) -> Record:
    """The sizes."""
    return {"states": STATES, "actions": ACTIONS, "rows": ROWS, "recipe": "default"}


COMPARISON = Comparison(__name__, list_programs, rounds=15)
EXPERIMENT = Experiment(
    "adjoint",
    "the gradient of kernel descent by its own adjoint and by JAX's",
    tuple(Cell("gradient", axes=(("pairs", size),)) for size in SIZES),
    describe_inputs,
    COMPARISON.measure,
    frozenset({"programs"}),
)
