"""Offline scores of a teacher, computed from the dataset without an environment."""

from __future__ import annotations

import jax.numpy as jnp

from potstill.data.transitions import Transitions
from potstill.runtime.arguments import check_arguments
from potstill.teachers.base import Teacher
from potstill.teachers.evaluation.fqe import (
    Evaluator,
    Report,
    make_pessimistic_evaluator,
    select_held_out_starts,
    select_held_out_states,
)
from potstill.teachers.rows import has_returns, load_with_returns
from potstill.teachers.settings import Training


@check_arguments
class OfflineScores:
    """Offline scores of a teacher during training. Values are in units of discounted return.

    ``fitted_value``      J(π) by fitted Q-evaluation (:mod:`potstill.teachers.evaluation.fqe`)
    ``pessimistic_value`` the pessimistic value estimate on the states of held-out episodes, used by ``patience``
    ``claimed_value``     the minimum over the teacher's own critics, on the same first states as ``fitted_value``
    ``data_value``        the discounted return of the data's own policy from these states
    ``data_deviation``    the standard deviation of the data's discounted returns from these states
    ``value_correlation`` correlation of the critics' values with Monte-Carlo returns, on held-out episodes
    ``action_distance``   E‖π(s) − a‖² on held-out episodes, with actions in [−1, 1]

    If all rewards are equal and no episode terminates, all policies have the same value. Then there is no
    ``fitted_value``, ``pessimistic_value`` or ``value_correlation``.

    Args:
        data: the transitions that the teacher is trained on.
        training: batch size, γ and seed of the fits.

    Example:
        >>> import dataclasses, numpy as np, potstill
        >>> data = potstill.load_dataset("hopper-medium-replay").take(np.arange(1000))
        >>> data = dataclasses.replace(data, rewards=np.zeros(1000, np.float32))  # no critic is fitted
        >>> scores = OfflineScores(data, Training(discount=0.99))
        >>> [*scores(potstill.load_teacher("hopper-medium-replay"), updates=0)]
        ['action_distance']
    """

    def __init__(self, data: Transitions, training: Training) -> None:
        table = load_with_returns(data, training.discount)
        starts, held_out = select_held_out_starts(data), select_held_out_states(data)
        self.evaluators: dict[str, Evaluator] = {}
        if has_returns(data):
            self.evaluators = {
                "fitted_value": Evaluator(table, data, training, starts),
                "pessimistic_value": make_pessimistic_evaluator(table, data, training),
            }
        self.starts = table.states[starts]
        self.data_value = float(table.returns[starts].mean())
        self.data_deviation = float(table.returns[starts].std())
        self.held_out = table.states[held_out], table.actions[held_out], table.returns[held_out]

    def count_updates(self, updates: int) -> int:
        """Count the updates of fitted critics in the next call."""
        return sum(evaluator.count_updates(updates) for evaluator in self.evaluators.values())

    def warm_up(self, updates: int) -> float:
        """Compile the fit, and return the seconds that an update of a fitted critic takes."""
        return next((evaluator.warm_up(updates) for evaluator in self.evaluators.values()), 0.0)

    def __call__(self, teacher: Teacher, updates: int, report: Report | None = None) -> dict[str, float]:
        """All scores.

        Args:
            teacher: the teacher.
            updates: further updates of the fitted critics (ten times as many at first).
            report: called after every few hundred updates. If it raises, all critics are as before the call.
        """
        before = {name: evaluator.state for name, evaluator in self.evaluators.items()}
        try:
            fitted = {name: evaluator(teacher, updates, report) for name, evaluator in self.evaluators.items()}
        except BaseException:
            for name, evaluator in self.evaluators.items():
                evaluator.state = before[name]
            raise
        return {**fitted, **self._compare(teacher)}

    def _compare(self, teacher: Teacher) -> dict[str, float]:
        """The scores that need no fit."""
        states, actions, returns = self.held_out
        found = {"action_distance": float(jnp.sum((teacher.act(states) - actions) ** 2, axis=-1).mean())}
        if not self.evaluators:
            return found
        values = teacher.action_values(states, actions).min(axis=0)
        claimed = teacher.action_values(self.starts, teacher.act(self.starts)).min(axis=0)
        deviations = float(jnp.std(values) * jnp.std(returns))
        covariance = float(jnp.mean((values - values.mean()) * (returns - returns.mean())))
        correlation = covariance / deviations if deviations > 0.0 else 0.0
        return {
            "claimed_value": float(claimed.mean()),
            "data_value": self.data_value,
            "data_deviation": self.data_deviation,
            "value_correlation": correlation,
            **found,
        }
