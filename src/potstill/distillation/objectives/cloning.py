"""Objectives of behavioural cloning: the squared distance to the data's or to the teacher's action."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.distillation.objectives.base import Objective, StateTable
from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.teachers.base import Teacher


def squared_distance(a: Float[Array, "B A"], b: Float[Array, "B A"]) -> Float[Array, " B"]:
    """‖a − b‖² of each row."""
    return jnp.sum((a - b) ** 2, axis=-1)


@check_arguments
@dataclass(frozen=True)
class DataCloning(Objective):
    """DBC, data-based behavioural cloning: ‖π(s) − a‖², for the action a of the dataset.

    It does not use a teacher. Its optimum is behavioural cloning of the whole dataset. Source: Lei, Zhang and Tao 2024.

    Example:
        >>> data, best, zero = jnp.array([[0.5]]), jnp.array([[1.0]]), jnp.zeros((1, 1))
        >>> batch = StateTable(zero, data, best, zero, jnp.ones(1), jnp.ones(()))
        >>> DataCloning()(zero, batch, None).tolist()  # 0.5²
        [0.25]
    """

    needs_teacher: ClassVar[bool] = False

    def __call__(
        self, student_actions: Float[Array, "B A"], batch: StateTable, teacher: Teacher | None
    ) -> Float[Array, " B"]:
        """The loss of each state."""
        return squared_distance(student_actions, batch.actions)


@check_arguments
@dataclass(frozen=True)
class PolicyCloning(Objective):
    """PBC, policy-based behavioural cloning: ‖π(s) − π*(s)‖², for the teacher's mean action π*(s).

    Source: Lei, Zhang and Tao 2024.

    Example:
        >>> data, best, zero = jnp.array([[0.5]]), jnp.array([[1.0]]), jnp.zeros((1, 1))
        >>> batch = StateTable(zero, data, best, zero, jnp.ones(1), jnp.ones(()))
        >>> PolicyCloning()(zero, batch, None).tolist()  # 1.0²
        [1.0]
    """

    def __call__(
        self, student_actions: Float[Array, "B A"], batch: StateTable, teacher: Teacher | None
    ) -> Float[Array, " B"]:
        """The loss of each state."""
        return squared_distance(student_actions, batch.teacher_actions)


@check_arguments
@dataclass(frozen=True)
class ActionValueCloning(PolicyCloning):
    """Av-PBC, action-value weighted PBC: PBC with weights that grow with q*, by default ``ranged``.

    The loss of a state is that of :class:`PolicyCloning`; the weights of the state table make the difference. The
    paper's weight is q* itself, the weighting ``unscaled``. Source: Lei, Zhang and Tao 2024.

    Example:
        >>> ActionValueCloning().default_weighting
        'ranged'
        >>> ActionValueCloning().fit_to_actions(discrete=True)
        ActionValueSum()
    """

    default_weighting: ClassVar[str] = "ranged"

    def fit_to_actions(self, *, discrete: bool) -> Objective:
        """For discrete actions, the exact sum over actions."""
        return ActionValueSum() if discrete else self


@check_arguments
@dataclass(frozen=True)
class ActionValueSum(Objective):
    """Av-PBC for discrete actions, by its exact sum: Σ_a w(s, a) (π(a | s) − π*(a | s))².

    The paper's weight is q*(s, a), which it assumes to be positive. Here w = log(1 + exp(q* / std(q*))), which is
    positive for any q* and grows with it, where std(q*) is the standard deviation of the values of the dataset. q* is
    the minimum over the critics. The states have equal weights unless a weighting is given, because w contains the
    value of the state.

    Raises:
        PotstillError: there is no teacher (when it is called).

    Example:
        >>> from potstill.data.transitions import Normaliser
        >>> class Bandit:  # action 0 has the value 0, action 1 the value 2
        ...     normaliser = Normaliser.identity(1)
        ...     def act(self, states):
        ...         return jnp.broadcast_to(jnp.array([0.0, 1.0]), (len(states), 2))
        ...     def sample(self, states, key):
        ...         return self.act(states)
        ...     def action_values(self, states, actions):
        ...         return (actions @ jnp.array([0.0, 2.0]))[None]
        >>> state, best = jnp.zeros((1, 1)), jnp.array([[0.0, 1.0]])
        >>> batch = StateTable(state, best, best, jnp.array([[2.0]]), jnp.ones(1), jnp.ones(()))
        >>> round(float(ActionValueSum()(jnp.array([[0.5, 0.5]]), batch, Bandit())[0]), 4)  # (log 2 + log(1 + e²)) / 4
        0.705
    """

    def __call__(
        self, student_actions: Float[Array, "B A"], batch: StateTable, teacher: Teacher | None
    ) -> Float[Array, " B"]:
        """The loss of each state."""
        if teacher is None:
            raise PotstillError("Av-PBC requires a teacher with action values")
        values = compute_all_values(batch.states, teacher, student_actions.shape[-1])
        weights = jax.nn.softplus(values / batch.value_scale)
        return jnp.sum(weights * (student_actions - batch.teacher_actions) ** 2, axis=-1)


def compute_all_values(states: Float[Array, "B S"], teacher: Teacher, actions: int) -> Float[Array, "B A"]:
    """Compute q*(s, a) of each of A discrete actions: the minimum over the teacher's critics."""

    def compute_one(action: Float[Array, " A"]) -> Float[Array, " B"]:
        return teacher.action_values(states, jnp.broadcast_to(action, (len(states), actions))).min(axis=0)

    values: Float[Array, "A B"] = jax.vmap(compute_one)(jnp.eye(actions))
    return values.T
