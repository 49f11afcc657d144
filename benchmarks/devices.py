"""What an outer step costs on one device and on two: each device is a core.

    python benchmarks/devices.py

N = 256 pairs, batches of 2,560 states, PBC, the paper's recipe (T = 100, width 256); with the tangent kernel
and with the exact unroll. One device and two take turns in processes of their own; medians. What is quoted is
the processor time of a step for each device, which other work on the machine disturbs little; the time on the
clock is kept beside it.
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
REPEATS, ROWS, STATES, ACTIONS = 3, 20_000, 11, 3
RESULTS = Path(__file__).parent / "results" / "devices.json"


def child(program: str) -> None:
    """Time the outer steps of one program on as many devices as this process has cores."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from potstill.config import DistillConfig
    from potstill.distillation.objectives import Batch
    from potstill.distillation.outer_loop import outer_steps
    from potstill.runtime import devices

    devices.use(len(os.sched_getaffinity(0)))
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.uniform(-0.9, 0.9, size=shape), jnp.float32)  # noqa: E731
    values = draw(ROWS)
    table = Batch(
        draw(ROWS, STATES), draw(ROWS, ACTIONS), draw(ROWS, ACTIONS), values[:, None], values + 1.0, jnp.ones(())
    )
    common = {"recipe": "paper", "objective": "pbc", "batch": 2560, "steps": REPEATS + 2}
    clock, processor, before = [], [], (time.perf_counter(), time.process_time())
    for _, pairs, figures in outer_steps(DistillConfig("drawn", **common, **PROGRAMS[program]), table, None):
        jax.block_until_ready((pairs, figures))
        now = time.perf_counter(), time.process_time()
        clock.append(now[0] - before[0])
        processor.append((now[1] - before[1]) / jax.device_count())
        before = now
    # the start and the first two steps compile
    print(json.dumps({"clock": statistics.median(clock[3:]), "processor": statistics.median(processor[3:])}))


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
        median = lambda count, of, name=name: statistics.median(r[name, count][of] for r in rounds)  # noqa: E731
        found[name] = {of: {"one": median(1, of), "two": median(2, of)} for of in ("processor", "clock")}
    result = {"rounds": options.rounds, "programs": found, "versions": {n: version(n) for n in ("jax", "potstill")}}
    RESULTS.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
