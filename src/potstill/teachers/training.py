"""The training loop that every algorithm shares: compiled scans over updates, some hundred at a time."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Key, PRNGKeyArray

from potstill.config import Settings, TeachConfig
from potstill.data.transitions import Transitions
from potstill.errors import Diverged
from potstill.networks.mlp import Params
from potstill.networks.policy import Head, Policy
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.rows import Rows, Table
from potstill.teachers.sampling import drawn, keys_of, source_of

CHUNK = 500  # updates in one compiled call, between two lines of progress
VALUE_SLACK = 2.0  # values past this multiple of the largest possible return mean divergence

State = Any  # an algorithm's networks, their slowly moving copies and its optimiser states
Figures = dict[str, Any]  # scalars by name
Update = Callable[[State, Rows, PRNGKeyArray, Settings], tuple[State, Figures]]


class Parts(NamedTuple):
    """What a trained state leaves: a policy and critics in units of discounted return."""

    actor: Params
    head: Head
    critics: Params
    layer_norm: bool


@dataclass(frozen=True)
class Algorithm:
    """An offline-RL algorithm, as pure functions of (state, rows, key, settings)."""

    name: str
    """As the user writes it."""

    prepare: Callable[[Transitions, Settings], Table]
    """The rows to learn from."""

    begin: Callable[[PRNGKeyArray, int, int, Settings, int], State]
    """Fresh networks, from a key, the sizes of state and action, and the updates that are to come."""

    update: Update
    """The next state and figures of merit (losses, mean value), from ``batches`` batches."""

    parts: Callable[[State, Transitions, Settings], Parts]
    """The teacher inside a state."""

    batches: int = 1
    """Batches in a call of ``update``, each for one update of the critics."""


@functools.partial(jax.jit, static_argnames=("update", "settings", "batches", "pick"))
def run(
    state: State,
    table: Rows,
    key: PRNGKeyArray,
    calls: int | Array,
    begun: int | Array = 0,
    *,
    update: Update,
    settings: Settings,
    batches: int,
    pick: Callable[..., Rows] = drawn,
) -> tuple[State, Figures]:
    """``calls`` calls of ``update`` as one compiled loop, and the mean of each figure over them.

    ``begun`` calls came before under the same ``key``. ``pick`` takes their batches from ``table``.
    """
    shape = (batches, settings.batch)

    def one(state: State, place: Array) -> tuple[State, Figures]:
        rows_key, update_key = keys_of(key, begun + place)
        return update(state, pick(table, rows_key, place, shape), update_key, settings)

    def body(place: Array, carry: tuple[State, Figures]) -> tuple[State, Figures]:
        state, total = carry
        state, figures = one(state, place)
        return state, jax.tree.map(jnp.add, total, figures)

    found = jax.eval_shape(one, state, jnp.zeros((), jnp.int32))[1]
    nothing = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), found)
    state, total = jax.lax.fori_loop(0, calls, body, (state, nothing))
    return state, jax.tree.map(lambda x: x / calls, total)


def run_seeds(states: State, table: Rows, keys: Key[Array, " K"], calls: int, **how: Any) -> tuple[State, Figures]:
    """:func:`run` for K seeds at once: every array of the state has a leading axis K."""
    return jax.vmap(functools.partial(run, **how), (0, None, 0, None))(states, table, keys, calls)


class Learner:
    """An algorithm at work on a dataset, some hundred updates a call.

    Which rows and noise an update sees depends on its number alone, so that a resumed training and an
    uninterrupted one take the same steps.
    """

    def __init__(self, algorithm: Algorithm, data: Transitions, config: TeachConfig) -> None:
        self.algorithm, self.data, self.config = algorithm, data, config
        self.key = jax.random.key(config.seed)
        table = algorithm.prepare(data, config.settings)
        self.source = source_of(table, (algorithm.batches, config.batch))
        sizes = (data.state_size, data.action_size)
        fresh = algorithm.begin(jax.random.fold_in(self.key, 0), *sizes, config.settings, config.updates)
        self.state = jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), fresh)  # weak types compile twice
        self.done = 0
        self.limit = VALUE_SLACK * table.largest_reward / (1.0 - config.discount)

    def advance(self) -> tuple[dict[str, float], float]:
        """Train up to the next line of progress, evaluation or end; return figures and seconds.

        Raises:
            Diverged: when figures are not finite, or values pass twice the largest possible return.
        """
        config, algorithm, period = self.config, self.algorithm, self.algorithm.batches
        goal = min(self.done + CHUNK, config.updates, (self.done // config.evaluate_every + 1) * config.evaluate_every)
        calls = max(1, (goal - self.done) // period)
        started = time.perf_counter()
        key = jax.random.fold_in(self.key, self.done + 1)
        how = {"update": algorithm.update, "settings": config.settings, "batches": period, "pick": self.source.pick}
        found = []
        for rows, begun, count in self.source.pieces(key, calls):
            jax.block_until_ready(self.state)  # at most two pieces in memory: one in work, one read meanwhile
            self.state, means = run(self.state, rows, key, count, begun, **how)
            found.append((count, means))
        jax.block_until_ready(self.state)
        seconds = time.perf_counter() - started
        self.done += calls * period
        figures = {name: sum(count * float(means[name]) for count, means in found) / calls for name in found[0][1]}
        self._check(figures)
        return figures, seconds

    def _check(self, figures: dict[str, float]) -> None:
        where = f"{self.algorithm.name} diverged at update {self.done}"
        for name, value in figures.items():
            if not np.isfinite(value):
                raise Diverged(f"{where}: {name.replace('_', ' ')} is no longer finite")
        if abs(figures["value"]) > self.limit:
            raise Diverged(
                f"{where}: mean value {figures['value']:.4g}, more than {VALUE_SLACK:.0f} x the largest possible return"
            )


def descend(
    loss: Callable[..., Any], params: Any, optimiser: Any, rate: Any, pieces: Any = None
) -> tuple[Any, Any, Any]:
    """One step of Adam: the new parameters, the optimiser's state, and what ``loss`` returned.

    ``loss`` maps parameters to (scalar, figures). With ``pieces`` of a batch, from :func:`cut`, it maps
    (parameters, piece) to them, and gradient and figures are the means over the pieces, taken in turn.
    """
    slope = jax.grad(loss, has_aux=True)
    if pieces is None:
        gradient, figures = slope(params)
    else:
        count = len(jax.tree.leaves(pieces)[0])
        nothing = jax.tree.map(jnp.zeros_like, jax.eval_shape(slope, params, jax.tree.map(lambda x: x[0], pieces)))
        add = lambda total, piece: (jax.tree.map(jnp.add, total, slope(params, piece)), None)  # noqa: E731
        total, _ = jax.lax.scan(add, nothing, pieces)
        gradient, figures = jax.tree.map(lambda x: x / count, total)
    change, optimiser = optax.adam(rate).update(gradient, optimiser)
    return optax.apply_updates(params, change), optimiser, figures


def cut(batch: Any, pieces: int) -> Any:
    """A batch in equal pieces on a new first axis: ``pieces`` of them, or as many fewer as divide it."""
    rows = len(jax.tree.leaves(batch)[0])
    return jax.tree.map(lambda x: x.reshape(math.gcd(rows, pieces), -1, *x.shape[1:]), batch)


def begin_adam(params: Any) -> Any:
    """The state of :func:`descend` before its first step."""
    return optax.adam(1.0).init(params)


def follow(params: Params, target: Params, settings: Settings) -> Params:
    """Move a target network by τ towards its original."""
    return optax.incremental_update(params, target, settings.target_rate)


def first(rows: Rows) -> Rows:
    """The only batch of an algorithm that takes one at a time."""
    return jax.tree.map(lambda column: column[0], rows)


def teacher_of(
    algorithm: Algorithm, state: State, data: Transitions, config: TeachConfig, metadata: dict[str, Any]
) -> NetworkTeacher:
    """The trained networks as a teacher, in NumPy arrays."""
    parts = algorithm.parts(state, data, config.settings)
    actor, critics = jax.tree.map(np.asarray, (parts.actor, parts.critics))
    policy = Policy(actor, data.normaliser, data.action_bounds, parts.head)
    return NetworkTeacher(policy, critics, metadata, parts.layer_norm)
