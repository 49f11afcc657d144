"""The interface of outer objectives, and the loss that an objective and the weights of states define."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Float

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.pytrees import register_named_tuple
from potstill.runtime.validation import check_types
from potstill.teachers.base import Teacher


@check_arguments
@register_named_tuple
class StateTable(NamedTuple):
    """States of a dataset, with all quantities that do not depend on the student: a whole table or a batch.

    :func:`~potstill.distillation.build_state_table` computes one from a dataset. B is the number of states, S of state
    components, A of action components and C of critics.

    Example:
        >>> table = StateTable(
        ...     states=jnp.zeros((2, 3)),
        ...     actions=jnp.zeros((2, 1)),
        ...     teacher_actions=jnp.ones((2, 1)),
        ...     critic_values=jnp.array([[3.0, 2.0], [5.0, 7.0]]),
        ...     weights=jnp.ones(2),
        ...     value_scale=jnp.ones(()),
        ... )
        >>> table.values.tolist()
        [2.0, 5.0]
    """

    states: Float[Array, "B S"]
    """Standardised states."""
    actions: Float[Array, "B A"]
    """The dataset's actions, in [−1, 1]; discrete actions are vectors with a single 1."""
    teacher_actions: Float[Array, "B A"]
    """π*(s), the teacher's mean action, in [−1, 1]; for discrete actions, their probabilities."""
    critic_values: Float[Array, "B C"]
    """q_j(s, π*(s)) of each of C critics, in units of return."""
    weights: Float[Array, " B"]
    """Weight of each state in the loss, see :mod:`potstill.distillation.objectives.weights`."""
    value_scale: Float[Array, ""]
    """Standard deviation of the values over the whole dataset."""

    @property
    def values(self) -> Float[Array, " B"]:
        """q*(s, π*(s)), the minimum over the critics, in units of return."""
        return self.critic_values.min(axis=-1)


ObjectiveFunction: TypeAlias = Callable[[Float[Array, "B A"], StateTable, Teacher | None], Float[Array, " B"]]
"""``objective(student_actions, batch, teacher)`` gives the loss of each state, for actions in [−1, 1].

Any pure function of this form is an objective. It may also have the class attributes of :class:`Objective`.
"""


@check_arguments
@dataclass(frozen=True)
class Objective:
    """An objective with settings. A subclass is a frozen dataclass with a ``__call__`` method.

    Raises:
        PotstillError: a field has a wrong type.

    Example:
        >>> @dataclass(frozen=True)
        ... class Huber(Objective):
        ...     width: float = 1.0
        ...     def __call__(self, student_actions, batch, teacher):
        ...         distance = jnp.abs(student_actions - batch.teacher_actions)
        ...         near = jnp.minimum(distance, self.width)
        ...         return jnp.sum(near * (distance - 0.5 * near), axis=-1)
        >>> Huber(width=0.2).default_weighting
        'uniform'
    """

    needs_teacher: ClassVar[bool] = True
    """Whether it uses the teacher's actions or values."""
    default_weighting: ClassVar[str] = "uniform"
    """The default weighting of states."""
    uses_critics: ClassVar[bool] = False
    """Whether it evaluates the critics at the student's actions. If so, state noise is used by default."""

    def __post_init__(self) -> None:
        check_types(self)

    def fit_to_actions(self, *, discrete: bool) -> Objective:
        """Return the form of the objective for discrete or continuous actions. Most objectives are the same for both.

        Discrete actions are vectors of probabilities, and the values of such vectors are expectations (see
        :class:`~potstill.teachers.Teacher`), so distances and differences of values need no other form.
        """
        del discrete
        return self

    def __call__(
        self, student_actions: Float[Array, "B A"], batch: StateTable, teacher: Teacher | None
    ) -> Float[Array, " B"]:
        """The loss of each state.

        Args:
            student_actions: π(s), in [−1, 1].
            batch: the states, with the dataset's and the teacher's actions and values.
            teacher: gives the values of other actions; ``None`` if there is no teacher.
        """
        raise NotImplementedError


@check_arguments
def weighted_loss(
    objective: ObjectiveFunction, student_actions: Float[Array, "B A"], batch: StateTable, teacher: Teacher | None
) -> Float[Array, ""]:
    """H = E_s~D [ w(s) h(s, π(s)) ]: the objective of each state times the state's weight, averaged over the batch.

    Args:
        objective: h, the loss of each state.
        student_actions: π(s), in [−1, 1].
        batch: the states with their weights.
        teacher: passed to the objective.

    Raises:
        PotstillError: the objective does not return one loss for each state.

    Example:
        >>> zeros, weights = jnp.zeros((2, 1)), jnp.array([0.5, 1.5])
        >>> batch = StateTable(zeros, zeros, zeros, zeros, weights, jnp.ones(()))
        >>> square = lambda actions, batch, teacher: jnp.sum(actions**2, axis=-1)
        >>> float(weighted_loss(square, jnp.array([[1.0], [2.0]]), batch, None))  # (0.5 · 1 + 1.5 · 4) / 2
        3.25
    """
    losses = objective(student_actions, batch, teacher)
    if jnp.shape(losses) != batch.weights.shape:
        raise PotstillError(
            f"the objective returned an array of shape {jnp.shape(losses)}: expected {batch.weights.shape}, "
            "one loss for each state"
        )
    return (batch.weights * losses).mean()
