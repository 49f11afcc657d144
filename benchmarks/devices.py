"""What an outer step costs on one device and on two: each device is a core.

    python benchmarks/devices.py

N = 256 pairs, batches of 2,560 states, PBC, the paper's recipe (T = 100, width 256); with the tangent kernel
and with the exact unroll. One device and two take turns in processes of their own; medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from importlib.metadata import version
from pathlib import Path

from apart import run_apart

PROGRAMS = {
    "kernel": {"solver": "kernel"},
    "unroll": {"solver": "unroll"},
    "unroll, two starts": {"solver": "unroll", "starts": 2},
}
REPEATS, ROWS, STATES, ACTIONS = 5, 20_000, 11, 3
RESULTS = Path(__file__).parent / "results" / "devices.json"


def child(program: str) -> None:
    """Time the outer steps of one program on as many devices as this process has cores."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from potstill import devices
    from potstill.config import DistillConfig
    from potstill.distillation import outer_steps
    from potstill.objectives import Batch

    devices.use(len(os.sched_getaffinity(0)))
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.uniform(-0.9, 0.9, size=shape), jnp.float32)  # noqa: E731
    values = draw(ROWS)
    table = Batch(draw(ROWS, STATES), draw(ROWS, ACTIONS), draw(ROWS, ACTIONS), values, values + 1.0, jnp.ones(()))
    common = {"recipe": "paper", "objective": "pbc", "batch": 2560, "steps": REPEATS + 2}
    seconds, losses, started = [], [], time.perf_counter()
    for _, pairs, figures in outer_steps(DistillConfig("drawn", **common, **PROGRAMS[program]), table, None):
        jax.block_until_ready((pairs, figures))
        seconds.append(time.perf_counter() - started)
        losses += [float(x) for name, x in figures.items() if name == "loss"]
        started = time.perf_counter()
    print(json.dumps({"seconds": statistics.median(seconds[3:]), "losses": losses}))  # the first steps compile


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    if options.child:
        return child(options.child)
    rounds = [
        {(name, count): run_apart(__file__, name, count) for name in PROGRAMS for count in (1, 2)}
        for _ in range(options.rounds)
    ]
    found = {}
    for name in PROGRAMS:
        ratios = [r[name, 1]["seconds"] / r[name, 2]["seconds"] for r in rounds]
        found[name] = {
            "one_device": statistics.median(r[name, 1]["seconds"] for r in rounds),
            "two_devices": statistics.median(r[name, 2]["seconds"] for r in rounds),
            "times_faster": statistics.median(ratios),
            "range": [min(ratios), max(ratios)],
        }
    result = {"rounds": options.rounds, "programs": found, "versions": {n: version(n) for n in ("jax", "potstill")}}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
