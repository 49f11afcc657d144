"""Cal-QL: calibrated conservative Q-learning (Nakamoto et al., NeurIPS 2023), and CQL (Kumar et al., 2020).

With K actions each from U(−1, 1), π(· | s) and π(· | s′), p their densities, and G the discounted
return of the recorded episode from s on:

    y   = r + γ (1 − d) min_j Q̄_j(s′, a′),   a′ ~ π(· | s′)                             (1, critic target)
    C_j = log Σ_{3K actions} exp( max(Q_j(s, ã), G) − log p(ã) ) − Q_j(s, a)            (2, conservative term)
    L_Q = Σ_j E [ (Q_j(s, a) − y)² + α C_j ]                                            (3, critic)

The maximum with G is the calibration. It does not apply to the uniform actions, and CQL omits it. The actor
is the entropy-regularised one of :mod:`potstill.teachers.algorithms.gaussian`.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.data.transitions import Transitions
from potstill.networks.mlp import Params, apply_critics, init_mlp, init_stack
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.teachers.algorithms import gaussian
from potstill.teachers.algorithms.base import Algorithm, Metrics, TeacherParts
from potstill.teachers.algorithms.critics import bootstrap, squared_errors
from potstill.teachers.algorithms.gaussian import GaussianState, sample_actions
from potstill.teachers.optimisation import split_batch, take_single_batch
from potstill.teachers.rows import TrainingRows, TrainingTable, check_order, discounted_returns
from potstill.teachers.settings import UpdateSettings

ACTOR_HIDDEN = (256, 256, 256)
CRITIC_HIDDEN = (256, 256)
CRITICS = 2
PIECES = 8  # pieces of a batch, so that the critics' activations of a piece fit in the CPU's cache
LOG_STD_OFFSET = 1.0  # the reference implementation subtracts this from the initial log σ of its policies


class ProposedActions(NamedTuple):
    """D = 3 K actions for each state, their log-densities, and the lower bounds of their values."""

    actions: Float[Array, "B D A"]
    log_densities: Float[Array, "B D"]
    floors: Float[Array, "B D"]


def propose_actions(
    actor: Params, rows: TrainingRows, key: PRNGKeyArray, *, count: int, calibrated: bool
) -> ProposedActions:
    """Sample the actions of equation 2, with K = ``count``."""
    size = rows.actions.shape[-1]
    keys = jax.random.split(key, 3)
    uniform = jax.random.uniform(keys[0], (count, *rows.actions.shape), minval=-1.0, maxval=1.0)
    here, density_here = sample_actions(actor, rows.states, keys[1], count)
    there, density_there = sample_actions(actor, rows.next_states, keys[2], count)
    density = jnp.full(density_here.shape, -size * jnp.log(2.0))
    unbounded = jnp.full(density.shape, -jnp.inf)
    floor = jnp.broadcast_to(rows.returns, density.shape) if calibrated else unbounded
    joined = ([uniform, here, there], [density, density_here, density_there], [unbounded, floor, floor])
    return ProposedActions(*(jnp.swapaxes(jnp.concatenate(parts), 0, 1) for parts in joined))


def conservative_term(
    critics: Params, values: Float[Array, "C B"], proposed: ProposedActions, rows: TrainingRows
) -> Float[Array, "C B"]:
    """Equation 2, with ``values`` = Q_j(s, a)."""
    batch, count, size = proposed.actions.shape
    states = jnp.repeat(rows.states, count, axis=0)  # one flat axis makes the matrix products faster
    found = apply_critics(critics, states, proposed.actions.reshape(-1, size), normed=False)
    elsewhere = jnp.maximum(found.reshape(-1, batch, count), proposed.floors)
    return jax.nn.logsumexp(elsewhere - proposed.log_densities, axis=-1) - values


def critic_loss(
    critics: Params, target: Float[Array, " B"], proposed: ProposedActions, rows: TrainingRows, *, alpha: float
) -> tuple[Float[Array, ""], Metrics]:
    """Equation 3, with α = ``alpha``."""
    values = apply_critics(critics, rows.states, rows.actions, normed=False)
    penalty = conservative_term(critics, values, proposed, rows)
    errors, metrics = squared_errors(values, target)
    loss = errors + alpha * jnp.sum(jnp.mean(penalty, axis=-1))
    return loss, {**metrics, "conservative": penalty.mean()}


@check_arguments
@dataclass(frozen=True)
class CalQl(Algorithm[GaussianState]):
    """Cal-QL. With ``calibrated=False`` it is CQL.

    >>> CalQl(calibrated=False).alpha
    10.0
    """

    name: ClassVar[str] = "cal-ql"

    _: KW_ONLY

    calibrated: bool = True
    """Bound the values of the policy's actions from below by the data's returns (Cal-QL, not CQL)."""

    alpha: float = 10.0
    """α, weight of the conservative term. Source: CORL's Cal-QL."""

    actions: int = 10
    """K, the number of actions from each of three sources: uniform, the policy in s, the policy in s′."""

    policy_learning_rate: float = 3e-5
    """Learning rate of Adam, for the actor and the entropy weight."""

    learning_rate: float = 3e-4
    """Learning rate of Adam, for the critics."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, alpha=0, actions=1, policy_learning_rate=1e-12, learning_rate=1e-12)

    def prepare(self, data: Transitions, discount: float) -> TrainingTable:
        """Select all rows. Calibration uses returns and therefore requires rows in the order of their episodes."""
        if not self.calibrated:
            return TrainingTable(data)
        check_order(data, "cal-ql")
        return TrainingTable(data, returns=discounted_returns(data, discount))

    def initialise(self, key: PRNGKeyArray, state_size: int, action_size: int, updates: int) -> GaussianState:
        """Initialise actor and critics with orthogonal weights."""
        actor_key, critic_key = jax.random.split(key)
        *hidden, last = init_mlp(actor_key, (state_size, *ACTOR_HIDDEN, 2 * action_size))
        last["bias"] = last["bias"].at[action_size:].add(-LOG_STD_OFFSET)
        critics = init_stack(init_mlp, critic_key, (state_size + action_size, *CRITIC_HIDDEN, 1), CRITICS)
        return gaussian.initialise_state([*hidden, last], critics)

    def update(
        self, state: GaussianState, rows: TrainingRows, key: PRNGKeyArray, settings: UpdateSettings
    ) -> tuple[GaussianState, Metrics]:
        """Take one step of the actor, its entropy weight, the critics and their targets."""
        rows, old_actor = take_single_batch(rows), state.actor
        actor_key, target_key, proposal_key = jax.random.split(key, 3)
        state, actor_metrics = gaussian.update_actor(state, rows, actor_key, self.policy_learning_rate)
        next_actions, _ = sample_actions(old_actor, rows.next_states, target_key, 1)
        values = apply_critics(state.target_critics, rows.next_states, next_actions[0], normed=False).min(axis=0)
        target = bootstrap(rows, values, settings.discount)
        proposed = propose_actions(old_actor, rows, proposal_key, count=self.actions, calibrated=self.calibrated)
        state, critic_metrics = gaussian.update_critics(
            state,
            lambda p, piece: critic_loss(p, *piece, alpha=self.alpha),
            self.learning_rate,
            settings.target_rate,
            split_batch((target, proposed, rows), PIECES),
        )
        return state, {**critic_metrics, **actor_metrics}

    def extract(self, state: GaussianState, data: Transitions) -> TeacherParts:
        """Extract the actor and all critics."""
        return gaussian.extract_teacher(state)
