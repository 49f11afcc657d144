"""ReBRAC: TD3 with behaviour-regularised actor and critic (Tarasov et al., NeurIPS 2023).

With β_π and β_Q the actor's and critic's coefficients, a the dataset's action and a′ its next one:

    y   = r + γ (1 − d) [ min_j Q̄_j(s′, ã) − β_Q ‖ã − a′‖² ],   ã = clip(π̄(s′) + ε)     (1, critic target)
    L_Q = Σ_j E (Q_j(s, a) − y)²                                                        (2, critic)
    L_π = E [ β_π ‖π(s) − a‖² − min_j Q_j(s, π(s)) / E|min_j Q_j(s, π(s))| ]            (3, actor)

The critics have LayerNorm. The actor and the targets are updated at every second update. TD3+BC (Fujimoto &
Gu, NeurIPS 2021) is the special case β_Q = 0, β_π = 0.4 / A, without LayerNorm.

At first the critics are random, and equation 3 divides their small values by their small mean. If most actions of the
data lie at a bound, the actor may then follow the critics to a bound where its tanh has no gradient, and stay there.
With ``cloning_updates``, the second term of equation 3 is left out in the first updates. This is not part of ReBRAC.
"""

from __future__ import annotations

import dataclasses
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.data.blocks import gather
from potstill.data.transitions import Transitions
from potstill.networks.mlp import Params, apply_critics, apply_mlp, init_stack, init_uniform
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonObject
from potstill.runtime.validation import check_ranges
from potstill.teachers.algorithms.base import Algorithm, Metrics, TeacherParts
from potstill.teachers.algorithms.critics import bootstrap, critic_loss
from potstill.teachers.optimisation import AdamState, initialise_adam, soft_update, take_adam_step
from potstill.teachers.rows import TrainingRows, TrainingTable, check_order
from potstill.teachers.settings import UpdateSettings

WIDTH = 256
CRITICS = 2
ACTOR_EVERY = 2  # updates of the critics per update of the actor and the targets
TARGET_NOISE, TARGET_NOISE_CLIP = 0.2, 0.5
CLONING_UPDATES = 1_000  # at first, after a collapse


class RebracState(NamedTuple):
    """Networks, target networks and optimiser states."""

    actor: Params
    critics: Params
    target_actor: Params
    target_critics: Params
    actor_optimiser: AdamState
    critic_optimiser: AdamState


def critic_target(
    target_critics: Params,
    target_actor: Params,
    rows: TrainingRows,
    key: PRNGKeyArray,
    *,
    penalty: float,
    normed: bool,
    discount: float,
) -> Float[Array, " B"]:
    """Equation 1, with ``penalty`` = β_Q, and LayerNorm in the critics if ``normed``."""
    noise = TARGET_NOISE * jax.random.normal(key, rows.actions.shape)
    noise = jnp.clip(noise, -TARGET_NOISE_CLIP, TARGET_NOISE_CLIP)
    actions = jnp.clip(jnp.tanh(apply_mlp(target_actor, rows.next_states)) + noise, -1.0, 1.0)
    distance = jnp.sum((actions - rows.next_actions) ** 2, axis=-1)
    values = apply_critics(target_critics, rows.next_states, actions, normed=normed).min(axis=0)
    return bootstrap(rows, values - penalty * distance, discount)


def actor_loss(
    actor: Params,
    critics: Params,
    rows: TrainingRows,
    *,
    penalty: float,
    normed: bool,
    value_weight: float | Float[Array, ""] = 1.0,
) -> tuple[Float[Array, ""], Metrics]:
    """Equation 3, with ``penalty`` = β_π, and ``value_weight`` before its second term."""
    actions = jnp.tanh(apply_mlp(actor, rows.states))
    distance = jnp.sum((actions - rows.actions) ** 2, axis=-1)
    values = apply_critics(critics, rows.states, actions, normed=normed).min(axis=0)
    scale = jax.lax.stop_gradient(jnp.abs(values).mean())
    loss = jnp.mean(penalty * distance - value_weight * (values / jnp.maximum(scale, 1e-8)))
    return loss, {"actor_loss": loss, "action_distance": distance.mean()}


@check_arguments
@dataclass(frozen=True)
class Rebrac(Algorithm[RebracState]):
    """ReBRAC, for continuous actions. Rows must be in the order of their episodes.

    It is TD3+BC with ``actor_penalty=0.4 / A``, ``critic_penalty=0``, ``layer_norm=False``, ``hidden_layers=2`` and a
    target rate of 0.005.

    The default target rate is ten times the usual 0.005. Values propagate by about one environment step in the 1 / τ
    updates in which a target network catches up; at 0.005, the critics' values rise for some 100,000 updates. The
    penalties and LayerNorm keep ReBRAC stable at the higher rate.

    >>> Rebrac(actor_penalty=0.1).critic_penalty
    0.5
    """

    name: ClassVar[str] = "rebrac"
    batches: ClassVar[int] = ACTOR_EVERY
    target_rate: ClassVar[float] = 0.05
    most_updates: ClassVar[int] = 50_000
    patience: ClassVar[int] = 1

    _: KW_ONLY

    actor_penalty: float = 0.05
    """β_π, weight of the squared distance between the policy's and the data's actions. Source: ReBRAC,
    hopper-medium-replay."""

    critic_penalty: float = 0.5
    """β_Q, weight of the same distance in the critic's target. Source: as above."""

    layer_norm: bool = True
    """Whether LayerNorm follows each hidden layer of the critics."""

    hidden_layers: int = 3
    """The number of hidden layers, of 256 units each, in the actor and in the critics."""

    learning_rate: float = 1e-3
    """Learning rate of Adam, for actor and critics."""

    cloning_updates: int = 0
    """Number of first updates in which the actor only clones the data's actions. If the actor collapses to a bound, the
    training starts again with 1,000."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, actor_penalty=0, critic_penalty=0, hidden_layers=1, learning_rate=1e-12, cloning_updates=0)

    def to_metadata(self) -> JsonObject:
        """The fields, except ``cloning_updates`` if it is 0, as in version 0.1."""
        fields = super().to_metadata()
        return fields if self.cloning_updates else {k: v for k, v in fields.items() if k != "cloning_updates"}

    def adapt_to_collapse(self) -> Rebrac | None:
        """Make the same algorithm with 1,000 first updates of cloning, unless it has some already."""
        return None if self.cloning_updates else dataclasses.replace(self, cloning_updates=CLONING_UPDATES)

    def prepare(self, data: Transitions, discount: float) -> TrainingTable:
        """Select the rows whose next action is known, which excludes the last row of a truncated episode."""
        check_order(data, "rebrac")
        ends = np.flatnonzero(data.episode_ends)
        (truncated,) = gather([data.truncations], ends)
        return TrainingTable(data, excluded=ends[truncated])

    def initialise(self, key: PRNGKeyArray, state_size: int, action_size: int, updates: int) -> RebracState:
        """Initialise actor and critics, with targets equal to them."""
        hidden = [WIDTH] * self.hidden_layers
        actor_key, critic_key = jax.random.split(key)
        actor = init_uniform(actor_key, (state_size, *hidden, action_size))
        critics = init_stack(init_uniform, critic_key, (state_size + action_size, *hidden, 1), CRITICS)
        return RebracState(actor, critics, actor, critics, initialise_adam(actor), initialise_adam(critics))

    def update(
        self, state: RebracState, rows: TrainingRows, key: PRNGKeyArray, settings: UpdateSettings
    ) -> tuple[RebracState, Metrics]:
        """Take two steps of the critics, each on its own batch, and one of the actor."""
        for i, part in enumerate(jax.random.split(key, ACTOR_EVERY)):
            batch: TrainingRows = jax.tree.map(lambda column: column[i], rows)  # noqa: B023
            state, critic_metrics = self._update_critics(state, batch, part, settings.discount)
        state, actor_metrics = self._update_actor(state, batch, settings.target_rate)
        return state, {**critic_metrics, **actor_metrics}

    def _update_critics(
        self, state: RebracState, rows: TrainingRows, key: PRNGKeyArray, discount: float
    ) -> tuple[RebracState, Metrics]:
        target = critic_target(
            state.target_critics,
            state.target_actor,
            rows,
            key,
            penalty=self.critic_penalty,
            normed=self.layer_norm,
            discount=discount,
        )
        critics, optimiser, metrics = take_adam_step(
            lambda p: critic_loss(p, target, rows, normed=self.layer_norm),
            state.critics,
            state.critic_optimiser,
            self.learning_rate,
        )
        return state._replace(critics=critics, critic_optimiser=optimiser), metrics

    def _update_actor(self, state: RebracState, rows: TrainingRows, target_rate: float) -> tuple[RebracState, Metrics]:
        """One step of the actor and of all targets."""
        options: dict[str, Any] = {"penalty": self.actor_penalty, "normed": self.layer_norm}
        if self.cloning_updates:
            done = state.actor_optimiser[0].count * ACTOR_EVERY
            options["value_weight"] = (done >= self.cloning_updates).astype(jnp.float32)
        actor, optimiser, metrics = take_adam_step(
            lambda p: actor_loss(p, state.critics, rows, **options),
            state.actor,
            state.actor_optimiser,
            self.learning_rate,
        )
        state = state._replace(
            actor=actor,
            target_actor=soft_update(actor, state.target_actor, target_rate),
            target_critics=soft_update(state.critics, state.target_critics, target_rate),
            actor_optimiser=optimiser,
        )
        return state, metrics

    def extract(self, state: RebracState, data: Transitions) -> TeacherParts:
        """Extract the actor and both critics."""
        return TeacherParts(state.actor, "tanh", state.critics, self.layer_norm)
