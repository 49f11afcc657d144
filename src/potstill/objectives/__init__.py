"""Outer objectives H(π, D_off): what a distillate is judged by while it is being distilled.

All share one signature, ``objective(student_actions, batch, teacher) -> loss``, with actions [B, A] in
[−1, 1]; to add one, write the function and name it in :data:`OBJECTIVES`.
"""

from potstill.objectives.base import Batch, Objective, objective_named
from potstill.objectives.cloning import av_pbc, dbc, pbc
from potstill.objectives.gap import q_gap, q_gap_pbc
from potstill.objectives.weights import WEIGHTINGS, value_weights

OBJECTIVES: dict[str, Objective] = {"dbc": dbc, "pbc": pbc, "av-pbc": av_pbc, "q-gap": q_gap_pbc}

__all__ = [
    "OBJECTIVES",
    "WEIGHTINGS",
    "Batch",
    "Objective",
    "av_pbc",
    "dbc",
    "objective_named",
    "pbc",
    "q_gap",
    "q_gap_pbc",
    "value_weights",
]
