"""The theorems of the paper on tabular MDPs, where all their terms can be computed exactly.

:func:`draw_mdp` and :func:`draw_policy` draw random MDPs and policies. :func:`evaluate_theorem_1`,
:func:`evaluate_theorem_2` and :func:`evaluate_corollary_1` compute both sides of a theorem. :func:`measure_theory`
does this for many random MDPs, and measures what a shift of all rewards does to the objectives. Everything is in
float64. Source of the theorems: Lei, Zhang and Tao 2024.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily

if TYPE_CHECKING:
    from potstill.theory.drawing import draw_mdp, draw_policy, mix_policies
    from potstill.theory.examples import Example, make_corollary_1_example, make_theorem_1_example
    from potstill.theory.losses import (
        compute_av_pbc,
        compute_exact_av_pbc,
        compute_mean_q_gap,
        compute_objectives,
        compute_pbc,
        predict_shift,
    )
    from potstill.theory.mdp import (
        TabularMDP,
        compute_action_values,
        compute_return,
        compute_state_distribution,
        compute_state_values,
        find_optimal_policy,
    )
    from potstill.theory.measurement import TheorySettings, measure_theory
    from potstill.theory.results import BoundSummary, DiscountResult, ShiftSummary, Spread, TheoryResult
    from potstill.theory.theorems import (
        Bound,
        Equality,
        compute_distance,
        evaluate_advantage_bound,
        evaluate_corollary_1,
        evaluate_theorem_1,
        evaluate_theorem_2,
    )

__all__ = [
    "Bound",
    "BoundSummary",
    "DiscountResult",
    "Equality",
    "Example",
    "ShiftSummary",
    "Spread",
    "TabularMDP",
    "TheoryResult",
    "TheorySettings",
    "compute_action_values",
    "compute_av_pbc",
    "compute_distance",
    "compute_exact_av_pbc",
    "compute_mean_q_gap",
    "compute_objectives",
    "compute_pbc",
    "compute_return",
    "compute_state_distribution",
    "compute_state_values",
    "draw_mdp",
    "draw_policy",
    "evaluate_advantage_bound",
    "evaluate_corollary_1",
    "evaluate_theorem_1",
    "evaluate_theorem_2",
    "find_optimal_policy",
    "make_corollary_1_example",
    "make_theorem_1_example",
    "measure_theory",
    "mix_policies",
    "predict_shift",
]

_MDP = ("TabularMDP", "compute_action_values", "compute_return", "compute_state_distribution", "compute_state_values")
_LOSSES = ("compute_av_pbc", "compute_exact_av_pbc", "compute_mean_q_gap", "compute_objectives", "compute_pbc")
_THEOREMS = ("evaluate_advantage_bound", "evaluate_corollary_1", "evaluate_theorem_1", "evaluate_theorem_2")

__getattr__ = import_lazily(
    __name__,
    {
        **dict.fromkeys(("draw_mdp", "draw_policy", "mix_policies"), "drawing"),
        **dict.fromkeys(("Example", "make_corollary_1_example", "make_theorem_1_example"), "examples"),
        **dict.fromkeys((*_LOSSES, "predict_shift"), "losses"),
        **dict.fromkeys((*_MDP, "find_optimal_policy"), "mdp"),
        **dict.fromkeys(("TheorySettings", "measure_theory"), "measurement"),
        **dict.fromkeys(("BoundSummary", "DiscountResult", "ShiftSummary", "Spread", "TheoryResult"), "results"),
        **dict.fromkeys(("Bound", "Equality", "compute_distance", *_THEOREMS), "theorems"),
    },
)
