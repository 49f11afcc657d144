"""Fitted Q-evaluation: the value of a policy, estimated from data alone (Le, Voloshin & Yue, ICML 2019).

    L = E ( Q(s, a) − r − γ (1 − d) Q̄(s′, π(s′)) )²,      J(π) ≈ E_{s₀} Q(s₀, π(s₀))

To select among policies, the estimate is made pessimistic. With the pessimism coefficient λ > 0

    r ← r − γ (1 − d) λ ‖π(s′) − a′‖²

where a′ is the data's action in s′. Far from the data's actions the critic extrapolates, and a selection by the
highest estimate would favour its errors. The penalty is that of ReBRAC's critic target; its use in fitted
Q-evaluation is specific to potstill.

The policy is fixed, so its next actions are computed once for all rows. A critic with LayerNorm is fitted on 90 %
of the episodes. J is the mean over the first states of the other 10 %. The pessimistic value estimate is the mean over
all states of those 10 %. These are many more states, and they cover whole episodes; at γ = 0.99, the value of a first
state hardly depends on a fall 300 steps later.

Values propagate by about one environment step in the 1 / τ updates in which the target Q̄ catches up. At the usual
τ = 0.005, the estimate rises for some 20,000 updates. Because the policy is fixed, a τ twenty times as large is
stable, and a twentieth of the updates suffices. Rewards are divided by E|r| / (1 − γ), so that values are about 1:
Adam changes a critic by a fixed amount per update, and values in the thousands would take thousands of times as many
updates. Within each call, the learning rate falls to 0, so the result depends little on the last batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from potstill.data.transitions import Transitions
from potstill.errors import PotstillError
from potstill.networks.mlp import Params, apply_critics, init_mlp, init_stack
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_least
from potstill.teachers.algorithms.base import Metrics
from potstill.teachers.algorithms.critics import bootstrap, critic_loss
from potstill.teachers.base import Teacher
from potstill.teachers.optimisation import AdamState, initialise_adam, soft_update, take_adam_step, take_single_batch
from potstill.teachers.rows import TrainingRows
from potstill.teachers.settings import Training, UpdateSettings
from potstill.teachers.training import run_updates

HIDDEN = (256, 256)
LEARNING_RATE = 1e-3
TARGET_RATE = 0.1  # τ
FIRST_FIT = 10  # factor on the updates of the first call: the estimate of a new critic overshoots before it converges
HELD_OUT = 10  # every tenth episode
PESSIMISM = 2.0  # λ, in standard deviations of the reward
MOST_STATES = 8192  # states of held-out episodes that a pessimistic value estimate uses, at most
ACT_ROWS = 16_384  # states per call of a teacher
PIECE = 500  # updates in one compiled call, between two reports of progress
TIMED_UPDATES = 20

Report = Callable[[int], object]
"""Is called with the number of updates done since the last call. It may raise, which leaves the critic unchanged."""


class FittedState(NamedTuple):
    """The fitted critic (a stack of one), its target, the optimiser's state and the number of updates."""

    critic: Params
    target: Params
    optimiser: AdamState
    updates: Int[Array, ""]


def initialise_critic(key: PRNGKeyArray, state_size: int, action_size: int, *, discrete: bool = False) -> FittedState:
    """Initialise a critic with orthogonal weights, and a target equal to it. Discrete actions have an output each."""
    inputs, outputs = (state_size, action_size) if discrete else (state_size + action_size, 1)
    critic = init_stack(init_mlp, key, (inputs, *HIDDEN, outputs), 1)
    return FittedState(critic, critic, initialise_adam(critic), jnp.zeros((), jnp.int32))


@dataclass(frozen=True)
class CriticFit:
    """Fitted Q-evaluation, with a learning rate that decays to 0 in periods of ``updates`` steps."""

    batches: ClassVar[int] = 1

    updates: int

    def update(
        self, state: FittedState, rows: TrainingRows, key: PRNGKeyArray, settings: UpdateSettings
    ) -> tuple[FittedState, Metrics]:
        """Take one step; ``rows.next_actions`` are the policy's."""
        rows, left = take_single_batch(rows), 1.0 - state.updates % self.updates / self.updates
        values = apply_critics(state.target, rows.next_states, rows.next_actions)[0]
        target = bootstrap(rows, values, settings.discount)
        critic, optimiser, metrics = take_adam_step(
            lambda p: critic_loss(p, target, rows, normed=True), state.critic, state.optimiser, LEARNING_RATE * left
        )
        moved = soft_update(critic, state.target, settings.target_rate)
        return FittedState(critic, moved, optimiser, state.updates + 1), metrics


def hold_out_episodes(data: Transitions) -> Bool[np.ndarray, " M"]:
    """Make a mask of the rows of every tenth episode, or of the last row if there are fewer than ten episodes."""
    episode = np.cumsum(data.episode_ends) - data.episode_ends
    held: np.ndarray = episode % HELD_OUT == HELD_OUT - 1
    return held if held.any() else np.arange(len(data)) == len(data) - 1


def select_held_out_states(data: Transitions) -> Int[np.ndarray, " H"]:
    """Select the rows of the held-out episodes: all of them, or a fixed random sample of 8,192."""
    return np.random.default_rng(0).permutation(np.flatnonzero(hold_out_episodes(data)))[:MOST_STATES]


def select_held_out_starts(data: Transitions) -> Int[np.ndarray, " E"]:
    """Select the first rows of the held-out episodes, or of all episodes if no held-out row starts an episode."""
    starts = np.append(True, data.episode_ends[:-1])
    held = starts & hold_out_episodes(data)
    return np.flatnonzero(held if held.any() else starts)


@check_arguments
class Evaluator:
    """Fits one critic to a sequence of policies. Each call starts from the critic of the previous call.

    Args:
        table: all rows of ``data``, from :func:`potstill.teachers.rows.load_with_returns`.
        data: the transitions, for their episodes.
        training: batch size, γ and seed of the fit.
        read_at: rows of ``data``; the estimate is the mean over their states.
        pessimism: λ, in units of reward; 0 gives plain fitted Q-evaluation.

    Example:
        >>> from potstill.bundled import BUNDLED
        >>> from potstill.data.registry import load_dataset
        >>> from potstill.teachers import load_teacher
        >>> from potstill.teachers.rows import load_with_returns
        >>> data, training = load_dataset("hopper-medium-replay"), Training(batch=16)
        >>> teacher = load_teacher(BUNDLED / "hopper-medium-replay.teacher.safetensors")
        >>> table = load_with_returns(data, training.discount)
        >>> evaluate = Evaluator(table, data, training, select_held_out_starts(data))
        >>> isinstance(evaluate(teacher, updates=2), float)  # a useful estimate takes some 2,000 updates
        True
    """

    def __init__(
        self,
        table: TrainingRows,
        data: Transitions,
        training: Training,
        read_at: Int[np.ndarray, " H"],
        pessimism: float = 0.0,
    ) -> None:
        check_least("Evaluator.pessimism", pessimism, 0)
        if not len(read_at) or not 0 <= min(read_at) <= max(read_at) < len(data):
            raise PotstillError(f"Evaluator.read_at: expected numbers of rows below {len(data)}, at least one")
        self.settings = UpdateSettings(training.batch, training.discount, TARGET_RATE)
        self.key = jax.random.key(training.seed)
        self.scale = float(jnp.abs(table.rewards).mean()) / (1.0 - training.discount) or 1.0
        table = table._replace(rewards=table.rewards / self.scale)
        fitted = ~hold_out_episodes(data) if len(data) > 1 else np.ones(1, np.bool_)
        self.table: TrainingRows = jax.tree.map(lambda column: column[np.flatnonzero(fitted)], table)
        self.states = table.states[read_at]
        known = _mark_known_next_actions(table, data)[fitted]
        self.penalties = pessimism / self.scale * training.discount * self.table.alive * known
        """The penalty per unit of squared distance to the data's next action, for each row [M]."""
        self.state = initialise_critic(
            self.key, data.state_size, data.action_size, discrete=data.action_bounds.discrete
        )

    def count_updates(self, updates: int) -> int:
        """Count the updates that the next call with ``updates`` takes: ten times as many in the first call."""
        return updates if int(self.state.updates) else updates * FIRST_FIT

    def warm_up(self, updates: int) -> float:
        """Compile the update, and return the seconds that an update takes. The critic does not change."""
        started = 0.0
        for calls in (1, TIMED_UPDATES):  # the first call compiles
            started = time.perf_counter()
            jax.block_until_ready(self._fit(self.state, self.table, self.key, calls, 0, updates))
        return (time.perf_counter() - started) / TIMED_UPDATES

    def __call__(self, teacher: Teacher, updates: int, report: Report | None = None) -> float:
        """Estimate the discounted return of ``teacher``.

        Args:
            teacher: its actions are computed for all rows.
            updates: updates of the critic in this call. The first call takes ten times as many.
            report: called after every few hundred updates.
        """
        actions = act_in_parts(teacher, self.table.next_states)
        distances = jnp.sum((actions - self.table.next_actions) ** 2, axis=-1)
        table = self.table._replace(next_actions=actions, rewards=self.table.rewards - self.penalties * distances)
        state, key, calls = self.state, jax.random.fold_in(self.key, self.state.updates), self.count_updates(updates)
        for done in range(0, calls, PIECE):  # the number of pieces does not change the result
            count = min(PIECE, calls - done)
            state = self._fit(state, table, key, count, done, updates)
            if report is not None:
                jax.block_until_ready(state)
                report(count)
        self.state = state
        return self.scale * float(apply_critics(self.state.critic, self.states, teacher.act(self.states)).mean())

    def _fit(
        self, state: FittedState, table: TrainingRows, key: PRNGKeyArray, calls: int, done: int, period: int
    ) -> FittedState:
        """Take ``calls`` updates after ``done`` others with the same key."""
        fit = CriticFit(period)
        after: FittedState = run_updates(state, table, key, calls, done, algorithm=fit, settings=self.settings)[0]
        return after


def _mark_known_next_actions(table: TrainingRows, data: Transitions) -> Float[Array, " M"]:
    """Mark by 1 the rows whose next state is the state of the following row, so that a′ is known; others by 0."""
    same = jnp.all(table.next_states[:-1] == table.states[1:], axis=-1)
    return jnp.append(same, False).astype(jnp.float32) * ~data.episode_ends


def make_pessimistic_evaluator(table: TrainingRows, data: Transitions, training: Training) -> Evaluator:
    """Make the evaluator by which teachers are selected.

    λ is two standard deviations of the reward, and the estimate is the mean over the held-out states.

    Args:
        table: all rows of ``data``, from :func:`potstill.teachers.rows.load_with_returns`.
        data: the transitions, for their episodes.
        training: batch size, γ and seed of the fit.
    """
    return Evaluator(table, data, training, select_held_out_states(data), PESSIMISM * float(table.rewards.std()))


def act_in_parts(teacher: Teacher, states: Float[Array, "M S"], part: int = ACT_ROWS) -> Float[Array, "M A"]:
    """Mean actions of a teacher in many states, ``part`` states at a time to limit memory."""
    return jnp.concatenate([teacher.act(states[i : i + part]) for i in range(0, len(states), part)])
