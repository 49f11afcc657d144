"""Fitted Q-evaluation: what a policy is worth, judged by the data alone (Le, Voloshin & Yue, ICML 2019).

    L = E ( Q(s, a) − r − γ (1 − d) Q̄(s′, π(s′)) )²,      J(π) ≈ E_{s₀} Q(s₀, π(s₀))

An estimate that is to choose among policies takes off what the data cannot answer for: with a caution λ > 0

    r ← r − γ (1 − d) λ ‖π(s′) − a′‖²

a′ what the data did in s′. Far from the data's actions a critic extrapolates, and is believed the more the better
what it says sounds. Source of the penalty: ReBRAC's in the critic's target; in a fit that only judges it is ours.

The policy is fixed, its next actions are computed once for all rows, and a critic with LayerNorm is
fitted on 90 % of the episodes. J is read at the starts of the others; the cautious estimate at all their states
alike, which are many more and lie all along an episode: at γ = 0.99 starts know nothing of a fall 300 steps later.

A value spreads by one step of the environment for each time that the target Q̄ catches up, 1 / τ updates. With
the τ = 0.005 of control a fit needs some 20,000 updates before its estimate stops rising; the policy is fixed
here, so that a τ twenty times as large is safe and a twentieth of them do. Rewards are divided by E|r| / (1 − γ),
so that values are about 1: Adam moves a critic by so much an update, and values of thousands take it as many. Within
each call the learning rate falls to 0, so that what is read at its end depends little on the last batches.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from potstill.config import Settings, TeachConfig
from potstill.data.transitions import Transitions
from potstill.networks.mlp import Params, apply_critics, init_mlp, init_stack
from potstill.teachers.algorithms.values import bootstrapped, critic_loss
from potstill.teachers.base import Teacher
from potstill.teachers.rows import Rows
from potstill.teachers.training import Figures, begin_adam, descend, first, follow, run

HIDDEN = (256, 256)
LEARNING_RATE = 1e-3
TARGET_RATE = 0.1  # τ
FIRST_FIT = 10  # times as many updates for the first policy: starting from nothing, a fit overshoots before it settles
HELD_OUT = 10  # every tenth episode
CAUTION = 2.0  # standard deviations of the reward for each unit of squared distance to the data's actions
MOST_STATES = 8192  # of held-out episodes, that a cautious estimate is read at


class State(NamedTuple):
    """The fitted critic (stacked, of one), its slowly moving copy, and the optimiser's state."""

    critic: Params
    target: Params
    optimiser: Any
    updates: Array


def begin(key: PRNGKeyArray, state_size: int, action_size: int) -> State:
    """A fresh critic."""
    critic = init_stack(init_mlp, key, (state_size + action_size, *HIDDEN, 1), 1)
    return State(critic, critic, begin_adam(critic), jnp.zeros((), jnp.int32))


def update(state: State, rows: Rows, key: PRNGKeyArray, settings: Settings) -> tuple[State, Figures]:
    """One step of the ``settings.own`` in a call; ``rows.next_actions`` are the policy's."""
    rows, left = first(rows), 1.0 - state.updates % settings.own / settings.own
    values = apply_critics(state.target, rows.next_states, rows.next_actions)[0]
    target = bootstrapped(rows, values, settings.discount)
    critic, optimiser, figures = descend(
        lambda p: critic_loss(p, target, rows, normed=True), state.critic, state.optimiser, LEARNING_RATE * left
    )
    return State(critic, follow(critic, state.target, settings), optimiser, state.updates + 1), figures


def held_out_episodes(data: Transitions) -> Bool[np.ndarray, " M"]:
    """Rows of every tenth episode; the last row of all others if there are fewer than ten."""
    episode = np.cumsum(data.episode_ends) - data.episode_ends
    held = episode % HELD_OUT == HELD_OUT - 1
    return held if held.any() else np.arange(len(data)) == len(data) - 1


def held_out_states(data: Transitions) -> Int[np.ndarray, " H"]:
    """Rows of the held-out episodes: all, or 8,192 drawn once and for all."""
    return np.random.default_rng(0).permutation(np.flatnonzero(held_out_episodes(data)))[:MOST_STATES]


def held_out_starts(data: Transitions) -> Int[np.ndarray, " E"]:
    """First rows of the held-out episodes; of all episodes if none is held out from its start."""
    begun = np.append(True, data.episode_ends[:-1])
    held = begun & held_out_episodes(data)
    return np.flatnonzero(held if held.any() else begun)


class Evaluator:
    """Fits one critic to a policy that changes: each call goes on from the last fit.

    Args:
        table: all rows of ``data``.
        data: says where episodes begin and end.
        config: batch, discount and seed of the fit.
        read_at: rows of ``data`` whose states the estimate is the mean over.
        caution: λ, in units of reward.
    """

    def __init__(
        self,
        table: Rows,
        data: Transitions,
        config: TeachConfig,
        read_at: Int[np.ndarray, " H"],
        caution: float = 0.0,
    ) -> None:
        self.settings = Settings(None, config.batch, config.discount, TARGET_RATE)
        self.key = jax.random.key(config.seed)
        self.scale = float(jnp.abs(table.rewards).mean()) / (1.0 - config.discount) or 1.0
        table = table._replace(rewards=table.rewards / self.scale)
        self.table: Rows = jax.tree.map(lambda column: column[np.flatnonzero(~held_out_episodes(data))], table)
        self.states = table.states[read_at]
        followed = _followed(table, data)[~held_out_episodes(data)]
        self.caution = caution / self.scale * config.discount * self.table.alive * followed
        self.state = begin(self.key, data.state_size, data.action_size)

    def __call__(self, teacher: Teacher, updates: int) -> float:
        """What ``teacher`` is worth after ``updates`` more updates (ten times as many at first), in return."""
        fresh = not int(self.state.updates)
        own = act_in_parts(teacher, self.table.next_states)
        strays = jnp.sum((own - self.table.next_actions) ** 2, axis=-1)
        table = self.table._replace(next_actions=own, rewards=self.table.rewards - self.caution * strays)
        key = jax.random.fold_in(self.key, self.state.updates)
        calls = updates * FIRST_FIT if fresh else updates
        settings = dataclasses.replace(self.settings, own=updates)
        self.state, _ = run(self.state, table, key, calls, update=update, settings=settings, batches=1)
        return self.scale * float(apply_critics(self.state.critic, self.states, teacher.act(self.states)).mean())


def _followed(table: Rows, data: Transitions) -> Float[Array, " M"]:
    """1 for rows whose next state is the state of the row after them, so that a′ is there; 0 for all others."""
    same = jnp.all(table.next_states[:-1] == table.states[1:], axis=-1)
    return jnp.append(same, False).astype(jnp.float32) * ~data.episode_ends


def cautious(table: Rows, data: Transitions, config: TeachConfig) -> Evaluator:
    """The evaluator that teachers are chosen by: λ two standard deviations of the reward, read at held-out states.

    Args:
        table: all rows of ``data``.
        data: says where episodes begin and end.
        config: the settings of the training.
    """
    return Evaluator(table, data, config, held_out_states(data), CAUTION * float(table.rewards.std()))


def act_in_parts(teacher: Teacher, states: Float[Array, "M S"], part: int = 16_384) -> Float[Array, "M A"]:
    """Mean actions of a teacher in many states, some thousand at a time: all at once would take gigabytes."""
    return jnp.concatenate([teacher.act(states[i : i + part]) for i in range(0, len(states), part)])
