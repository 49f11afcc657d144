"""Behavioural cloning of all rows of the bundled dataset, the reference in the table of ``make demo``.

The network is that of the paper's recipe. Three students take 20,000 updates of Adam on 256 rows each (25 passes). The
package contains the numbers in ``src/potstill/bundled/hopper-medium-replay.bc.json``.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import PRNGKeyArray

import potstill
from benchmarks.experiments.distilling import shorten_summary
from benchmarks.experiments.parts import TOY_RECIPE
from benchmarks.files import BUNDLED, Workspace
from benchmarks.grid import Cell, Experiment, Record
from benchmarks.speed.harness import Stopwatch
from potstill.data import Scaling
from potstill.evaluation.scores import measure_student_returns
from potstill.evaluation.statistics import summarise
from potstill.students.ensemble import Students
from potstill.students.recipe import RECIPES, Recipe
from potstill.students.training import Pairs, bc_loss, initialise_network

UPDATES, BATCH, LEARNING_RATE = 20_000, 256, 1e-3
CLONES, EPISODES, EPISODE_SEED = 3, 20, 50


@functools.partial(jax.jit, static_argnames=("recipe", "updates", "batch", "decay"))
def train_clone(key: PRNGKeyArray, pairs: Pairs, recipe: Recipe, updates: int, batch: int, decay: bool = False) -> Any:
    """Train one student by Adam on minibatches of all pairs, and return its parameters.

    Args:
        key: key of the initialisation and the batches.
        pairs: standardised states and actions in [−1, 1].
        recipe: determines the network; its training settings are not used.
        updates: number of Adam steps.
        batch: rows in a step.
        decay: lower the learning rate to 0 by a cosine.
    """
    key, drawn = jax.random.split(key)
    rule = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, updates) if decay else LEARNING_RATE)
    params = initialise_network(key, pairs.states.shape[-1], pairs.actions.shape[-1], recipe)

    def body(carry: Any, key: PRNGKeyArray) -> tuple[Any, None]:
        params, optimiser = carry
        index = jax.random.randint(key, (batch,), 0, len(pairs.states))
        gradient = jax.grad(bc_loss)(params, Pairs(pairs.states[index], pairs.actions[index]))
        change, optimiser = rule.update(gradient, optimiser)
        return (optax.apply_updates(params, change), optimiser), None

    return jax.lax.scan(body, (params, rule.init(params)), jax.random.split(drawn, updates))[0][0]


def train_clones(pairs: Pairs, recipe: Recipe, scaling: Scaling, count: int, **how: Any) -> Students:
    """Train students on all pairs, one for each seed from 0, with this scaling."""
    parameters = [train_clone(jax.random.key(seed), pairs, recipe, **how) for seed in range(count)]
    stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *parameters)
    return Students(stacked, scaling)


def measure(cell: Cell, workspace: Workspace) -> Record:
    """Clone the dataset's own actions, and evaluate the students."""
    data = potstill.load_dataset(workspace.find_dataset(cell.file))
    states, actions = data.normaliser(data.observations), data.action_bounds.to_unit(data.actions)
    pairs = Pairs(jnp.asarray(states, jnp.float32), jnp.asarray(np.asarray(actions), jnp.float32))
    scaling = Scaling(data.normaliser, data.action_bounds)
    recipe, updates, episodes = (TOY_RECIPE, 20, 1) if workspace.toy else (RECIPES["paper"], UPDATES, EPISODES)
    with Stopwatch() as watch:
        students = train_clones(pairs, recipe, scaling, CLONES, updates=updates, batch=BATCH)
        jax.block_until_ready(students.params)
    assert data.env_id is not None
    scores = summarise(measure_student_returns(students, data.env_id, episodes, EPISODE_SEED), data.env_id)
    return {"student": shorten_summary(scores), "seconds": watch.clock}


def describe_inputs(cell: Cell) -> Record:
    """The budget."""
    return {"updates": UPDATES, "batch": BATCH, "learning_rate": LEARNING_RATE, "clones": CLONES, "episodes": EPISODES}


EXPERIMENT = Experiment(
    "cloning",
    "behavioural cloning of the whole bundled dataset, the reference row of `make demo`",
    (Cell("paper-network", BUNDLED),),
    describe_inputs,
    measure,
    frozenset({"student", "seconds"}),
)
