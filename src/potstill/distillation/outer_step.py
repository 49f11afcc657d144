"""One outer step: draw states, differentiate the outer loss, move the variables of the optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from potstill.distillation.labels import constrain_actions
from potstill.distillation.objectives.base import ObjectiveFunction, StateTable
from potstill.distillation.objectives.rollout import RolloutGap
from potstill.distillation.outer_loss import outer_loss
from potstill.distillation.private import PrivateGradients, make_private_gradient
from potstill.distillation.settings import OuterSettings
from potstill.distillation.solvers.base import Solver
from potstill.distillation.state_table import add_state_noise, take_rows
from potstill.errors import PotstillError
from potstill.runtime import devices
from potstill.students.training import Pairs
from potstill.teachers.base import Teacher


class Learned(NamedTuple):
    """The variables of the outer optimiser: the pairs and, optionally, their weights and the step size."""

    states: Float[Array, "N S"]
    actions: Float[Array, "N A"]
    log_weights: Float[Array, " N"] | None = None
    """The weights of the pairs are N times the softmax of this: positive, with mean 1."""
    log_step: Float[Array, ""] | None = None
    """Logarithm of a factor on the student's step size."""

    def make_pairs(self, labeller: Teacher | None = None) -> Pairs:
        """Make the pairs as students train on them. A common factor on all weights scales the step size.

        With a ``labeller``, the actions are those of the labeller in the states of the pairs.
        """
        actions = self.actions if labeller is None else labeller.act(self.states)
        if self.log_weights is None and self.log_step is None:
            return Pairs(self.states, actions)
        count = len(self.states)
        weights = jnp.ones(count) if self.log_weights is None else jax.nn.softmax(self.log_weights) * count
        return Pairs(self.states, actions, weights if self.log_step is None else weights * jnp.exp(self.log_step))


class OuterState(NamedTuple):
    """The state of the outer loop between two steps."""

    learned: Learned
    optimiser: optax.OptState


Update: TypeAlias = Callable[[OuterState, StateTable, PRNGKeyArray, Array | float], tuple[OuterState, dict[str, Array]]]


def initialise_outer(pairs: Pairs, settings: OuterSettings) -> OuterState:
    """The initial state: equal weights and the recipe's step size. Arrays are copied, since an update donates them."""
    log_weights = jnp.zeros(len(pairs.states)) if settings.learn in ("weights", "both") else None
    log_step = jnp.zeros(()) if settings.learn in ("step-size", "both") else None
    learned = jax.tree.map(jnp.copy, Learned(pairs.states, pairs.actions, log_weights, log_step))
    return OuterState(learned, make_outer_optimiser(settings).init(learned))


def make_outer_optimiser(settings: OuterSettings) -> optax.GradientTransformation:
    """Make the optax transformation: clipping, then Adam or momentum 0.9. The schedule sets the rate."""
    rule = optax.trace(decay=0.9) if settings.optimiser == "sgd" else optax.scale_by_adam()
    return optax.chain(optax.clip_by_global_norm(settings.clip), rule)


def find_labeller(settings: OuterSettings, teacher: Teacher | None) -> Teacher | None:
    """Return the teacher if it labels the pairs, else ``None``. Raise if it should label them, but there is none."""
    if settings.labels == "teacher" and teacher is None:
        raise PotstillError("OuterSettings.labels 'teacher' requires a teacher")
    return teacher if settings.labels == "teacher" else None


def make_update(
    objective: ObjectiveFunction,
    solver: Solver,
    teacher: Teacher | None,
    settings: OuterSettings,
    rollout: RolloutGap | None = None,
    private: PrivateGradients | None = None,
) -> Update:
    """Compile one outer step: draw a batch, differentiate the outer loss, move the pairs.

    The step is a pure function: ``update(state, table, key, rate) -> (state, {"loss", "gradient_norm"})``. With
    ``private``, see :func:`make_private_update`.
    """
    if private is not None:
        return make_private_update(objective, solver, teacher, settings, private)
    rule, mesh = make_outer_optimiser(settings), devices.find_all_devices()
    loss_of = _make_loss(objective, solver, teacher, settings, rollout)

    def update(
        state: OuterState, table: StateTable, key: PRNGKeyArray, rate: Float[Array, ""] | float
    ) -> tuple[OuterState, dict[str, Array]]:
        batch_key, student_key = jax.random.split(key)
        batch = take_rows(table, jax.random.randint(batch_key, (settings.batch,), 0, len(table.states)))
        if settings.state_noise and teacher is not None:
            batch = add_state_noise(batch, settings.state_noise, teacher, jax.random.fold_in(key, 2))
        loss, gradient = devices.replicate(jax.value_and_grad(loss_of)(state.learned, batch, student_key), mesh)
        return _move(state, loss, gradient, rate, rule, settings, solver)

    return jax.jit(update, donate_argnums=0)


def make_private_update(
    objective: ObjectiveFunction,
    solver: Solver,
    teacher: Teacher | None,
    settings: OuterSettings,
    private: PrivateGradients,
) -> Update:
    """Make one outer step with private gradients. Episodes and noise are drawn outside the compiled parts.

    What follows the gradient depends on the data through the gradient alone, and is therefore private, too.
    """
    rule, loss_of = make_outer_optimiser(settings), _make_loss(objective, solver, teacher, settings)

    def prepare(batch: StateTable, key: PRNGKeyArray) -> StateTable:
        noise = settings.state_noise
        return add_state_noise(batch, noise, teacher, key) if noise and teacher is not None else batch

    compute = make_private_gradient(loss_of, private, prepare)
    move = jax.jit(
        lambda state, loss, gradient, rate: _move(state, loss, gradient, rate, rule, settings, solver), donate_argnums=0
    )

    def update(
        state: OuterState, table: StateTable, key: PRNGKeyArray, rate: Array | float
    ) -> tuple[OuterState, dict[str, Array]]:
        moved: tuple[OuterState, dict[str, Array]] = move(state, *compute(state.learned, table, key), rate)
        return moved

    return update


def _make_loss(
    objective: ObjectiveFunction,
    solver: Solver,
    teacher: Teacher | None,
    settings: OuterSettings,
    rollout: RolloutGap | None = None,
) -> Callable[[Learned, StateTable, PRNGKeyArray], Array]:
    """Make the outer loss as a function of the optimiser's variables, a batch and the student's key."""
    labeller, mesh = find_labeller(settings, teacher), devices.find_all_devices()

    def loss_of(learned: Learned, batch: StateTable, key: PRNGKeyArray) -> Array:
        how = {"objective": objective, "solver": solver, "teacher": teacher, "mesh": mesh, "rollout": rollout}
        return outer_loss(learned.make_pairs(labeller), batch, key, initialisations=settings.initialisations, **how)  # type: ignore[arg-type]

    return loss_of


def _move(
    state: OuterState,
    loss: Array,
    gradient: Learned,
    rate: Array | float,
    rule: optax.GradientTransformation,
    settings: OuterSettings,
    solver: Solver,
) -> tuple[OuterState, dict[str, Array]]:
    """Move the variables along a gradient, and keep the actions of the pairs within their limit."""
    direction, optimiser = rule.update(gradient, state.optimiser, state.learned)
    learned = jax.tree.map(lambda x, d: x - rate * d, state.learned, direction)
    fixed, loss_kind = settings.labels == "fixed", solver.recipe.loss
    actions = state.learned.actions if fixed else constrain_actions(learned.actions, loss_kind, settings.action_limit)
    learned = learned._replace(actions=actions)
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
    return OuterState(learned, optimiser), {"loss": loss, "gradient_norm": norm}
