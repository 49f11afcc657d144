"""BC, IQL and Cal-QL for finite sets of actions.

The policy is π(a | s) = softmax f(s)_a, and a critic Q_j has an output for each action. Expectations over actions are
sums, so nothing is sampled. The settings are those of the continuous algorithms.

BC      L_π = −E log π(a | s) over the episodes to clone. The critics are fitted with
        V(s′) = min_j Σ_a π(a | s′) Q̄_j(s′, a).
IQL     as for continuous actions, with log π(a | s) of the softmax.
Cal-QL  with G the discounted return of the recorded episode from s on, and CQL without the maximum with G:

            y   = r + γ (1 − d) Σ_a π(a | s′) min_j Q̄_j(s′, a)                          (1, critic target)
            C_j = log Σ_a exp max(Q_j(s, a), G) − Q_j(s, a)                             (2, conservative term)
            L_Q = Σ_j E [ (Q_j(s, a) − y)² + α C_j ]                                    (3, critic)
            L_π = E Σ_a π(a | s) [ w log π(a | s) − min_j Q_j(s, a) ]                   (4, actor)

        The sum in (2) has all actions, where the continuous algorithm samples some. w is raised while the policy's
        entropy is below a tenth of that of uniformly random actions, and lowered while it is above. Source of (2) for
        finite sets: Kumar et al. 2020; of (4): Christodoulou 2019 (arXiv 1910.07207).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, NamedTuple, TypeVar, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.data.transitions import Transitions
from potstill.errors import PotstillError
from potstill.networks.mlp import Params, apply_mlp, compute_critic_outputs, init_mlp, init_stack
from potstill.runtime.arguments import check_arguments
from potstill.teachers.algorithms import bc, cal_ql, gaussian, iql
from potstill.teachers.algorithms.base import Algorithm, Metrics, TeacherParts
from potstill.teachers.algorithms.bc import Bc, BcState
from potstill.teachers.algorithms.cal_ql import CalQl
from potstill.teachers.algorithms.critics import bootstrap, squared_errors
from potstill.teachers.algorithms.gaussian import GaussianState
from potstill.teachers.algorithms.iql import Iql, IqlState
from potstill.teachers.optimisation import initialise_adam, take_adam_step, take_single_batch
from potstill.teachers.rows import TrainingRows
from potstill.teachers.settings import UpdateSettings

Form = TypeVar("Form", bound="Discrete")
ENTROPY = 0.1  # of Cal-QL's policy, as a fraction of log A


def fit_to_actions(algorithm: Algorithm[Any], *, discrete: bool) -> Algorithm[Any]:
    """Return the form of an algorithm for discrete or continuous actions, with the same settings.

    Raises:
        PotstillError: the algorithm has no such form.

    >>> fit_to_actions(Bc(best_episodes=0.1), discrete=True)
    DiscreteBc(best_episodes=0.1, learning_rate=0.0003)
    """
    form = FORMS.get(type(algorithm))
    if discrete and form is not None:
        return form(**asdict(algorithm))
    return algorithm.fit_to_actions(discrete=discrete)


class Discrete:
    """What the forms for discrete actions have in common."""

    name: ClassVar[str]

    def fit_to_actions(self: Form, *, discrete: bool) -> Form:
        """Return this algorithm.

        Raises:
            PotstillError: actions are continuous.
        """
        if not discrete:
            raise PotstillError(f"{type(self).__name__} learns discrete actions, but those of the data are continuous")
        return self


def measure_log_likelihood(actor: Params, rows: TrainingRows) -> Float[Array, " B"]:
    """Log π(a | s) of the data's actions, which are vectors with a single 1."""
    return jnp.sum(rows.actions * jax.nn.log_softmax(apply_mlp(actor, rows.states)), axis=-1)


def clone_loss(actor: Params, rows: TrainingRows) -> tuple[Float[Array, ""], Metrics]:
    """BC: the mean of −log π(a | s) over the rows to clone."""
    loss = -jnp.sum(rows.weights * measure_log_likelihood(actor, rows)) / jnp.maximum(rows.weights.sum(), 1.0)
    return loss, {"actor_loss": loss}


def weighted_loss(
    actor: Params, advantage: Float[Array, " B"], rows: TrainingRows, *, temperature: float
) -> tuple[Float[Array, ""], Metrics]:
    """IQL: the mean of −min(e^{β A}, 100) log π(a | s), with β = ``temperature``."""
    weight = jnp.minimum(jnp.exp(temperature * advantage), iql.LARGEST_WEIGHT)
    loss = -jnp.mean(weight * measure_log_likelihood(actor, rows))
    return loss, {"actor_loss": loss}


def init_critics(key: PRNGKeyArray, state_size: int, action_size: int, hidden: tuple[int, ...], count: int) -> Params:
    """Initialise critics with an output for each action."""
    return init_stack(init_mlp, key, (state_size, *hidden, action_size), count)


def compute_values(critics: Params, states: Float[Array, "B S"]) -> Float[Array, "C B A"]:
    """Q_j(s, a) of all critics and all actions."""
    return jax.vmap(lambda one: compute_critic_outputs(one, states, normed=False))(critics)


@check_arguments
@dataclass(frozen=True)
class DiscreteBc(Discrete, Bc):
    """Behavioural cloning of discrete actions."""

    def initialise(self, key: PRNGKeyArray, state_size: int, action_size: int, updates: int) -> BcState:
        """Initialise actor and critics with orthogonal weights."""
        actor_key, critic_key = jax.random.split(key)
        actor = init_mlp(actor_key, (state_size, *bc.HIDDEN, action_size))
        critics = init_critics(critic_key, state_size, action_size, bc.CRITIC_HIDDEN, bc.CRITICS)
        return BcState(actor, critics, critics, initialise_adam(actor), initialise_adam(critics))

    def act(self, actor: Params, states: Float[Array, "B S"]) -> Float[Array, "B A"]:
        """The probabilities of the actions."""
        return jax.nn.softmax(apply_mlp(actor, states))

    def compute_actor_loss(self, actor: Params, rows: TrainingRows) -> tuple[Float[Array, ""], Metrics]:
        """The cross-entropy of the data's actions."""
        return clone_loss(actor, rows)

    def extract(self, state: BcState, data: Transitions) -> TeacherParts:
        """Extract the actor and the critics."""
        return TeacherParts(state.actor, "softmax", state.critics, True)


@check_arguments
@dataclass(frozen=True)
class DiscreteIql(Discrete, Iql):
    """Implicit Q-learning with discrete actions."""

    def initialise(self, key: PRNGKeyArray, state_size: int, action_size: int, updates: int) -> IqlState:
        """Initialise actor, value and critics with orthogonal weights."""
        keys = jax.random.split(key, 3)
        *layers, last = init_mlp(keys[0], (state_size, *iql.HIDDEN, action_size))
        actor: Params = [*layers, jax.tree.map(lambda x: iql.OUTPUT_SCALE * x, last)]
        value = init_mlp(keys[1], (state_size, *iql.HIDDEN, 1))
        critics = init_critics(keys[2], state_size, action_size, iql.HIDDEN, iql.CRITICS)
        networks = {"actor": actor, "value": value, "critics": critics}
        optimisers = {name: initialise_adam(network) for name, network in networks.items()}
        return IqlState(actor, value, critics, critics, optimisers, jnp.zeros(()), jnp.asarray(float(updates)))

    def compute_actor_loss(
        self, actor: Params, advantage: Float[Array, " B"], rows: TrainingRows
    ) -> tuple[Float[Array, ""], Metrics]:
        """The weighted cross-entropy of the data's actions."""
        return weighted_loss(actor, advantage, rows, temperature=self.temperature)

    def extract(self, state: IqlState, data: Transitions) -> TeacherParts:
        """Extract the actor, and the critics, scaled back to the data's units."""
        *hidden, head = state.critics
        head = jax.tree.map(lambda x: x / iql.find_reward_scale(data), head)
        return TeacherParts(cast(Params, state.actor), "softmax", [*hidden, head], False)


class Improved(NamedTuple):
    """What a step of Cal-QL's actor needs to know of its policy."""

    entropy: Float[Array, ""]
    metrics: Metrics


def entropic_loss(
    actor: Params, critics: Params, weight: Float[Array, ""], rows: TrainingRows
) -> tuple[Float[Array, ""], Improved]:
    """Equation 4, with w = ``weight``."""
    logs = jax.nn.log_softmax(apply_mlp(actor, rows.states))
    values = compute_values(critics, rows.states).min(axis=0)
    loss = jnp.mean(jnp.sum(jnp.exp(logs) * (weight * logs - values), axis=-1))
    entropy = -jnp.mean(jnp.sum(jnp.exp(logs) * logs, axis=-1))
    return loss, Improved(entropy, {"actor_loss": loss, "entropy": entropy})


def conservative_loss(
    critics: Params, target: Float[Array, " B"], floor: Float[Array, " B"] | None, rows: TrainingRows, *, alpha: float
) -> tuple[Float[Array, ""], Metrics]:
    """Equation 3, with α = ``alpha`` and G = ``floor``; ``None`` for CQL."""
    found = compute_values(critics, rows.states)
    values = jnp.sum(found * rows.actions, axis=-1)
    raised = found if floor is None else jnp.maximum(found, floor[:, None])
    penalty = jax.nn.logsumexp(raised, axis=-1) - values
    errors, metrics = squared_errors(values, target)
    return errors + alpha * jnp.sum(jnp.mean(penalty, axis=-1)), {**metrics, "conservative": penalty.mean()}


@check_arguments
@dataclass(frozen=True)
class DiscreteCalQl(Discrete, CalQl):
    """Cal-QL with discrete actions, or CQL. Nothing is sampled, so the field ``actions`` has no effect."""

    def initialise(self, key: PRNGKeyArray, state_size: int, action_size: int, updates: int) -> GaussianState:
        """Initialise actor and critics with orthogonal weights."""
        actor_key, critic_key = jax.random.split(key)
        actor = init_mlp(actor_key, (state_size, *cal_ql.ACTOR_HIDDEN, action_size))
        critics = init_critics(critic_key, state_size, action_size, cal_ql.CRITIC_HIDDEN, cal_ql.CRITICS)
        return gaussian.initialise_state(actor, critics)

    def update(
        self, state: GaussianState, rows: TrainingRows, key: PRNGKeyArray, settings: UpdateSettings
    ) -> tuple[GaussianState, Metrics]:
        """Take one step of the actor, its entropy weight, the critics and their targets."""
        rows, old_actor, optimisers = take_single_batch(rows), state.actor, dict(state.optimisers)
        weight, rate = jnp.exp(state.log_weight), self.policy_learning_rate
        actor, optimisers["actor"], (entropy, actor_metrics) = take_adam_step(
            lambda p: entropic_loss(p, state.critics, weight, rows), state.actor, optimisers["actor"], rate
        )
        wanted = ENTROPY * jnp.log(rows.actions.shape[-1])
        log_weight, optimisers["weight"], _ = take_adam_step(
            lambda w: (w * jax.lax.stop_gradient(entropy - wanted), None), state.log_weight, optimisers["weight"], rate
        )
        state = state._replace(actor=actor, log_weight=log_weight, optimisers=optimisers)
        chances = jax.nn.softmax(apply_mlp(old_actor, rows.next_states))
        ahead = jnp.sum(chances * compute_values(state.target_critics, rows.next_states).min(axis=0), axis=-1)
        target = bootstrap(rows, ahead, settings.discount)
        floor = rows.returns if self.calibrated else None
        state, critic_metrics = gaussian.update_critics(
            state,
            lambda p: conservative_loss(p, target, floor, rows, alpha=self.alpha),
            self.learning_rate,
            settings.target_rate,
        )
        return state, {**critic_metrics, **actor_metrics}

    def extract(self, state: GaussianState, data: Transitions) -> TeacherParts:
        """Extract the actor and all critics."""
        return TeacherParts(state.actor, "softmax", state.critics, False)


FORMS: Mapping[type[Algorithm[Any]], type[Algorithm[Any]]] = {Bc: DiscreteBc, Iql: DiscreteIql, CalQl: DiscreteCalQl}
"""The forms for discrete actions."""
