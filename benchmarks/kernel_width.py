"""How near kernel descent comes to real students as they grow wider, and what an outer step of each solver costs.

    python benchmarks/kernel_width.py           (resumable: what is in the result file is not run again)
    python benchmarks/kernel_width.py --cost    (what an outer step of each solver costs)

Pairs (64 of them) are the bundled distillate's, the recipe is `plain`; actions are compared in 128 states of its
dataset.
Every scheme's learning rate is 0.1 times the default kernel's mean diagonal over its own, so that all train
equally fast. Of n students with mean m and variance V the squared distance of m to the prediction, less V / n,
is the bias. All goes to ``results/kernel_width.json``, the costs, in
seconds of processor time, to ``results/kernel_cost.json``.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from potstill.distillation.solvers.kernel import start_variance, tangent_kernel

import potstill
from potstill.data.registry import load_dataset
from potstill.distillation.solvers import SOLVERS, make_solver
from potstill.distillation.solvers.empirical import empirical_kernel
from potstill.runtime import devices
from potstill.students import training as clone
from potstill.students.recipe import RECIPES, Recipe
from potstill.students.training import Pairs

RESULTS = Path(__file__).parent / "results" / "kernel_width.json"
COSTS = RESULTS.with_name("kernel_cost.json")
VERSIONS = {name: version(name) for name in ("jax", "potstill")}
BUNDLED, PAIRS, STATES, STARTS = "hopper-medium-replay", 64, 128, 8
STUDENTS = {64: 16, 128: 12, 256: 8, 512: 5, 1024: 3}
DEFAULT = RECIPES["plain"]
SCHEMES: dict[str, Recipe] = {
    "orthogonal": DEFAULT,
    "antisymmetric": dataclasses.replace(DEFAULT, start="antisymmetric"),
    "antisymmetric, gain 4": dataclasses.replace(DEFAULT, start="antisymmetric", output_gain=4.0),
    "he, gain 0.1": dataclasses.replace(DEFAULT, start="he", output_gain=0.1),
    "torch": dataclasses.replace(DEFAULT, start="torch"),
    "residual": dataclasses.replace(DEFAULT, residual=True),
}


def problem() -> tuple[Pairs, jax.Array]:
    distillate, data = potstill.load(BUNDLED), load_dataset(BUNDLED)
    unit = distillate.action_bounds.to_unit(distillate.actions)
    index = np.random.default_rng(0).choice(len(data), STATES, replace=False)
    normaliser = distillate.normaliser
    pairs = Pairs(*(jnp.asarray(x[:PAIRS], jnp.float32) for x in (normaliser(distillate.states), unit)))
    return pairs, jnp.asarray(normaliser(data.observations[index]), jnp.float32)


def squared(difference: jax.Array) -> float:
    """Mean over states of the squared distance of actions."""
    return float(jnp.mean(jnp.sum(difference**2, axis=-1)))


def kernel_error(recipe: Recipe, states: jax.Array, networks: int = 3) -> float:
    """Relative distance of the empirical kernel of one network to the limit, the mean over networks."""
    size = 3
    limit = jnp.einsum("nm,ab->namb", tangent_kernel(states, states, recipe), jnp.eye(size))

    @jax.jit
    def distances(keys: jax.Array) -> jax.Array:
        start = lambda key: clone.start(key, states.shape[-1], size, recipe)  # noqa: E731
        return jax.lax.map(lambda key: jnp.linalg.norm(empirical_kernel(start(key), states) - limit), keys)

    return float(distances(jax.random.split(jax.random.key(2), networks)).mean() / jnp.linalg.norm(limit))


def compare(recipe: Recipe, students: int, pairs: Pairs, states: jax.Array) -> dict[str, float]:
    diagonal = [float(jnp.diag(tangent_kernel(pairs.states, pairs.states, r)).mean()) for r in (DEFAULT, recipe)]
    recipe = dataclasses.replace(recipe, learning_rate=DEFAULT.learning_rate * diagonal[0] / diagonal[1])
    keys = jax.random.split(jax.random.key(1), students)
    trained = clone.train_students(keys, pairs, recipe)
    actions = jax.vmap(lambda params: clone.mean_actions(params, states, 3))(trained)
    mean = actions.mean(axis=0)
    variance = squared(actions - mean) * students / (students - 1)
    predicted = jax.jit(make_solver("kernel", recipe))(pairs, states, jax.random.key(0))
    spread = jax.jit(lambda key: start_variance(pairs, states, key, recipe=recipe, starts=STARTS))
    return {
        "learning_rate": recipe.learning_rate,
        "kernel_error": kernel_error(recipe, states[:32]),
        "students": students,
        "bias": squared(mean - predicted) - variance / students,
        "variance": variance,
        "start_variance": float(spread(jax.random.key(3)).sum(axis=-1).mean()),
    }


def cost(name: str, size: int, actions: int, rounds: int = 3) -> float:
    """Seconds of processor time, the median, of a loss and its gradient in 256 pairs, on 1,024 states."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    pairs, states, wanted = Pairs(draw(256, size), jnp.tanh(draw(256, actions))), draw(1024, size), draw(1024, actions)
    solver = make_solver(name, DEFAULT)
    step = jax.jit(jax.value_and_grad(lambda p, key: jnp.mean((solver(p, states, key) - wanted) ** 2)))
    times = []
    for key in jax.random.split(jax.random.key(0), rounds + 1):
        started = time.process_time()
        jax.block_until_ready(step(pairs, key))
        times.append(time.process_time() - started)
    return statistics.median(times[1:])


def costs() -> None:
    devices.keep_memory()  # as the commands do
    sizes = {"hopper": (11, 3), "halfcheetah": (17, 6)}
    result = {name: {file: cost(name, *size) for file, size in sizes.items()} for name in SOLVERS}
    COSTS.write_text(json.dumps({"versions": VERSIONS, "seconds": result}, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cost", action="store_true")
    options = parser.parse_args()
    if options.cost:
        return costs()
    result: dict[str, Any] = {"versions": VERSIONS, "schemes": {}}
    if RESULTS.exists():
        result = json.loads(RESULTS.read_text())
    pairs, states = problem()
    for width, students in STUDENTS.items():
        for name, recipe in SCHEMES.items():
            found = result["schemes"].setdefault(name, {})
            if str(width) not in found:
                wide = dataclasses.replace(recipe, width=width)
                found[str(width)] = compare(wide, students, pairs, states)
                RESULTS.write_text(json.dumps(result, indent=2) + "\n")
                print(name, width, {k: round(v, 4) for k, v in found[str(width)].items()}, flush=True)


if __name__ == "__main__":
    main()
