"""The training loop of all algorithms: compiled loops of a few hundred updates."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Key, PRNGKeyArray, PyTree

from potstill.data.scaling import Scaling
from potstill.data.transitions import Transitions
from potstill.environments.observations.rule import ENTRY
from potstill.errors import Diverged
from potstill.networks.policy import Policy
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject, to_json
from potstill.teachers.algorithms.base import Algorithm, Metrics, State
from potstill.teachers.algorithms.discrete import fit_to_actions
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.diagnosis import find_saturated_components
from potstill.teachers.rows import TrainingRows
from potstill.teachers.sampling import DrawBatches, draw_batches, make_source, split_call_key
from potstill.teachers.settings import Training, UpdateSettings

CHUNK = 500  # updates in one compiled call, between two reports of progress
EARLY_UPDATES = 10_000  # up to which a training may start again
TIMED_CALLS = 10  # calls of an algorithm's update that are timed before the training
VALUE_SLACK = 2.0  # a mean value above this multiple of the largest possible return means divergence


@runtime_checkable
class Updater(Protocol[State]):
    """The part of an algorithm that :func:`run_updates` uses: a hashable object with a pure ``update``."""

    batches: ClassVar[int]

    def update(
        self, state: State, rows: TrainingRows, key: PRNGKeyArray, settings: UpdateSettings
    ) -> tuple[State, Metrics]:
        """The next state, and scalar metrics, from ``batches`` batches."""
        ...


@functools.partial(jax.jit, static_argnames=("algorithm", "settings", "pick"))
def run_updates(
    state: State,
    rows: TrainingRows,
    key: PRNGKeyArray,
    calls: int | Int[Array, ""],
    done: int | Int[Array, ""] = 0,
    *,
    algorithm: Updater[State],
    settings: UpdateSettings,
    pick: DrawBatches = draw_batches,
) -> tuple[State, Metrics]:
    """Run ``calls`` calls of the algorithm's update as one compiled loop.

    Args:
        state: the algorithm's state.
        rows: all rows, or a piece of them.
        key: determines, with the number of the call, its rows and its noise.
        calls: the number of calls.
        done: the number of earlier calls with the same key.
        algorithm: the object whose ``update`` is called.
        settings: batch size, γ and τ.
        pick: selects the batches of a call from ``rows``.

    Returns:
        The last state, and the mean of each metric over the calls.
    """
    shape = (algorithm.batches, settings.batch)

    def call(state: State, place: Int[Array, ""]) -> tuple[State, Metrics]:
        rows_key, update_key = split_call_key(key, done + place)
        return algorithm.update(state, pick(rows, rows_key, place, shape), update_key, settings)

    def body(place: Int[Array, ""], carry: tuple[State, Metrics]) -> tuple[State, Metrics]:
        state, total = carry
        state, metrics = call(state, place)
        return state, jax.tree.map(jnp.add, total, metrics)

    shapes = jax.eval_shape(call, state, jnp.zeros((), jnp.int32))[1]
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    state, total = jax.lax.fori_loop(0, calls, body, (state, zeros))
    means: Metrics = jax.tree.map(lambda x: x / calls, total)
    return state, means


def run_seeds(
    states: State,
    rows: TrainingRows,
    keys: Key[Array, " K"],
    calls: int,
    *,
    algorithm: Updater[State],
    settings: UpdateSettings,
) -> tuple[State, Metrics]:
    """:func:`run_updates` for K seeds at once: every array of ``states`` has a leading axis K."""
    run = functools.partial(run_updates, algorithm=algorithm, settings=settings)
    states, metrics = jax.vmap(run, (0, None, 0, None))(states, rows, keys, calls)
    return states, metrics


class Chunk(NamedTuple):
    """Metrics and time of one call of :meth:`Learner.advance`."""

    metrics: dict[str, float]
    """Means over the chunk's updates."""
    seconds: float
    """Time that the updates took."""


@check_arguments
class Learner:
    """Trains an algorithm on a dataset, a few hundred updates per call.

    The rows and the noise of an update depend only on its number, so a resumed run takes the same steps as an
    uninterrupted one.

    Args:
        algorithm: the algorithm with its settings.
        data: the transitions to learn from.
        training: the settings that all algorithms share.

    Raises:
        PotstillError: ``data`` do not have what the algorithm requires, such as rows in order.

    Example:
        >>> import potstill
        >>> from potstill.teachers import Bc, Learner, Training
        >>> data = potstill.load_dataset("hopper-medium-replay")
        >>> learner = Learner(Bc(best_episodes=0.1), data, Training(updates=4, batch=16, evaluate_every=2))
        >>> while not learner.finished:
        ...     metrics, seconds = learner.advance()
        ...     print(learner.done, "actor_loss" in metrics)
        2 True
        4 True
    """

    def __init__(self, algorithm: Algorithm[Any], data: Transitions, training: Training) -> None:
        algorithm = fit_to_actions(algorithm, discrete=data.action_bounds.discrete)
        self.algorithm, self.data, self.training = algorithm, data, training
        rate = algorithm.target_rate if training.target_rate is None else training.target_rate
        self.settings = UpdateSettings(training.batch, training.discount, rate)
        self.key = jax.random.key(training.seed)
        table = algorithm.prepare(data, training.discount)
        self.source = make_source(table, (algorithm.batches, training.batch))
        # Values of new critics are up to about 1, however small the rewards are.
        self.limit = VALUE_SLACK * max(table.largest_reward / (1.0 - training.discount), 1.0)
        self.restarted = False
        """Whether training was restarted after the actor collapsed."""
        self._initialise()

    def _initialise(self) -> None:
        sizes = (self.data.state_size, self.data.action_size)
        fresh = self.algorithm.initialise(jax.random.fold_in(self.key, 0), *sizes, self.training.updates)
        # Weakly typed arrays would cause a second compilation.
        self.state: PyTree = jax.tree.map(lambda x: jax.lax.convert_element_type(x, x.dtype), fresh)
        self.done = 0

    def restart(self) -> bool:
        """Restart with the algorithm's settings for a collapsed actor; return False if it has none."""
        other = self.algorithm.adapt_to_collapse()
        if other is None:
            return False
        self.algorithm, self.restarted = other, True
        self._initialise()
        return True

    @property
    def collapsed(self) -> bool:
        """Whether the actor has some action component at a bound in all states, while the data's actions vary."""
        return bool(find_saturated_components(self.make_teacher(), self.data))

    @property
    def finished(self) -> bool:
        """Whether all updates are done."""
        return self.done >= self.training.updates

    def warm_up(self) -> float:
        """Compile the update, and return the seconds that an update takes. The training does not advance."""
        key, pick = jax.random.fold_in(self.key, self.done + 1), self.source.pick
        run = functools.partial(run_updates, algorithm=self.algorithm, settings=self.settings, pick=pick)
        piece = next(self.source.iterate_pieces(key, TIMED_CALLS))
        started = 0.0
        for calls in (1, piece.calls):  # the first call compiles
            started = time.perf_counter()
            _wait(run(self.state, piece.rows, key, calls, piece.start)[0])
        return (time.perf_counter() - started) / (piece.calls * self.algorithm.batches)

    def advance(self) -> Chunk:
        """Train until the next progress report, the next evaluation or the end.

        Raises:
            Diverged: a metric is not finite, or the mean value exceeds twice the largest possible return.
        """
        every, period = self.training.evaluate_every, self.algorithm.batches
        goal = min(self.done + CHUNK, self.training.updates, (self.done // every + 1) * every)
        calls = max(1, (goal - self.done) // period)
        started = time.perf_counter()
        key = jax.random.fold_in(self.key, self.done + 1)
        run = functools.partial(run_updates, algorithm=self.algorithm, settings=self.settings, pick=self.source.pick)
        parts: list[tuple[int, Metrics]] = []
        for rows, start, count in self.source.iterate_pieces(key, calls):
            _wait(self.state)  # at most two pieces in memory: one in use, one being read
            self.state, means = run(self.state, rows, key, count, start)
            parts.append((count, means))
        _wait(self.state)
        seconds = time.perf_counter() - started
        self.done += calls * period
        metrics = {name: sum(count * float(means[name]) for count, means in parts) / calls for name in parts[0][1]}
        self._check(metrics)
        return Chunk(metrics, seconds)

    def _check(self, metrics: dict[str, float]) -> None:
        where = f"{self.algorithm.name} diverged at update {self.done}"
        for name, value in metrics.items():
            if not np.isfinite(value):
                raise Diverged(f"{where}: {name.replace('_', ' ')} is no longer finite")
        if abs(metrics["value"]) > self.limit:
            raise Diverged(
                f"{where}: mean value {metrics['value']:.4g} exceeds {VALUE_SLACK:.0f} x the largest possible return"
            )

    def make_teacher(self) -> NetworkTeacher:
        """Make the teacher at this point of the training, in NumPy arrays."""
        parts = self.algorithm.extract(self.state, self.data)
        actor, critics = jax.tree.map(np.asarray, (parts.actor, parts.critics))
        policy = Policy(actor, Scaling(self.data.normaliser, self.data.action_bounds), parts.head)
        return NetworkTeacher(policy, critics, self._make_metadata(), parts.layer_norm)

    def _make_metadata(self) -> JsonObject:
        """Describe how the teacher was made: the algorithm, the settings and the data."""
        algorithm, settings, data = self.algorithm, self.settings, self.data
        own = {algorithm.name.replace("-", "_"): algorithm.to_metadata()}
        return {
            "algorithm": algorithm.name,
            "updates": self.done,
            "settings": to_json({**asdict(settings), "seed": self.training.seed, **own}),
            "dataset": data.name,
            "dataset_hash": data.content_hash,
            "env_id": data.env_id,
            **({ENTRY: data.rule.to_json()} if data.rule else {}),
            "potstill": version("potstill"),
        }


@check_arguments
def train_teacher(
    data: Transitions,
    algorithm: Algorithm[Any],
    training: Training | None = None,
    *,
    report: Callable[[int, dict[str, float]], None] | None = None,
) -> NetworkTeacher:
    """Train a teacher, without files and without an environment.

    To evaluate or save the teacher during training, use :class:`Learner`.

    Args:
        data: the transitions to learn from.
        algorithm: the algorithm with its settings.
        training: the settings that all algorithms share. Default: ``Training()``.
        report: called every few hundred updates with the number of updates done and their mean metrics.

    Returns:
        The teacher after the last update. Its metadata have the algorithm, the settings, and the data's name and hash.

    Raises:
        PotstillError: ``data`` do not have what the algorithm requires, such as rows in order.
        Diverged: a metric is not finite, or the mean value exceeds twice the largest possible return.

    Example:
        >>> import potstill
        >>> from potstill.teachers import Bc, Training, train_teacher
        >>> data = potstill.load_dataset("hopper-medium-replay")
        >>> teacher = train_teacher(data, Bc(best_episodes=0.1), Training(updates=4, batch=16))
        >>> teacher.policy(data.observations[:5]).shape
        (5, 3)
    """
    learner = Learner(algorithm, data, training or Training())
    while not learner.finished:
        metrics, _ = learner.advance()
        if learner.done <= EARLY_UPDATES and learner.collapsed and learner.restart():
            continue
        if report is not None:
            report(learner.done, metrics)
    return learner.make_teacher()


def _wait(state: PyTree) -> None:
    """Wait until the device has computed ``state``."""
    jax.block_until_ready(state)
