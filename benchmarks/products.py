"""What bounds the unroll: GFLOP/s of products of 256 × 256 matrices on one core, by kind and by where they lie.

    python benchmarks/products.py

The unroll has three kinds of product in equal shares: x W, δ Wᵀ and xᵀ δ. "In cache": one matrix is
multiplied again and again. "From memory": every product has operands of its own and keeps its result, as
those of a differentiated loop do. In processor time, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from importlib.metadata import version
from pathlib import Path

from apart import run_apart

WIDTH, COUNT, REPEATS = 256, 64, 9
KINDS = {"x W": lambda a, b: a @ b, "δ Wᵀ": lambda a, b: a @ b.T, "xᵀ δ": lambda a, b: a.T @ b}
RESULTS = Path(__file__).parent / "results" / "products.json"


def rate(run, *operands) -> float:
    """GFLOP/s of ``COUNT`` products."""
    import jax

    compiled, seconds = jax.jit(run), []
    jax.block_until_ready(compiled(*operands))
    for _ in range(REPEATS):
        started = time.process_time()
        jax.block_until_ready(compiled(*operands))
        seconds.append(time.process_time() - started)
    return 2e-9 * WIDTH**3 * COUNT / statistics.median(seconds)


def child(kind: str) -> None:
    """Print the rates of one kind of number, float32 or bfloat16."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    rng = np.random.default_rng(0)
    left, right = (jnp.asarray(rng.normal(size=(COUNT, WIDTH, WIDTH)) / 16.0, kind) for _ in range(2))
    found = {}
    for name, product in KINDS.items():
        again = lambda a, b, product=product: jax.lax.fori_loop(0, COUNT, lambda _, x: product(x, b[0]), a[0])  # noqa: E731
        apart = lambda a, b, product=product: jax.lax.map(lambda ab: product(*ab), (a, b))  # noqa: E731
        found[name] = {"in cache": rate(again, left, right), "from memory": rate(apart, left, right)}
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child")
    options = parser.parse_args()
    if options.child:
        return child(options.child)
    rates = {kind: run_apart(__file__, kind, 1) for kind in ("float32", "bfloat16")}
    RESULTS.write_text(json.dumps({"gflops": rates, "jax": version("jax")}, indent=2, ensure_ascii=False) + "\n")
    print(json.dumps(rates, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
