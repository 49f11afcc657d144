"""Warnings about a teacher: sentences about its actions, its critics and its data, with advice."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from potstill.data.transitions import Transitions
from potstill.runtime.files import JsonMapping
from potstill.teachers.base import Teacher
from potstill.teachers.rows import has_returns

SAMPLED = 2048  # rows of the data that a teacher is examined on
FEW_ROWS = 100
# In units in which the bounds are ±1. Teachers of the nine benchmark files have standard deviations above 0.3, at most
# 26 % of a component's actions at a bound, and critics whose disagreement is at most 2 % of the values' deviation.
STILL = 0.02  # a smaller standard deviation over states counts as a constant action
AT_BOUND = 0.99  # a larger magnitude counts as at a bound
MANY_AT_BOUND = 0.9
MORE_THAN_DATA = 0.15  # share at a bound above that of the data
DISAGREEMENT = 0.5  # of the critics, as a fraction of the standard deviation of the values over states
LOSS = 0.25  # of the data's discounted return, besides one standard deviation

OTHERS = {
    "bc": "train longer, or try another seed",
    "iql": "try the algorithm bc",
    "rebrac": "try the algorithm iql or bc, or a higher actor penalty",
}
"""What to try instead of an algorithm."""


class Examined(NamedTuple):
    """A teacher's actions and the data's on a sample of rows, in units in which the bounds are ±1."""

    states: Float[np.ndarray, "B S"]
    """States, standardised by the teacher's normaliser."""
    own: Float[np.ndarray, "B A"]
    given: Float[np.ndarray, "B A"]

    @classmethod
    def of(cls, teacher: Teacher, data: Transitions) -> Examined:
        """Let the teacher act in a fixed random sample of the data's states."""
        rows = np.random.default_rng(0).permutation(len(data))[:SAMPLED] if len(data) > SAMPLED else slice(None)
        taken = data.take(rows)
        states = teacher.normaliser(taken.observations).astype(np.float32)
        return cls(states, np.asarray(teacher.act(jnp.asarray(states))), data.action_bounds.to_unit(taken.actions))


def find_saturated_components(teacher: Teacher, data: Transitions) -> list[int]:
    """Find action components that the teacher keeps at one bound in all states, although the data's vary."""
    if data.action_bounds.discrete:  # a teacher that always takes the same action may be right
        return []
    _, own, given = Examined.of(teacher, data)
    stuck = (own > AT_BOUND).all(axis=0) | (own < -AT_BOUND).all(axis=0)
    return np.flatnonzero(stuck & (given.std(axis=0) > STILL)).tolist()


def diagnose_teacher(teacher: Teacher, data: Transitions, scores: JsonMapping | None = None) -> list[str]:
    """List the faults of a teacher, in one sentence each with advice; an empty list if none is found.

    Args:
        teacher: the teacher.
        data: the transitions that it was trained on, or is used with.
        scores: its offline scores (:class:`~potstill.teachers.evaluation.diagnostics.OfflineScores`), if known.
    """
    examined, advice = Examined.of(teacher, data), _advise(teacher)
    return [
        *_find_few_rows(len(data)),
        *_find_changed_data(teacher, data),
        *_find_still_actions(examined, advice),
        *([] if data.action_bounds.discrete else _find_actions_at_bounds(examined, advice)),
        *(_find_disagreeing_critics(teacher, examined) if has_returns(data) else []),
        *_find_low_value(scores or {}, advice),
    ]


def _advise(teacher: Teacher) -> str:
    """Say what to try instead of the teacher's algorithm, if it is known."""
    used = getattr(teacher, "metadata", {}).get("algorithm")
    return f"{OTHERS.get(str(used), 'try the algorithm iql or bc')}, and check the action bounds"


def _find_few_rows(rows: int) -> list[str]:
    if rows >= FEW_ROWS:
        return []
    return [f"the teacher's data have only {rows} row{'' if rows == 1 else 's'}: it has learned nothing reliable"]


def _find_changed_data(teacher: Teacher, data: Transitions) -> list[str]:
    """Report a dataset that has another content than when the teacher was trained on it."""
    known = getattr(teacher, "metadata", {})
    if known.get("dataset") != data.name or known.get("dataset_hash") in (None, data.content_hash):
        return []
    return [f"the teacher was trained on other rows of {data.name}: train one on these data, if they have changed"]


def _find_still_actions(examined: Examined, advice: str) -> list[str]:
    own, given = examined.own.std(axis=0), examined.given.std(axis=0)
    still = np.flatnonzero((own < STILL) & (given > 2 * STILL))
    if not len(still):
        return []
    whole = len(still) == len(own)
    what = "the teacher takes the same action" if whole else f"the teacher's actions{still.tolist()} are the same"
    values = ", ".join(f"{value:.2f}" for value in examined.own.mean(axis=0)[still][:4])
    values += ", …" if len(still) > 4 else ""
    return [
        f"{what} in every state: {values} (bounds ±1); the data's standard deviation is "
        f"{'up to ' if len(still) > 1 else ''}{given[still].max():.2f}; {advice}"
    ]


def _find_actions_at_bounds(examined: Examined, advice: str) -> list[str]:
    own, given = ((np.abs(actions) > AT_BOUND).mean(axis=0) for actions in (examined.own, examined.given))
    moving = examined.own.std(axis=0) >= STILL
    found = np.flatnonzero((own > np.maximum(MANY_AT_BOUND, given + MORE_THAN_DATA)) & moving)
    if not len(found):
        return []
    i = int(found[np.argmax((own - given)[found])])
    return [
        f"actions[{i}] is at a bound in {100 * own[i]:.0f} % of states for the teacher, in {100 * given[i]:.0f} % for "
        f"the data; {advice}"
    ]


def _find_disagreeing_critics(teacher: Teacher, examined: Examined) -> list[str]:
    values = np.asarray(teacher.action_values(jnp.asarray(examined.states), jnp.asarray(examined.own)), np.float64)
    spread = values.mean(axis=0).std()
    disagreement = values.std(axis=0).mean()
    if len(values) < 2 or len(examined.states) < 2 or disagreement <= DISAGREEMENT * spread:
        return []
    return [
        f"the disagreement of the teacher's critics ({disagreement:.3g}) is more than half of the spread of values "
        f"over states ({spread:.3g}): their ranking of actions is unreliable; train longer, or distil with the "
        "objective pbc, which does not use them"
    ]


def _find_low_value(scores: JsonMapping, advice: str) -> list[str]:
    if "fitted_value" not in scores:
        return []
    own, given = scores["fitted_value"], scores["data_value"]
    if own >= given - LOSS * abs(given) - scores.get("data_deviation", 0.0):
        return []
    return [
        f"discounted return from the first states: {own:.4g} for the teacher by fitted Q-evaluation, {given:.4g} for "
        f"the behaviour policy; {advice}"
    ]
