"""The speed of environment steps: MuJoCo's batched stepper against Gymnasium's own objects, with random actions.

The unit of work is one step of one environment.
"""

from __future__ import annotations

import numpy as np

from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.speed.harness import Call, Comparison, Prepare
from potstill.environments import making as environments
from potstill.environments.rollouts.playing import make_stepper

LANES, STEPS, PROCESSES, CORES = 100, 20, 8, 2
ENVIRONMENTS = ("Hopper-v5", "HalfCheetah-v5", "Walker2d-v5")


def step_potstill(env_id: str, batched: bool, lanes: int, steps: int) -> Call:
    """One of potstill's steppers: MuJoCo's batched one, or one that calls Gymnasium's objects."""

    def call() -> float:
        low, high = environments.find_action_bounds(env_id)
        rng = np.random.default_rng(0)
        stepper = make_stepper(env_id, lanes, batched=batched)
        stepper.reset(np.arange(lanes))
        active, count = np.arange(lanes), 0
        for _ in range(steps):
            _, _, terminated, truncated = stepper.step(active, rng.uniform(low, high, size=(len(active), len(low))))
            count += len(active)
            active = active[~(terminated | truncated)]
        return float(count)

    return call


def step_vector_environment(env_id: str, kind: str, lanes: int, steps: int) -> Call:
    """Gymnasium's vector environments, ``sync`` or ``async`` (in processes)."""
    import gymnasium

    environments.make(env_id).close()
    env = gymnasium.make_vec(env_id, num_envs=lanes, vectorization_mode=kind)
    low, high = environments.find_action_bounds(env_id)

    def call() -> float:
        rng = np.random.default_rng(0)
        env.reset(seed=0)
        for _ in range(steps):
            env.step(rng.uniform(low, high, size=(lanes, len(low))))
        return float(steps * lanes)

    return call


def list_programs(cell: Cell, workspace: Workspace) -> dict[str, Prepare]:
    """Two of Gymnasium's vector environments, and potstill's two steppers; at toy size only these."""
    env_id, lanes, steps = cell.method, 2 if workspace.toy else LANES, 2 if workspace.toy else STEPS
    found: dict[str, Prepare] = {"gymnasium objects": lambda: step_potstill(env_id, False, lanes, steps)}
    if not workspace.toy:
        found["gymnasium sync"] = lambda: step_vector_environment(env_id, "sync", lanes, steps)
        found["gymnasium async"] = lambda: step_vector_environment(env_id, "async", PROCESSES, steps)
    return {**found, "mujoco batched": lambda: step_potstill(env_id, True, lanes, steps)}


def describe_inputs(cell: Cell) -> Record:
    """The counts."""
    return {"lanes": LANES, "steps": STEPS, "processes": PROCESSES, "cores": CORES}


COMPARISON = Comparison(
    __name__,
    list_programs,
    rounds=5,
    cores=lambda cell, program: CORES,
    baseline="gymnasium objects",
    packages=("mujoco", "gymnasium"),
)
EXPERIMENT = Experiment(
    "steppers",
    "time of an environment step, against Gymnasium",
    tuple(Cell(env_id) for env_id in ENVIRONMENTS),
    describe_inputs,
    COMPARISON.measure,
    frozenset({"programs"}),
)
