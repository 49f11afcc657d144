"""Outer objectives H(π, D_off): what a distillate is judged by while it is being distilled.

All share one signature, ``objective(student_actions, batch, teacher) -> loss of each state``, with actions
[B, A] in [−1, 1]; to add one, write the function and name it in :data:`OBJECTIVES`. Which states count how
much is another question, see :mod:`potstill.distillation.objectives.weights`: any weighting goes with any objective.
"""

from potstill.distillation.objectives.base import Batch, Objective, objective_named, weighted_loss
from potstill.distillation.objectives.cloning import dbc, pbc
from potstill.distillation.objectives.gap import anchored, q_gap, q_gap_each, q_gap_mean
from potstill.distillation.objectives.weights import WEIGHTINGS, States, state_weights, weightings_named

OBJECTIVES: dict[str, Objective] = {
    "dbc": dbc,
    "pbc": pbc,
    "av-pbc": pbc,
    "q-gap": anchored(q_gap),
    "q-gap-mean": anchored(q_gap_mean),
    "q-gap-each": anchored(q_gap_each),
}
OWN_WEIGHTING = {"av-pbc": "ranged"}
"""Where an objective's name promises weights; all others weigh states alike unless told otherwise."""


def weighting_of(objective: str, weighting: str | None) -> str:
    """The weighting asked for or, without one, the objective's own.

    >>> weighting_of("av-pbc", None), weighting_of("q-gap", None), weighting_of("pbc", "density")
    ('ranged', 'uniform', 'density')
    """
    return OWN_WEIGHTING.get(objective, "uniform") if weighting is None else weighting


__all__ = [
    "OBJECTIVES",
    "OWN_WEIGHTING",
    "WEIGHTINGS",
    "Batch",
    "Objective",
    "States",
    "anchored",
    "dbc",
    "objective_named",
    "pbc",
    "q_gap",
    "q_gap_each",
    "q_gap_mean",
    "state_weights",
    "weighted_loss",
    "weighting_of",
    "weightings_named",
]
