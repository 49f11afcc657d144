"""IQL: implicit Q-learning (Kostrikov, Nair & Levine, ICLR 2022). It never evaluates actions outside the data.

With L₂^τ(u) = |τ − 1(u < 0)| u²:

    L_V = E L₂^τ( min_j Q̄_j(s, a) − V(s) )                                              (paper's 5)
    L_Q = Σ_j E ( r + γ (1 − d) V(s′) − Q_j(s, a) )²                                    (paper's 6)
    L_π = −E min(e^{β A}, 100) log π(a | s),   A = min_j Q̄_j(s, a) − V(s)               (paper's 7)

π(· | s) is Gaussian with mean tanh f(s) and a standard deviation for each action component that does not depend
on the state. Rewards are scaled so that the returns of the best and the worst episode differ by 1,000; β then has the
same effect on every dataset. The teacher's action values are scaled back.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar, NamedTuple, TypedDict, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.data.transitions import Transitions
from potstill.networks.mlp import Params, apply_critics, apply_mlp, init_mlp, init_stack
from potstill.networks.policy import LOG_STD_RANGE
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_fractions, check_ranges
from potstill.teachers.algorithms.base import Algorithm, Metrics, TeacherParts
from potstill.teachers.algorithms.critics import bootstrap, critic_loss
from potstill.teachers.optimisation import AdamState, initialise_adam, soft_update, take_adam_step, take_single_batch
from potstill.teachers.rows import TrainingRows, TrainingTable
from potstill.teachers.settings import UpdateSettings

HIDDEN = (256, 256)
CRITICS = 2
LARGEST_WEIGHT = 100.0
REWARD_SPAN = 1000.0
OUTPUT_SCALE = 0.01  # factor on the initial output layer of the actor


class IqlActor(TypedDict):
    """The actor's parameters."""

    layers: Params
    """Layers of f(s), the mean before the tanh."""
    log_std: Float[Array, " A"]


class IqlState(NamedTuple):
    """Networks, target critics, optimiser states and the schedule."""

    actor: IqlActor | Params
    """For discrete actions, the layers alone."""
    value: Params
    critics: Params
    target_critics: Params
    optimisers: dict[str, AdamState]
    updates: Float[Array, ""]
    """Updates so far, for the actor's learning rate."""
    horizon: Float[Array, ""]
    """Planned number of updates."""


def find_reward_scale(data: Transitions) -> float:
    """Find the factor on rewards that makes the range of episode returns 1,000."""
    returns = data.episode_returns()
    span = float(returns.max() - returns.min())
    return REWARD_SPAN / span if span > 0.0 else 1.0


def expectile_loss(difference: Float[Array, "*B"], expectile: float) -> Float[Array, "*B"]:
    """L₂^τ of u = ``difference``, with τ = ``expectile``."""
    return jnp.abs(expectile - (difference < 0)) * difference**2


def value_loss(
    value: Params, action_values: Float[Array, " B"], rows: TrainingRows, *, expectile: float
) -> tuple[Float[Array, ""], Metrics]:
    """Equation 5 of the paper, with ``action_values`` = min_j Q̄_j(s, a)."""
    loss = expectile_loss(action_values - apply_mlp(value, rows.states)[..., 0], expectile).mean()
    return loss, {"value_loss": loss}


def actor_loss(
    actor: IqlActor, advantage: Float[Array, " B"], rows: TrainingRows, *, temperature: float
) -> tuple[Float[Array, ""], Metrics]:
    """Equation 7 of the paper, with β = ``temperature``."""
    weight = jnp.minimum(jnp.exp(temperature * advantage), LARGEST_WEIGHT)
    log_std = jnp.clip(actor["log_std"], *LOG_STD_RANGE)
    offset = (rows.actions - jnp.tanh(apply_mlp(actor["layers"], rows.states))) / jnp.exp(log_std)
    log_density = jnp.sum(-0.5 * offset**2 - log_std - 0.5 * jnp.log(2.0 * jnp.pi), axis=-1)
    loss = -jnp.mean(weight * log_density)
    return loss, {"actor_loss": loss}


@check_arguments
@dataclass(frozen=True)
class Iql(Algorithm[IqlState]):
    """Implicit Q-learning.

    The default target rate is four times the usual 0.005. IQL stays stable at this rate because it never evaluates
    its critics at actions outside the data.

    >>> Iql(expectile=0.9).temperature
    3.0
    """

    name: ClassVar[str] = "iql"
    target_rate: ClassVar[float] = 0.02

    _: KW_ONLY

    expectile: float = 0.7
    """τ, the expectile of the action values that the state value estimates. Source: IQL, locomotion."""

    temperature: float = 3.0
    """β, the inverse temperature of the advantage weights. Source: as above."""

    learning_rate: float = 3e-4
    """Learning rate of Adam, for all networks. The actor's decays to 0 by a cosine."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, temperature=0, learning_rate=1e-12)
        check_fractions(self, "expectile")

    def prepare(self, data: Transitions, discount: float) -> TrainingTable:
        """Select all rows, with scaled rewards."""
        return TrainingTable(data, reward_scale=find_reward_scale(data))

    def initialise(self, key: PRNGKeyArray, state_size: int, action_size: int, updates: int) -> IqlState:
        """Initialise actor, value and critics with orthogonal weights."""
        keys = jax.random.split(key, 3)
        *layers, last = init_mlp(keys[0], (state_size, *HIDDEN, action_size))
        last = jax.tree.map(lambda x: OUTPUT_SCALE * x, last)
        actor: IqlActor = {"layers": [*layers, last], "log_std": jnp.zeros(action_size)}
        value = init_mlp(keys[1], (state_size, *HIDDEN, 1))
        critics = init_stack(init_mlp, keys[2], (state_size + action_size, *HIDDEN, 1), CRITICS)
        optimisers = {
            "actor": initialise_adam(actor),
            "value": initialise_adam(value),
            "critics": initialise_adam(critics),
        }
        return IqlState(actor, value, critics, critics, optimisers, jnp.zeros(()), jnp.asarray(float(updates)))

    def compute_actor_loss(
        self, actor: Any, advantage: Float[Array, " B"], rows: TrainingRows
    ) -> tuple[Float[Array, ""], Metrics]:
        """Equation 7 of the paper."""
        return actor_loss(actor, advantage, rows, temperature=self.temperature)

    def update(
        self, state: IqlState, rows: TrainingRows, key: PRNGKeyArray, settings: UpdateSettings
    ) -> tuple[IqlState, Metrics]:
        """Take one step of the value, the actor and the critics, in the reference implementation's order."""
        rows, optimisers, rate = take_single_batch(rows), dict(state.optimisers), self.learning_rate
        action_values = apply_critics(state.target_critics, rows.states, rows.actions, normed=False).min(axis=0)
        next_values = apply_mlp(state.value, rows.next_states)[..., 0]
        advantage = action_values - apply_mlp(state.value, rows.states)[..., 0]
        target = bootstrap(rows, next_values, settings.discount)
        value, optimisers["value"], value_metrics = take_adam_step(
            lambda p: value_loss(p, action_values, rows, expectile=self.expectile),
            state.value,
            optimisers["value"],
            rate,
        )
        actor_rate = 0.5 * rate * (1.0 + jnp.cos(jnp.pi * state.updates / state.horizon))
        actor, optimisers["actor"], actor_metrics = take_adam_step(
            lambda p: self.compute_actor_loss(p, advantage, rows),
            state.actor,
            optimisers["actor"],
            actor_rate,
        )
        critics, optimisers["critics"], critic_metrics = take_adam_step(
            lambda p: critic_loss(p, target, rows, normed=False), state.critics, optimisers["critics"], rate
        )
        target_critics = soft_update(critics, state.target_critics, settings.target_rate)
        metrics = {**critic_metrics, **actor_metrics, **value_metrics}
        return IqlState(actor, value, critics, target_critics, optimisers, state.updates + 1, state.horizon), metrics

    def extract(self, state: IqlState, data: Transitions) -> TeacherParts:
        """Extract the actor, with its log-std as constant outputs, and the critics, scaled back to the data's units."""
        actor = cast(IqlActor, state.actor)
        *layers, last = actor["layers"]
        weight = jnp.concatenate([last["weight"], jnp.zeros_like(last["weight"])], axis=-1)
        bias = jnp.concatenate([last["bias"], actor["log_std"]])
        *hidden, head = state.critics
        head = jax.tree.map(lambda x: x / find_reward_scale(data), head)
        return TeacherParts([*layers, {"weight": weight, "bias": bias}], "gaussian", [*hidden, head], False)
