"""BC: behavioural cloning of the whole dataset, or of its best episodes. Its critics evaluate the cloned policy.

    L_π = E ‖π(s) − a‖²  over the episodes to clone                                     (1, actor)
    L_Q = Σ_j E ( Q_j(s, a) − r − γ (1 − d) min_j Q̄_j(s′, π(s′)) )²  over all           (2, fitted Q)

The actor does not depend on the critics: BC is the baseline of the other teachers. Equation 2 is fitted
Q-evaluation. It provides action values, so that a BC teacher can be distilled like any other.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.data.transitions import Transitions
from potstill.networks.mlp import Params, apply_critics, apply_mlp, init_mlp, init_stack
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_fractions, check_ranges
from potstill.teachers.algorithms.base import Algorithm, Metrics, TeacherParts
from potstill.teachers.algorithms.critics import bootstrap, critic_loss
from potstill.teachers.optimisation import AdamState, initialise_adam, soft_update, take_adam_step, take_single_batch
from potstill.teachers.rows import TrainingRows, TrainingTable
from potstill.teachers.settings import UpdateSettings

HIDDEN = (256, 256, 256)
CRITIC_HIDDEN = (256, 256)
CRITICS = 2


class BcState(NamedTuple):
    """Networks, target critics and optimiser states."""

    actor: Params
    critics: Params
    target_critics: Params
    actor_optimiser: AdamState
    critic_optimiser: AdamState


def select_episodes(data: Transitions, share: float) -> Float[np.ndarray, " E"]:
    """Weights: 1 for the ``share`` of episodes with the highest returns, at least one, and 0 for the others."""
    returns = data.episode_returns()
    weights = np.zeros(len(returns), np.float32)
    weights[np.argsort(-returns, kind="stable")[: max(1, round(share * len(returns)))]] = 1.0
    return weights


def actor_loss(actor: Params, rows: TrainingRows) -> tuple[Float[Array, ""], Metrics]:
    """Equation 1, the mean over the rows to clone."""
    errors = jnp.sum((jnp.tanh(apply_mlp(actor, rows.states)) - rows.actions) ** 2, axis=-1)
    loss = jnp.sum(rows.weights * errors) / jnp.maximum(rows.weights.sum(), 1.0)
    return loss, {"actor_loss": loss}


@check_arguments
@dataclass(frozen=True)
class Bc(Algorithm[BcState]):
    """Behavioural cloning; its critics are fitted to the cloned policy.

    >>> Bc(best_episodes=0.1).target_rate
    0.005
    """

    name: ClassVar[str] = "bc"
    most_updates: ClassVar[int] = 50_000
    patience: ClassVar[int] = 1

    _: KW_ONLY

    best_episodes: float = 1.0
    """Fraction of the episodes to clone, those with the highest returns. 0.1 is common (percentile BC)."""

    learning_rate: float = 3e-4
    """Learning rate of Adam, for actor and critics."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, learning_rate=1e-12)
        check_fractions(self, "best_episodes", one=True)

    def prepare(self, data: Transitions, discount: float) -> TrainingTable:
        """Select all rows. Rows to clone have weight 1, all others 0."""
        return TrainingTable(data, episode_weights=select_episodes(data, self.best_episodes))

    def initialise(self, key: PRNGKeyArray, state_size: int, action_size: int, updates: int) -> BcState:
        """Initialise actor and critics with orthogonal weights."""
        actor_key, critic_key = jax.random.split(key)
        actor = init_mlp(actor_key, (state_size, *HIDDEN, action_size))
        critics = init_stack(init_mlp, critic_key, (state_size + action_size, *CRITIC_HIDDEN, 1), CRITICS)
        return BcState(actor, critics, critics, initialise_adam(actor), initialise_adam(critics))

    def act(self, actor: Params, states: Float[Array, "B S"]) -> Float[Array, "B A"]:
        """The actor's mean actions."""
        return jnp.tanh(apply_mlp(actor, states))

    def compute_actor_loss(self, actor: Params, rows: TrainingRows) -> tuple[Float[Array, ""], Metrics]:
        """Equation 1."""
        return actor_loss(actor, rows)

    def update(
        self, state: BcState, rows: TrainingRows, key: PRNGKeyArray, settings: UpdateSettings
    ) -> tuple[BcState, Metrics]:
        """Take one step of the actor and one of the critics."""
        rows, rate = take_single_batch(rows), self.learning_rate
        actor, actor_optimiser, actor_metrics = take_adam_step(
            lambda p: self.compute_actor_loss(p, rows), state.actor, state.actor_optimiser, rate
        )
        next_actions = self.act(actor, rows.next_states)
        next_values = apply_critics(state.target_critics, rows.next_states, next_actions).min(axis=0)
        target = bootstrap(rows, next_values, settings.discount)
        critics, critic_optimiser, critic_metrics = take_adam_step(
            lambda p: critic_loss(p, target, rows, normed=True), state.critics, state.critic_optimiser, rate
        )
        target_critics = soft_update(critics, state.target_critics, settings.target_rate)
        metrics = {**critic_metrics, **actor_metrics}
        return BcState(actor, critics, target_critics, actor_optimiser, critic_optimiser), metrics

    def extract(self, state: BcState, data: Transitions) -> TeacherParts:
        """Extract the actor and the critics."""
        return TeacherParts(state.actor, "tanh", state.critics, True)
