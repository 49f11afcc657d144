"""The exact unrolled outer step: ours against plain PyTorch of the same mathematics, in turn.

    python benchmarks/outer_step.py --cores 2        (needs PyTorch)

N = 256 pairs, T = 100 steps of SGD at 0.1, four layers of width 256, outer batch of 2,560 states, PBC.
Each program runs in a process of its own on the given cores, with transparent huge pages; they take
turns; the medians are quoted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import statistics
import time
from importlib.metadata import version
from pathlib import Path

from apart import run_apart

N, T, WIDTH, BATCH, STATES, ACTIONS, RATE = 256, 100, 256, 2560, 11, 3, 0.1
TWO, HALVES, KEPT = ", two devices", "products in bfloat16", "torch, memory kept"
PROGRAMS = ["torch", KEPT, "unroll", "unroll" + TWO, "sweep", "products alone", HALVES]
REPEATS = 3  # timed steps of one process, after one that is not counted
RESULTS = Path(__file__).parent / "results" / "outer_step.json"


def inputs():
    import numpy as np

    rng = np.random.default_rng(0)
    draw = lambda rows, columns: rng.normal(size=(rows, columns)).astype(np.float32)  # noqa: E731
    return draw(N, STATES), np.tanh(draw(N, ACTIONS)), draw(BATCH, STATES), np.tanh(draw(BATCH, ACTIONS))


def jax_step(solver: str, count: int):
    """The step by one of our solvers; ``count`` devices share the pairs and the states."""
    import jax
    import jax.numpy as jnp

    from potstill.distillation.solvers import make_solver
    from potstill.runtime import devices
    from potstill.students.recipe import RECIPES
    from potstill.students.training import Pairs

    devices.use(count)
    mesh = devices.own()
    states, actions, queries, targets = map(jnp.asarray, inputs())
    solve = make_solver(solver, RECIPES["paper"])

    @jax.jit
    def step(pairs, key):
        shared = devices.spread(queries, mesh)
        loss = lambda p: jnp.sum((solve(devices.spread(p, mesh), shared, key) - targets) ** 2, -1).mean()  # noqa: E731
        return devices.whole(jax.value_and_grad(loss)(pairs), mesh)

    return lambda i: float(jax.block_until_ready(step(Pairs(states, actions), jax.random.key(i)))[0])


def torch_step(kept: bool = False):
    """The same step written plainly: a functional network, ``autograd.grad`` with ``create_graph``.

    ``kept`` gives PyTorch what potstill's commands do to the process's memory.
    """
    import torch

    if kept:
        from potstill.runtime import devices

        devices.keep_memory()

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    states, actions, queries, targets = (torch.from_numpy(x) for x in inputs())

    def step(i):
        torch.manual_seed(i)
        params = []
        for fan_in, fan_out in itertools.pairwise((STATES, WIDTH, WIDTH, WIDTH, ACTIONS)):
            weight = torch.empty(fan_in, fan_out)
            torch.nn.init.orthogonal_(weight, gain=2**0.5)
            params.append((weight, torch.zeros(fan_out)))
        s, a = states.clone().requires_grad_(), actions.clone().requires_grad_()
        return torch_outer(params, s, a, queries, targets)[0]

    return step


def torch_outer(params, states, actions, queries, targets):
    """Outer loss from given weights, and its gradients in the pairs."""
    import torch

    def forward(params, x):
        for weight, bias in params[:-1]:
            x = torch.relu(x @ weight + bias)
        return torch.tanh(x @ params[-1][0] + params[-1][1])

    params = [tuple(x.requires_grad_() for x in layer) for layer in params]
    for _ in range(T):
        loss = torch.mean((forward(params, states) - actions) ** 2)
        flat = [x for layer in params for x in layer]
        gradient = torch.autograd.grad(loss, flat, create_graph=True)
        moved = [x - RATE * g for x, g in zip(flat, gradient, strict=True)]
        params = list(zip(moved[::2], moved[1::2], strict=True))
    outer = torch.sum((forward(params, queries) - targets) ** 2, -1).mean()
    return float(outer.detach()), torch.autograd.grad(outer, (states, actions))


def products(kind: str = "float32"):
    """The least the step can take: its 1,800 products of 256 × 256 matrices, and nothing else."""
    import jax
    import jax.numpy as jnp

    matrix = jnp.asarray(inputs()[2][:WIDTH] @ inputs()[2][:WIDTH].T / 50.0, kind)
    run = jax.jit(lambda x: jax.lax.fori_loop(0, 18 * T, lambda _, y: jnp.tanh(y @ matrix), x))
    return lambda _: float(jax.block_until_ready(run(matrix))[0, 0])


def child(program: str) -> None:
    """Time one program in this process and print its figures as JSON."""
    special = {
        "torch": torch_step,
        KEPT: lambda: torch_step(kept=True),
        "products alone": products,
        HALVES: lambda: products("bfloat16"),
    }
    count = 2 if program.endswith(TWO) else 1
    step = special[program]() if program in special else jax_step(program.removesuffix(TWO), count)
    losses, seconds = [step(0)], []
    for i in range(1, 1 + REPEATS):
        started = time.perf_counter()
        losses.append(step(i))
        seconds.append(time.perf_counter() - started)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"seconds": statistics.median(seconds), "peak_gb": peak, "losses": losses}))


def compare(cores: int, rounds: int, programs: list[str]) -> dict:
    """Rounds of all programs in turn; medians, and ratios to PyTorch round by round."""
    programs = [program for program in programs if cores > 1 or not program.endswith(TWO)]
    found = [{program: run_apart(__file__, program, cores) for program in programs} for _ in range(rounds)]
    summary = {}
    for program in programs:
        seconds = [entry[program]["seconds"] for entry in found]
        ratios = [entry["torch"]["seconds"] / entry[program]["seconds"] for entry in found if "torch" in programs]
        summary[program] = {
            "seconds": statistics.median(seconds),
            "range": [min(seconds), max(seconds)],
            "peak_gb": max(entry[program]["peak_gb"] for entry in found),
            "times_faster_than_torch": statistics.median(ratios) if ratios else None,
        }
    return {"cores": cores, "rounds": rounds, "programs": summary}


def processor() -> str:
    """The processor's name and family, where the system tells."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    told = dict(line.split("\t", 1) for line in lines if "\t" in line)
    family = told.get("cpu family", "").strip("\t: ")
    return f"{told.get('model name', platform.machine()).strip(chr(9) + ': ')}, family {family or 'unknown'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child")
    parser.add_argument("--cores", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--programs", nargs="+", default=PROGRAMS)
    options = parser.parse_args()
    if options.child:
        return child(options.child)
    result = {
        "problem": {"pairs": N, "inner_steps": T, "width": WIDTH, "outer_batch": BATCH},
        "runs": [compare(cores, options.rounds, options.programs) for cores in options.cores],
        "versions": {name: version(name) for name in ("jax", "torch", "potstill")},
        "machine": {"processor": processor(), "system": platform.system()},
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result["runs"], indent=2))


if __name__ == "__main__":
    main()
