"""How a teacher does by the data alone: offline figures that need no environment."""

from __future__ import annotations

import jax.numpy as jnp

from potstill.config import TeachConfig
from potstill.data.transitions import Transitions
from potstill.teachers import rows as rows_
from potstill.teachers.base import Teacher
from potstill.teachers.evaluation.fqe import Evaluator, cautious, held_out_starts, held_out_states


class OfflineScores:
    """Offline figures of a teacher in training, each in units of discounted return.

    ``fitted_value``      J(π) by fitted Q-evaluation (:mod:`potstill.teachers.evaluation.fqe`)
    ``worth``             the same with caution, from the states of held-out episodes: what a training is stopped by
    ``claimed_value``     what the teacher's own critics (their minimum) say of the same starts
    ``data_value``        what the data's own policy earned from there
    ``value_correlation`` of the critics with the data's Monte-Carlo returns, on held-out episodes
    ``action_distance``   E‖π(s) − a‖² on held-out episodes, actions in [−1, 1]
    """

    def __init__(self, data: Transitions, config: TeachConfig) -> None:
        table = rows_.prepare(data, config.discount)
        starts, chosen = held_out_starts(data), held_out_states(data)
        of_starts = Evaluator(table, data, config, starts)
        self.evaluators = {"fitted_value": of_starts, "worth": cautious(table, data, config)}
        self.starts = table.states[starts]
        self.data_value = float(table.returns[starts].mean())
        self.held = [column[chosen] for column in (table.states, table.actions, table.returns)]

    def __call__(self, teacher: Teacher, updates: int) -> dict[str, float]:
        """All figures, after ``updates`` more updates of the fitted critic."""
        states, actions, returns = self.held
        values = teacher.action_values(states, actions).min(axis=0)
        claimed = teacher.action_values(self.starts, teacher.act(self.starts)).min(axis=0)
        spread = float(jnp.std(values) * jnp.std(returns))
        product = float(jnp.mean((values - values.mean()) * (returns - returns.mean())))
        return {
            **{name: evaluator(teacher, updates) for name, evaluator in self.evaluators.items()},
            "claimed_value": float(claimed.mean()),
            "data_value": self.data_value,
            "value_correlation": product / spread if spread > 0.0 else 0.0,
            "action_distance": float(jnp.sum((teacher.act(states) - actions) ** 2, axis=-1).mean()),
        }
