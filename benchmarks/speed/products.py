"""The limit of the unroll: the rate of 256 × 256 matrix products on one core, by kind and by place in memory.

The unroll has three kinds of product in equal shares: x W, δ Wᵀ and xᵀ δ. "In cache": one matrix is multiplied
repeatedly. "From memory": every product has different operands and stores its result, as in a differentiated loop.
The unit of work is 10⁹ floating-point operations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.speed.harness import Call, Comparison, Prepare

WIDTH, COUNT = 256, 64
KINDS: dict[str, Callable[[Any, Any], Any]] = {
    "x W": lambda a, b: a @ b,
    "δ Wᵀ": lambda a, b: a @ b.T,
    "xᵀ δ": lambda a, b: a.T @ b,
}
PLACES = ("in cache", "from memory")


def make_products(name: str, where: str, kind: str, width: int, count: int) -> Call:
    """``count`` products of one kind; returns 10⁹ operations."""
    import jax
    import jax.numpy as jnp

    rng, product = np.random.default_rng(0), KINDS[name]
    left, right = (jnp.asarray(rng.normal(size=(count, width, width)) / width**0.5, kind) for _ in range(2))
    again = lambda a, b: jax.lax.fori_loop(0, count, lambda _, x: product(x, b[0]), a[0])  # noqa: E731
    apart = lambda a, b: jax.lax.map(lambda ab: product(*ab), (a, b))  # noqa: E731
    run = jax.jit(again if where == "in cache" else apart)

    def call() -> float:
        jax.block_until_ready(run(left, right))
        return 2e-9 * width**3 * count

    return call


def list_programs(cell: Cell, workspace: Workspace) -> dict[str, Prepare]:
    """Every kind of product, in cache and from memory."""
    size = (8, 2) if workspace.toy else (WIDTH, COUNT)
    return {
        f"{name}, {where}": lambda name=name, where=where: make_products(name, where, cell.method, *size)  # type: ignore[misc]
        for name in KINDS
        for where in PLACES
    }


def describe_inputs(cell: Cell) -> Record:
    """The sizes."""
    return {"width": WIDTH, "count": COUNT}


COMPARISON = Comparison(__name__, list_programs, rounds=9, packages=("jax",))
EXPERIMENT = Experiment(
    "products",
    "rates of the unroll's matrix products on one core",
    tuple(Cell(kind) for kind in ("float32", "bfloat16")),
    describe_inputs,
    COMPARISON.measure,
    frozenset({"programs"}),
)
