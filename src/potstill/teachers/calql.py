"""Cal-QL: calibrated conservative Q-learning (Nakamoto et al., NeurIPS 2023), and CQL (Kumar et al., 2020).

With K actions each from U(−1, 1), π(· | s) and π(· | s′), p their densities, and G the discounted
return that the data's episode still earned:

    y   = r + γ (1 − d) min_j Q̄_j(s′, a′),   a′ ~ π(· | s′)                             (1, critic target)
    C_j = log Σ_{3K actions} exp( max(Q_j(s, ã), G) − log p(ã) ) − Q_j(s, a)            (2, conservative term)
    L_Q = Σ_j E [ (Q_j(s, a) − y)² + α C_j ]                                            (3, critic)
    L_π = E [ w log π(ã | s) − min_j Q_j(s, ã) ],   ã ~ π(· | s)                        (4, actor)

The maximum with G is the calibration; it spares the uniform actions, and CQL does without it. w, the
entropy's weight, keeps the policy's entropy near −A.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import TeachConfig
from potstill.networks import Params, apply_critics, init_mlp, init_stack
from potstill.teachers import rows as rows_
from potstill.teachers.gaussian import draw, entropy_loss, lower_log_std
from potstill.teachers.rows import Rows
from potstill.teachers.training import Algorithm, Figures, Parts, begin_adam, descend, first, follow
from potstill.types import Transitions

ACTOR_HIDDEN = (256, 256, 256)
CRITIC_HIDDEN = (256, 256)
CRITICS = 2
LOG_STD_OFFSET = 1.0  # the reference starts its policies with log σ lower by this


class State(NamedTuple):
    """Networks, the critics' slowly moving copies, the entropy's weight, and optimiser states."""

    actor: Params
    critics: Params
    target_critics: Params
    log_weight: Array
    optimisers: dict[str, Any]


def prepare(data: Transitions, config: TeachConfig) -> Rows:
    """All rows; calibration needs their order, for the returns."""
    if config.cal_ql.calibrated:
        rows_.need_order(data, "cal-ql")
    return rows_.prepare(data, config.discount)


def begin(key: PRNGKeyArray, state_size: int, action_size: int, config: TeachConfig) -> State:
    """Fresh networks, orthogonal."""
    actor_key, critic_key = jax.random.split(key)
    actor = lower_log_std(init_mlp(actor_key, (state_size, *ACTOR_HIDDEN, 2 * action_size)), LOG_STD_OFFSET)
    critics = init_stack(init_mlp, critic_key, (state_size + action_size, *CRITIC_HIDDEN, 1), CRITICS)
    weight = jnp.zeros(())
    optimisers = {"actor": begin_adam(actor), "critics": begin_adam(critics), "weight": begin_adam(weight)}
    return State(actor, critics, critics, weight, optimisers)


class Drawn(NamedTuple):
    """3 K actions for each state, their log-densities, and the least value each may be given."""

    actions: Float[Array, "D B A"]
    log_densities: Float[Array, "D B"]
    floors: Float[Array, "D B"]


def draw_actions(actor: Params, rows: Rows, key: PRNGKeyArray, config: TeachConfig) -> Drawn:
    """The actions of equation 2."""
    count, size = config.cal_ql.actions, rows.actions.shape[-1]
    keys = jax.random.split(key, 3)
    uniform = jax.random.uniform(keys[0], (count, *rows.actions.shape), minval=-1.0, maxval=1.0)
    here, density_here = draw(actor, rows.states, keys[1], count)
    there, density_there = draw(actor, rows.next_states, keys[2], count)
    density = jnp.full(density_here.shape, -size * jnp.log(2.0))
    unbounded = jnp.full(density.shape, -jnp.inf)
    floor = jnp.broadcast_to(rows.returns, density.shape) if config.cal_ql.calibrated else unbounded
    return Drawn(
        jnp.concatenate([uniform, here, there]),
        jnp.concatenate([density, density_here, density_there]),
        jnp.concatenate([unbounded, floor, floor]),
    )


def conservative(critics: Params, values: Float[Array, "C B"], drawn: Drawn, rows: Rows) -> Float[Array, "C B"]:
    """Equation 2, with ``values`` = Q_j(s, a)."""
    states = jnp.broadcast_to(rows.states, (*drawn.actions.shape[:-1], rows.states.shape[-1]))
    elsewhere = jnp.maximum(apply_critics(critics, states, drawn.actions, normed=False), drawn.floors)
    return jax.nn.logsumexp(elsewhere - drawn.log_densities, axis=1) - values


def critic_loss(
    critics: Params, target: Float[Array, " B"], drawn: Drawn, rows: Rows, config: TeachConfig
) -> tuple[Float[Array, ""], Figures]:
    """Equation 3."""
    values = apply_critics(critics, rows.states, rows.actions, normed=False)
    penalty = conservative(critics, values, drawn, rows)
    errors = jnp.sum(jnp.mean((values - target) ** 2, axis=-1))
    loss = errors + config.cal_ql.alpha * jnp.sum(jnp.mean(penalty, axis=-1))
    return loss, {"critic_loss": loss, "value": values.mean(), "conservative": penalty.mean()}


def actor_loss(
    actor: Params, critics: Params, weight: Float[Array, ""], rows: Rows, key: PRNGKeyArray
) -> tuple[Float[Array, ""], Any]:
    """Equation 4; also returns the log-densities."""
    chosen, density = draw(actor, rows.states, key, 1)
    values = apply_critics(critics, rows.states, chosen[0], normed=False).min(axis=0)
    loss = jnp.mean(weight * density[0] - values)
    return loss, (density[0], {"actor_loss": loss, "entropy": -density.mean()})


def update(state: State, rows: Rows, key: PRNGKeyArray, config: TeachConfig) -> tuple[State, Figures]:
    """One step of the entropy's weight, the actor, the critics and their targets."""
    rows, optimisers, settings = first(rows), dict(state.optimisers), config.cal_ql
    actor_key, target_key, drawn_key = jax.random.split(key, 3)
    old_actor, rate = state.actor, settings.policy_learning_rate
    weight = jnp.exp(state.log_weight)
    actor, optimisers["actor"], (density, of_actor) = descend(
        lambda p: actor_loss(p, state.critics, weight, rows, actor_key), old_actor, optimisers["actor"], rate
    )
    log_weight, optimisers["weight"], _ = descend(
        lambda w: (entropy_loss(w, density, rows.actions.shape[-1]), None),
        state.log_weight,
        optimisers["weight"],
        rate,
    )
    chosen, _ = draw(old_actor, rows.next_states, target_key, 1)
    values = apply_critics(state.target_critics, rows.next_states, chosen[0], normed=False).min(axis=0)
    target = rows.rewards + config.discount * rows.alive * values
    drawn = draw_actions(old_actor, rows, drawn_key, config)
    critics, optimisers["critics"], of_critics = descend(
        lambda p: critic_loss(p, target, drawn, rows, config),
        state.critics,
        optimisers["critics"],
        settings.learning_rate,
    )
    target_critics = follow(critics, state.target_critics, config)
    return State(actor, critics, target_critics, log_weight, optimisers), {**of_critics, **of_actor}


def parts(state: State, data: Transitions, config: TeachConfig) -> Parts:
    """The actor and both critics."""
    return Parts(state.actor, "tanh_gaussian", state.critics, False)


ALGORITHM = Algorithm("cal-ql", prepare, begin, update, parts)
