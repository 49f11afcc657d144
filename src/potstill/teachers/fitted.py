"""Fitted Q-evaluation: what a policy is worth, judged by the data alone (Le, Voloshin & Yue, ICML 2019).

    L = E ( Q(s, a) − r − γ (1 − d) Q̄(s′, π(s′)) )²,      J(π) ≈ E_{s₀} Q(s₀, π(s₀))

The policy is fixed, its next actions are computed once for all rows, and a critic with LayerNorm is
fitted on 90 % of the episodes. The estimate is taken at the starts of the others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from potstill.config import TeachConfig
from potstill.networks import Params, apply_critics, init_mlp, init_stack
from potstill.teachers import rows as rows_
from potstill.teachers.base import Teacher
from potstill.teachers.rows import Rows
from potstill.teachers.training import Algorithm, Figures, Parts, begin_adam, descend, first, follow, run
from potstill.types import Transitions

HIDDEN = (256, 256)
LEARNING_RATE = 1e-3
HELD_OUT = 10  # every tenth episode


class State(NamedTuple):
    """The fitted critic (stacked, of one), its slowly moving copy, and the optimiser's state."""

    critic: Params
    target: Params
    optimiser: Any
    updates: Array


def begin(key: PRNGKeyArray, state_size: int, action_size: int, config: TeachConfig) -> State:
    """A fresh critic."""
    critic = init_stack(init_mlp, key, (state_size + action_size, *HIDDEN, 1), 1)
    return State(critic, critic, begin_adam(critic), jnp.zeros((), jnp.int32))


def update(state: State, rows: Rows, key: PRNGKeyArray, config: TeachConfig) -> tuple[State, Figures]:
    """One step; ``rows.next_actions`` are the policy's."""
    rows = first(rows)
    target = rows.rewards + config.discount * rows.alive * apply_critics(
        state.target, rows.next_states, rows.next_actions
    ).mean(axis=0)

    def loss(critic: Params) -> tuple[Float[Array, ""], Figures]:
        values = apply_critics(critic, rows.states, rows.actions)
        error = jnp.mean((values - target) ** 2)
        return error, {"critic_loss": error, "value": values.mean()}

    critic, optimiser, figures = descend(loss, state.critic, state.optimiser, LEARNING_RATE)
    return State(critic, follow(critic, state.target, config), optimiser, state.updates + 1), figures


def _no_parts(state: State, data: Transitions, config: TeachConfig) -> Parts:
    raise NotImplementedError("a fitted critic has no policy")


FITTED = Algorithm("fitted", lambda data, config: rows_.prepare(data, config.discount), begin, update, _no_parts)


def held_out_episodes(data: Transitions) -> Bool[np.ndarray, " M"]:
    """Rows of every tenth episode; the last row of all others if there are fewer than ten."""
    episode = np.cumsum(data.episode_ends) - data.episode_ends
    held = episode % HELD_OUT == HELD_OUT - 1
    return held if held.any() else np.arange(len(data)) == len(data) - 1


def start_rows(data: Transitions) -> Bool[np.ndarray, " M"]:
    """First rows of episodes."""
    return np.append(True, data.episode_ends[:-1])


class Evaluator:
    """Fits one critic to a policy that changes: each call goes on from the last fit."""

    def __init__(self, data: Transitions, config: TeachConfig) -> None:
        self.config = config
        table = FITTED.prepare(data, config)
        held = held_out_episodes(data)
        starts = held & start_rows(data)
        self.table: Rows = jax.tree.map(lambda column: column[np.flatnonzero(~held)], table)
        self.starts = table.states[np.flatnonzero(starts if starts.any() else start_rows(data))]
        self.state: State = begin(jax.random.key(config.seed), data.state_size, data.action_size, config)

    def __call__(self, teacher: Teacher, updates: int) -> float:
        """J(π) after ``updates`` more updates for the policy of ``teacher``, in units of discounted return."""
        chosen = act_in_parts(teacher, self.table.next_states)
        table = self.table._replace(next_actions=chosen)
        key = jax.random.fold_in(jax.random.key(self.config.seed), self.state.updates)
        settings = {"algorithm": FITTED, "config": rows_only(self.config)}
        self.state, _ = run(self.state, table, key, updates, **settings)
        return float(apply_critics(self.state.critic, self.starts, teacher.act(self.starts)).mean())


def rows_only(config: TeachConfig) -> TeachConfig:
    """The settings that fitting depends on."""
    return TeachConfig("", batch=config.batch, discount=config.discount, target_rate=config.target_rate)


def act_in_parts(teacher: Teacher, states: Float[Array, "M S"], part: int = 16_384) -> Float[Array, "M A"]:
    """Mean actions of a teacher in many states, some thousand at a time."""
    act = jax.jit(teacher.act)
    padded = jnp.pad(states, ((0, -len(states) % part), (0, 0)))
    found = [act(padded[i : i + part]) for i in range(0, len(padded), part)]
    return jnp.concatenate(found)[: len(states)]
