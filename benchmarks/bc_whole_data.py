"""Behavioural cloning on a whole dataset: the table's reference row, computed once and committed.

    python benchmarks/bc_whole_data.py hopper-medium-replay

The student's own network, minibatches of 256, Adam at 1e-3, 20,000 steps (25 passes over 200,000 rows),
three seeds.
"""

from __future__ import annotations

import argparse
import time
from importlib.metadata import version

import jax
import jax.numpy as jnp
import optax

from potstill.bundled import BUNDLED
from potstill.data.registry import load_dataset
from potstill.evaluation.scores import student_returns
from potstill.evaluation.statistics import summarise
from potstill.runtime.run_folder import write_json
from potstill.students.ensemble import Students
from potstill.students.recipe import RECIPES
from potstill.students.training import Pairs, bc_loss, start

BATCH, LEARNING_RATE = 256, 1e-3


def clone(data, steps: int, seeds: int) -> Students:
    states = jnp.asarray(data.normaliser(data.observations))
    actions = jnp.asarray(data.action_bounds.to_unit(data.actions))
    rule = optax.adam(LEARNING_RATE)

    @jax.jit
    def train(key):
        params = start(key, data.state_size, data.action_size, RECIPES["paper"])

        def body(carry, key):
            params, optimiser = carry
            index = jax.random.randint(key, (BATCH,), 0, len(states))
            gradient = jax.grad(bc_loss)(params, Pairs(states[index], actions[index]))
            updates, optimiser = rule.update(gradient, optimiser)
            return (optax.apply_updates(params, updates), optimiser), None

        return jax.lax.scan(body, (params, rule.init(params)), jax.random.split(key, steps))[0][0]

    trained = [train(jax.random.key(seed)) for seed in range(seeds)]
    params = jax.tree.map(lambda *parts: jnp.stack(parts), *trained)
    return Students(params, data.normaliser, data.action_bounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=20)
    options = parser.parse_args()
    data = load_dataset(options.dataset)
    started = time.perf_counter()
    students = clone(data, options.steps, options.seeds)
    jax.block_until_ready(students.params)
    seconds = time.perf_counter() - started
    scores = summarise(student_returns(students, data.env_id, options.episodes, seed=50), data.env_id)
    result = {
        "bc": scores,
        "dataset": {"name": data.name, "sha256": data.content_hash},
        "settings": vars(options) | {"batch": BATCH, "learning_rate": LEARNING_RATE, "optimiser": "adam"},
        "seconds": seconds,
        "potstill": version("potstill"),
    }
    write_json(BUNDLED / f"{options.dataset}.bc.json", result)
    print(f"BC on {len(data):,} rows: {scores['mean']:.1f} ± {scores['std']:.1f} in {seconds:.0f} s")


if __name__ == "__main__":
    main()
