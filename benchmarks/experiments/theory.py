"""The theorems of the paper on random tabular MDPs, over the discount, and the objectives after shifts of the reward.

There are three kinds of MDPs with four actions and rewards in [0, 1], 1,000 of each except the last:

- ``dense``: 20 states, every distribution over next states equally likely, a reward for every action in every state;
- ``sparse``: 20 states, few next states for each action, a reward for one in twenty pairs of state and action;
- ``large``: 100 states, several next states for each action, rewards as in ``sparse``; 200 MDPs.

Besides the paper's weight q*, Av-PBC is measured with the weightings of potstill that depend on q*.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.files import Workspace
from benchmarks.grid import Cell, Experiment, Record
from potstill.distillation.objectives import weights
from potstill.theory import TheorySettings, measure_theory
from potstill.theory.measurement import StateWeights

SPARSE: dict[str, Any] = {"concentration": 0.05, "rewarded": 0.05}
KINDS: dict[str, dict[str, Any]] = {
    "dense": {},
    "sparse": SPARSE,
    "large": {"states": 100, "mdps": 200, "ranked": 50, **SPARSE},
}
DISCOUNTS = (0.5, 0.8, 0.9, 0.95, 0.99)
TOY: dict[str, Any] = {"mdps": 3, "ranked": 1, "students": 4, "states": 5}
FIELDS = ("residual", "relative_residual", "bounds", "variation", "shifts", "broken", "shift_error")


def make_weighting(weigh: Callable[[jax.Array], jax.Array]) -> StateWeights:
    """A weighting of potstill as a function of v*, with the mean 1 that distillation gives it."""
    compiled = jax.jit(lambda values: weights.normalise_mean(weigh(values)))
    return lambda values: np.asarray(compiled(jnp.asarray(values, jnp.float32)), np.float64)


WEIGHTINGS = {name: make_weighting(getattr(weights, name)) for name in ("clipped", "softplus", "shifted", "ranged")}


def settings_of(cell: Cell) -> TheorySettings:
    """The settings of a cell: a kind of MDPs and a discount."""
    return TheorySettings((cell["discount"],), seed=cell.seed, **KINDS[cell.method])


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Measure one kind of MDPs at one discount."""
    settings = settings_of(cell)
    if workspace.toy:
        settings = dataclasses.replace(settings, **TOY)
    [found] = measure_theory(settings, weightings=WEIGHTINGS).discounts
    return round_numbers(dataclasses.asdict(found))


def round_numbers(value: Any) -> Any:
    """Round all numbers in a value to six significant digits."""
    if isinstance(value, dict):
        return {name: round_numbers(item) for name, item in value.items()}
    if isinstance(value, tuple | list):
        return [round_numbers(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def inputs(cell: Cell) -> Record:
    """The settings."""
    return {**dataclasses.asdict(settings_of(cell)), "weightings": list(WEIGHTINGS)}


EXPERIMENT = Experiment(
    "theory",
    "the theorems on random tabular MDPs: residual, slack over the discount, shifts of the reward",
    tuple(Cell(kind, axes=(("discount", discount),)) for kind in KINDS for discount in DISCOUNTS),
    inputs,
    measure,
    frozenset(FIELDS),
)
