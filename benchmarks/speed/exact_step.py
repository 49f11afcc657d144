"""The exact unrolled outer step: potstill against the same mathematics in plain PyTorch.

The step has N = 256 pairs, T = 100 steps of SGD at 0.1, four layers of width 256, an outer batch of 2,560 states, and
PBC. "Products alone" is a lower bound: only the step's 1,800 products of 256 × 256 matrices.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from typing import Any, NamedTuple

import numpy as np

from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.speed.harness import Call, Comparison, Prepare

TWO_DEVICES, BFLOAT16, MEMORY_KEPT = ", two devices", "products in bfloat16", "torch, memory kept"
PROGRAMS = ("torch", MEMORY_KEPT, "unroll", "unroll" + TWO_DEVICES, "sweep", "products alone", BFLOAT16)
RATE = 0.1


class Problem(NamedTuple):
    """Sizes of the step."""

    pairs: int = 256
    inner_steps: int = 100
    width: int = 256
    outer_batch: int = 2560
    states: int = 11
    actions: int = 3


FULL, TOY = Problem(), Problem(pairs=4, inner_steps=2, width=8, outer_batch=8)


def draw_inputs(problem: Problem) -> tuple[np.ndarray, ...]:
    """Pairs' states and actions, and the outer batch's states and target actions."""
    rng = np.random.default_rng(0)
    draw = lambda rows, columns: rng.normal(size=(rows, columns)).astype(np.float32)  # noqa: E731
    states, actions = draw(problem.pairs, problem.states), np.tanh(draw(problem.pairs, problem.actions))
    return (
        states,
        actions,
        draw(problem.outer_batch, problem.states),
        np.tanh(draw(problem.outer_batch, problem.actions)),
    )


def make_jax_step(name: str, count: int, problem: Problem) -> Call:
    """The step by one of potstill's solvers; ``count`` devices share the pairs and the states."""
    import jax
    import jax.numpy as jnp

    from potstill.distillation import SOLVERS
    from potstill.runtime import devices
    from potstill.students.recipe import RECIPES
    from potstill.students.training import Pairs

    devices.use_devices(count)
    mesh = devices.find_local_devices()
    states, actions, queries, targets = map(jnp.asarray, draw_inputs(problem))
    recipe = dataclasses.replace(RECIPES["paper"], steps=problem.inner_steps, width=problem.width)
    solve, keys = SOLVERS[name](recipe), itertools.count()

    @jax.jit
    def step(pairs: Pairs, key: Any) -> Any:
        shared = devices.shard(queries, mesh)
        loss = lambda p: jnp.sum((solve(devices.shard(p, mesh), shared, key) - targets) ** 2, -1).mean()  # noqa: E731
        return devices.replicate(jax.value_and_grad(loss)(pairs), mesh)

    def call() -> None:
        jax.block_until_ready(step(Pairs(states, actions), jax.random.key(next(keys))))

    return call


def make_torch_step(keep_memory: bool, problem: Problem) -> Call:
    """The same step written plainly: a functional network, ``autograd.grad`` with ``create_graph``.

    ``keep_memory`` gives PyTorch the memory settings of potstill's commands.
    """
    import torch

    if keep_memory:
        from potstill.runtime import devices

        devices.keep_memory()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    states, actions, queries, targets = (torch.from_numpy(x) for x in draw_inputs(problem))
    sizes, seeds = (problem.states, *3 * (problem.width,), problem.actions), itertools.count()

    def call() -> None:
        torch.manual_seed(next(seeds))
        params = []
        for fan_in, fan_out in itertools.pairwise(sizes):
            weight = torch.empty(fan_in, fan_out)
            torch.nn.init.orthogonal_(weight, gain=2**0.5)
            params.append((weight, torch.zeros(fan_out)))
        s, a = states.clone().requires_grad_(), actions.clone().requires_grad_()
        compute_torch_outer(params, s, a, queries, targets, problem.inner_steps)

    return call


def compute_torch_outer(params: Any, states: Any, actions: Any, queries: Any, targets: Any, inner_steps: int) -> Any:
    """Outer loss from given weights, and its gradients in the pairs."""
    import torch

    def forward(params: Any, x: Any) -> Any:
        for weight, bias in params[:-1]:
            x = torch.relu(x @ weight + bias)
        return torch.tanh(x @ params[-1][0] + params[-1][1])

    params = [tuple(x.requires_grad_() for x in layer) for layer in params]
    for _ in range(inner_steps):
        loss = torch.mean((forward(params, states) - actions) ** 2)
        flat = [x for layer in params for x in layer]
        gradient = torch.autograd.grad(loss, flat, create_graph=True)
        moved = [x - RATE * g for x, g in zip(flat, gradient, strict=True)]
        params = list(zip(moved[::2], moved[1::2], strict=True))
    outer = torch.sum((forward(params, queries) - targets) ** 2, -1).mean()
    return float(outer.detach()), torch.autograd.grad(outer, (states, actions))


def make_products(kind: str, problem: Problem) -> Call:
    """The step's products of square matrices, one after the other."""
    import jax
    import jax.numpy as jnp

    queries = np.resize(draw_inputs(problem)[2], (problem.width, problem.states))
    matrix = jnp.asarray(queries @ queries.T / 50.0, kind)
    count = 18 * problem.inner_steps
    run = jax.jit(lambda x: jax.lax.fori_loop(0, count, lambda _, y: jnp.tanh(y @ matrix), x))

    def call() -> None:
        jax.block_until_ready(run(matrix))

    return call


def list_programs(cell: Cell, workspace: Workspace) -> dict[str, Prepare]:
    """The programs for a number of cores; at toy size without PyTorch, which may not be installed."""
    problem = TOY if workspace.toy else FULL
    found: dict[str, Prepare] = {
        "torch": lambda: make_torch_step(False, problem),
        MEMORY_KEPT: lambda: make_torch_step(True, problem),
        "unroll": lambda: make_jax_step("unroll", 1, problem),
        "unroll" + TWO_DEVICES: lambda: make_jax_step("unroll", 2, problem),
        "sweep": lambda: make_jax_step("sweep", 1, problem),
        "products alone": lambda: make_products("float32", problem),
        BFLOAT16: lambda: make_products("bfloat16", problem),
    }
    names = ("unroll", "products alone") if workspace.toy else PROGRAMS
    return {name: found[name] for name in names if cell["cores"] > 1 or not name.endswith(TWO_DEVICES)}


def describe_inputs(cell: Cell) -> Record:
    """The sizes."""
    return {"problem": FULL._asdict()}


COMPARISON = Comparison(
    __name__,
    list_programs,
    rounds=3,
    calls=3,
    cores=lambda cell, program: int(cell["cores"]),
    baseline="torch",
    packages=("jax", "torch", "potstill"),
)
EXPERIMENT = Experiment(
    "exact-step",
    "seconds of an exact unrolled outer step, against PyTorch",
    tuple(Cell("exact-step", axes=(("cores", cores),)) for cores in (1, 2)),
    describe_inputs,
    COMPARISON.measure,
    frozenset({"programs"}),
    packages=("torch",),
)
