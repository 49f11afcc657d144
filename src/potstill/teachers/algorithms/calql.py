"""Cal-QL: calibrated conservative Q-learning (Nakamoto et al., NeurIPS 2023), and CQL (Kumar et al., 2020).

With K actions each from U(−1, 1), π(· | s) and π(· | s′), p their densities, and G the discounted
return that the data's episode still earned:

    y   = r + γ (1 − d) min_j Q̄_j(s′, a′),   a′ ~ π(· | s′)                             (1, critic target)
    C_j = log Σ_{3K actions} exp( max(Q_j(s, ã), G) − log p(ã) ) − Q_j(s, a)            (2, conservative term)
    L_Q = Σ_j E [ (Q_j(s, a) − y)² + α C_j ]                                            (3, critic)

The maximum with G is the calibration; it spares the uniform actions, and CQL does without it. The actor
is the entropy-regularised one of :mod:`potstill.teachers.algorithms.gaussian`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.config import Settings
from potstill.data.transitions import Transitions
from potstill.networks.mlp import Params, apply_critics, init_mlp, init_stack
from potstill.teachers.algorithms import gaussian
from potstill.teachers.algorithms.gaussian import State, draw
from potstill.teachers.algorithms.values import bootstrapped, squared_errors
from potstill.teachers.rows import Rows, Table, discounted_returns, need_order
from potstill.teachers.training import Algorithm, Figures, cut, first

ACTOR_HIDDEN = (256, 256, 256)
CRITIC_HIDDEN = (256, 256)
CRITICS = 2
PIECES = 8  # of a batch, whose critics' activations then stay in the processor's cache
LOG_STD_OFFSET = 1.0  # the reference starts its policies with log σ lower by this


def prepare(data: Transitions, settings: Settings) -> Table:
    """All rows; calibration needs their order, for the returns."""
    if not settings.own.calibrated:
        return Table(data)
    need_order(data, "cal-ql")
    return Table(data, returns=discounted_returns(data, settings.discount))


def begin(key: PRNGKeyArray, state_size: int, action_size: int, settings: Settings, updates: int) -> State:
    """Fresh networks, orthogonal."""
    actor_key, critic_key = jax.random.split(key)
    *hidden, last = init_mlp(actor_key, (state_size, *ACTOR_HIDDEN, 2 * action_size))
    last["bias"] = last["bias"].at[action_size:].add(-LOG_STD_OFFSET)
    critics = init_stack(init_mlp, critic_key, (state_size + action_size, *CRITIC_HIDDEN, 1), CRITICS)
    return gaussian.begin([*hidden, last], critics)


class Drawn(NamedTuple):
    """D = 3 K actions for each state, their log-densities, and the least value each may be given."""

    actions: Float[Array, "B D A"]
    log_densities: Float[Array, "B D"]
    floors: Float[Array, "B D"]


def draw_actions(actor: Params, rows: Rows, key: PRNGKeyArray, settings: Settings) -> Drawn:
    """The actions of equation 2."""
    count, size = settings.own.actions, rows.actions.shape[-1]
    keys = jax.random.split(key, 3)
    uniform = jax.random.uniform(keys[0], (count, *rows.actions.shape), minval=-1.0, maxval=1.0)
    here, density_here = draw(actor, rows.states, keys[1], count)
    there, density_there = draw(actor, rows.next_states, keys[2], count)
    density = jnp.full(density_here.shape, -size * jnp.log(2.0))
    unbounded = jnp.full(density.shape, -jnp.inf)
    floor = jnp.broadcast_to(rows.returns, density.shape) if settings.own.calibrated else unbounded
    joined = ([uniform, here, there], [density, density_here, density_there], [unbounded, floor, floor])
    return Drawn(*(jnp.swapaxes(jnp.concatenate(parts), 0, 1) for parts in joined))


def conservative(critics: Params, values: Float[Array, "C B"], drawn: Drawn, rows: Rows) -> Float[Array, "C B"]:
    """Equation 2, with ``values`` = Q_j(s, a)."""
    batch, count, size = drawn.actions.shape
    states = jnp.repeat(rows.states, count, axis=0)  # one flat axis: the products are faster than with two
    found = apply_critics(critics, states, drawn.actions.reshape(-1, size), normed=False)
    elsewhere = jnp.maximum(found.reshape(-1, batch, count), drawn.floors)
    return jax.nn.logsumexp(elsewhere - drawn.log_densities, axis=-1) - values


def critic_loss(
    critics: Params, target: Float[Array, " B"], drawn: Drawn, rows: Rows, settings: Settings
) -> tuple[Float[Array, ""], Figures]:
    """Equation 3."""
    values = apply_critics(critics, rows.states, rows.actions, normed=False)
    penalty = conservative(critics, values, drawn, rows)
    errors, figures = squared_errors(values, target)
    loss = errors + settings.own.alpha * jnp.sum(jnp.mean(penalty, axis=-1))
    return loss, {**figures, "conservative": penalty.mean()}


def update(state: State, rows: Rows, key: PRNGKeyArray, settings: Settings) -> tuple[State, Figures]:
    """One step of the actor, its entropy's weight, the critics and their targets."""
    rows, old_actor = first(rows), state.actor
    actor_key, target_key, drawn_key = jax.random.split(key, 3)
    state, of_actor = gaussian.update_actor(state, rows, actor_key, settings.own.policy_learning_rate)
    chosen, _ = draw(old_actor, rows.next_states, target_key, 1)
    values = apply_critics(state.target_critics, rows.next_states, chosen[0], normed=False).min(axis=0)
    target = bootstrapped(rows, values, settings.discount)
    drawn = draw_actions(old_actor, rows, drawn_key, settings)
    state, of_critics = gaussian.update_critics(
        state,
        lambda p, piece: critic_loss(p, piece[0], piece[1], piece[2], settings),
        settings,
        cut((target, drawn, rows), PIECES),
    )
    return state, {**of_critics, **of_actor}


ALGORITHM = Algorithm("cal-ql", prepare, begin, update, gaussian.parts)
