"""How fast environments step: MuJoCo's batched stepper against Gymnasium's own objects, in turn.

python benchmarks/steppers.py
"""

from __future__ import annotations

import json
import statistics
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

from potstill.environments import making as environments
from potstill.environments.rollouts.playing import make_stepper, processors
from potstill.runtime.run_folder import write_json

LANES, STEPS, ROUNDS = 100, 20, 5
RESULTS = Path(__file__).parent / "results" / "steppers.json"


def seconds(env_id: str, batched: bool) -> float:
    """Seconds for one step of one lane, over 20 steps of 100 lanes under random actions."""
    low, high = environments.action_bounds(env_id)
    rng = np.random.default_rng(0)
    stepper = make_stepper(env_id, LANES, batched=batched)
    stepper.reset(np.arange(LANES))
    active, steps = np.arange(LANES), 0
    started = time.perf_counter()
    for _ in range(STEPS):
        _, _, terminated, truncated = stepper.step(active, rng.uniform(low, high, size=(len(active), len(low))))
        steps += len(active)
        active = active[~(terminated | truncated)]
    return (time.perf_counter() - started) / steps


def vectorised(env_id: str, kind: str) -> float:
    """The same for Gymnasium's vector environments, ``sync`` or ``async`` (processes)."""
    import gymnasium

    environments.make(env_id).close()
    low, high = environments.action_bounds(env_id)
    rng = np.random.default_rng(0)
    env = gymnasium.make_vec(env_id, num_envs=LANES if kind == "sync" else 8, vectorization_mode=kind)
    env.reset(seed=0)
    started = time.perf_counter()
    for _ in range(STEPS):
        env.step(rng.uniform(low, high, size=(env.num_envs, len(low))))
    taken = (time.perf_counter() - started) / (STEPS * env.num_envs)
    env.close()
    return taken


def main() -> None:
    found = {}
    for env_id in ("Hopper-v5", "HalfCheetah-v5", "Walker2d-v5"):
        rows = [
            {
                "gymnasium objects": seconds(env_id, False),
                "gymnasium sync": vectorised(env_id, "sync"),
                "gymnasium async": vectorised(env_id, "async"),
                "mujoco batched": seconds(env_id, True),
            }
            for _ in range(ROUNDS)
        ]
        median = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
        ratio = statistics.median(row["gymnasium objects"] / row["mujoco batched"] for row in rows)
        found[env_id] = {"microseconds": {k: 1e6 * v for k, v in median.items()}, "times_faster": ratio}
    versions = {name: version(name) for name in ("mujoco", "gymnasium")}
    write_json(RESULTS, {"threads": processors(), "environments": found, "versions": versions})
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    RESULTS.parent.mkdir(exist_ok=True)
    main()
