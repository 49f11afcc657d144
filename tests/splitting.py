"""Distil with every kind of sharding and train students, in this process or, as a program, in another one."""

import json
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from potstill.distillation import (
    KernelDescent,
    OuterSettings,
    PolicyCloning,
    Schedule,
    StateTable,
    Sweep,
    Unroll,
    make_initial_pairs,
    optimise_pairs,
)
from potstill.runtime import devices
from potstill.students import Recipe
from potstill.students.training import train_networks

SMALL = Recipe(steps=5, width=16, layers=3, momentum=0.9)
SOLVERS: dict[str, Any] = {
    "kernel": (KernelDescent, {}),
    "unroll": (Unroll, {}),
    "sweep": (Sweep, {"initialisations": 2, "widths": (8,)}),
}


def compute(*names):
    """Return all numbers of each solver, and those of students."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.uniform(-0.9, 0.9, size=shape), "float32")  # noqa: E731
    table = StateTable(draw(40, 3), draw(40, 2), draw(40, 2), draw(40, 1), draw(40) + 1.0, jnp.ones(()))
    first, found = make_initial_pairs(table, 8, rng=np.random.default_rng(0)), {}
    for name in names:
        solver, changed = SOLVERS[name]
        parts = {"objective": PolicyCloning(), "solver": solver(SMALL), "schedule": Schedule(3)}
        settings = OuterSettings(batch=16, **changed)
        *_, last = optimise_pairs(first, table, None, **parts, settings=settings, key=jax.random.key(0))
        found[name] = flatten((*last.pairs[:2], last.metrics["loss"]))
    devices.disconnect()
    return found | {"students": flatten(train_networks(jax.random.split(jax.random.key(0), 4), last.pairs, SMALL))}


def flatten(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]).tolist()


if __name__ == "__main__":
    devices.use_devices(int(sys.argv[1]) or None)
    count, names = devices.find_all_devices().size, sys.argv[2:]
    print(json.dumps({"devices": count, **(compute(*names) if names else {})}))
