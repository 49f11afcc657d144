"""BC: behavioural cloning of the whole dataset, or of its best episodes; its critics value that policy.

    L_π = E ‖π(s) − a‖²  over the episodes to clone                                     (1, actor)
    L_Q = Σ_j E ( Q_j(s, a) − r − γ (1 − d) min_j Q̄_j(s′, π(s′)) )²  over all           (2, fitted Q)

The actor never sees the critics: it is the baseline that every teacher must pass. Its action values
(equation 2 is fitted Q-evaluation) make it a teacher like the others.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import Settings
from potstill.data.transitions import Transitions
from potstill.networks.mlp import Params, apply_critics, apply_mlp, init_mlp, init_stack
from potstill.teachers.algorithms.values import bootstrapped, critic_loss
from potstill.teachers.rows import Rows, Table
from potstill.teachers.training import Algorithm, Figures, Parts, begin_adam, descend, first, follow

HIDDEN = (256, 256, 256)
CRITIC_HIDDEN = (256, 256)
CRITICS = 2


class State(NamedTuple):
    """Networks, the critics' slowly moving copies, and optimiser states."""

    actor: Params
    critics: Params
    target_critics: Params
    actor_optimiser: Any
    critic_optimiser: Any


def best_episodes(data: Transitions, share: float) -> Float[np.ndarray, " E"]:
    """1 for the ``share`` of episodes with the highest returns, at least one; 0 for the others."""
    returns = data.episode_returns()
    weights = np.zeros(len(returns), np.float32)
    weights[np.argsort(-returns, kind="stable")[: max(1, round(share * len(returns)))]] = 1.0
    return weights


def prepare(data: Transitions, settings: Settings) -> Table:
    """All rows, those to clone with weight 1."""
    return Table(data, episode_weights=best_episodes(data, settings.own.best_episodes))


def begin(key: PRNGKeyArray, state_size: int, action_size: int, settings: Settings, updates: int) -> State:
    """Fresh networks."""
    actor_key, critic_key = jax.random.split(key)
    actor = init_mlp(actor_key, (state_size, *HIDDEN, action_size))
    critics = init_stack(init_mlp, critic_key, (state_size + action_size, *CRITIC_HIDDEN, 1), CRITICS)
    return State(actor, critics, critics, begin_adam(actor), begin_adam(critics))


def actor_loss(actor: Params, rows: Rows) -> tuple[Float[Array, ""], Figures]:
    """Equation 1, the mean over the rows to clone."""
    errors = jnp.sum((jnp.tanh(apply_mlp(actor, rows.states)) - rows.actions) ** 2, axis=-1)
    loss = jnp.sum(rows.weights * errors) / jnp.maximum(rows.weights.sum(), 1.0)
    return loss, {"actor_loss": loss}


def update(state: State, rows: Rows, key: PRNGKeyArray, settings: Settings) -> tuple[State, Figures]:
    """One step of the actor and one of its critics."""
    rows, rate = first(rows), settings.own.learning_rate
    actor, actor_optimiser, of_actor = descend(lambda p: actor_loss(p, rows), state.actor, state.actor_optimiser, rate)
    chosen = jnp.tanh(apply_mlp(actor, rows.next_states))
    values = apply_critics(state.target_critics, rows.next_states, chosen).min(axis=0)
    target = bootstrapped(rows, values, settings.discount)
    critics, critic_optimiser, of_critics = descend(
        lambda p: critic_loss(p, target, rows, normed=True), state.critics, state.critic_optimiser, rate
    )
    target_critics = follow(critics, state.target_critics, settings)
    return State(actor, critics, target_critics, actor_optimiser, critic_optimiser), {**of_critics, **of_actor}


def parts(state: State, data: Transitions, settings: Settings) -> Parts:
    """The actor and its critics."""
    return Parts(state.actor, "tanh", state.critics, True)


ALGORITHM = Algorithm("bc", prepare, begin, update, parts)
