"""What the gradient of kernel descent costs: with its own adjoint, and left to JAX, over the number of pairs.

    python benchmarks/descent.py

The default recipe's steps in function space, three outputs, gradient in kernel and pairs; and the whole gradient of a
squared error in 1,024 states, in the pairs, kernels included. The two take turns in one process on one core; medians of
processor seconds. What was found goes to ``results/descent.json``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from apart import run_apart

RESULTS = Path(__file__).parent / "results" / "descent.json"
SIZES, ROUNDS = (64, 256, 1024), 15
STATES, ACTIONS, ROWS = 11, 3, 1024


def child() -> None:
    import jax
    import jax.numpy as jnp
    import numpy as np
    from potstill.distillation.solvers.kernel import Gathered, _step, _times, descent, tangent_kernel

    from potstill.runtime import devices
    from potstill.students.recipe import recipe_named
    from potstill.students.training import Pairs

    devices.keep_memory()
    recipe = recipe_named("default")

    def looped(kernel: Any, before: Any, pairs: Pairs, recipe: Any) -> Any:
        """The same steps; how to differentiate them is JAX's affair."""
        body = lambda now, _: (_step(now, before + _times(kernel, now.c), pairs, recipe), None)  # noqa: E731
        return jax.lax.scan(body, Gathered(before, before), None, length=recipe.steps)[0].c

    def alone(descend: Callable[..., Any]) -> Callable[..., Any]:
        loss = lambda kernel, pairs: jnp.sum(descend(kernel, jnp.zeros_like(pairs.actions), pairs, recipe) ** 2)  # noqa: E731
        return jax.jit(jax.grad(loss, argnums=(0, 1)))

    def whole(descend: Callable[..., Any]) -> Callable[..., Any]:
        def loss(pairs: Pairs, states: Any) -> Any:
            kernel, elsewhere = (tangent_kernel(x, pairs.states, recipe) for x in (pairs.states, states))
            c = descend(kernel, jnp.zeros_like(pairs.actions), pairs, recipe)
            return jnp.mean(jnp.tanh(elsewhere @ c) ** 2)

        return jax.jit(jax.grad(loss))

    def spent(program: Callable[..., Any], inputs: tuple[Any, ...]) -> float:
        before = time.process_time()
        jax.block_until_ready(program(*inputs))
        return time.process_time() - before

    found: dict[str, Any] = {}
    for size in SIZES:
        rng = np.random.default_rng(0)
        draw = lambda *shape, rng=rng: jnp.asarray(rng.uniform(-0.9, 0.9, size=shape), jnp.float32)  # noqa: E731
        pairs, states = Pairs(draw(size, STATES), draw(size, ACTIONS)), draw(ROWS, STATES)
        kernel = tangent_kernel(pairs.states, pairs.states, recipe)
        programs = {
            (what, how): (made(descend), inputs)
            for what, made, inputs in (("descent", alone, (kernel, pairs)), ("whole", whole, (pairs, states)))
            for how, descend in (("own", descent), ("jax", looped))
        }
        seconds: dict[Any, list[float]] = {key: [] for key in programs}
        for _ in range(ROUNDS + 1):
            for key, (program, inputs) in programs.items():
                seconds[key].append(spent(program, inputs))
        medians = {key: statistics.median(times[1:]) for key, times in seconds.items()}
        found[str(size)] = {what: {how: medians[what, how] for how in ("own", "jax")} for what in ("descent", "whole")}
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child")
    if parser.parse_args().child:
        return child()
    found = run_apart(__file__, "all", 1)
    result = {"rounds": ROUNDS, "sizes": found, "versions": {n: version(n) for n in ("jax", "potstill")}}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
