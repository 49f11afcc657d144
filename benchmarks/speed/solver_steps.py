"""The cost of an outer step of each solver: a loss and its gradient in 256 pairs, on 1,024 states, on one core."""

from __future__ import annotations

import itertools

from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.speed.harness import Call, Comparison, Prepare

SIZES = {"hopper": (11, 3), "halfcheetah": (17, 6)}  # states, actions
SOLVERS = ("kernel", "empirical", "ridge", "features", "unroll", "sweep")
PAIRS, STATES = 256, 1024


def make_step(name: str, state_size: int, action_size: int, pairs: int, states: int) -> Call:
    """The step of one solver for students of the plain recipe."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from potstill.distillation import SOLVERS
    from potstill.runtime import devices
    from potstill.students.recipe import RECIPES
    from potstill.students.training import Pairs

    devices.keep_memory()  # as the commands do
    rng, keys = np.random.default_rng(0), itertools.count()
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    at = Pairs(draw(pairs, state_size), jnp.tanh(draw(pairs, action_size)))
    queries, targets = draw(states, state_size), draw(states, action_size)
    solve = SOLVERS[name](RECIPES["plain"])
    step = jax.jit(jax.value_and_grad(lambda p, key: jnp.mean((solve(p, queries, key) - targets) ** 2)))

    def call() -> None:
        jax.block_until_ready(step(at, jax.random.key(next(keys))))

    return call


def list_programs(cell: Cell, workspace: Workspace) -> dict[str, Prepare]:
    """One program for each solver; at toy size for two."""
    counts = (4, 8) if workspace.toy else (PAIRS, STATES)
    names = ("kernel", "ridge") if workspace.toy else SOLVERS
    return {
        name: lambda name=name: make_step(name, *SIZES[cell.method], *counts)  # type: ignore[misc]
        for name in names
    }


def describe_inputs(cell: Cell) -> Record:
    """The sizes."""
    return {"sizes": SIZES[cell.method], "pairs": PAIRS, "states": STATES, "recipe": "plain"}


COMPARISON = Comparison(__name__, list_programs, rounds=3)
EXPERIMENT = Experiment(
    "solver-steps",
    "seconds of an outer step of each solver",
    tuple(Cell(name) for name in SIZES),
    describe_inputs,
    COMPARISON.measure,
    frozenset({"programs"}),
)
