"""Distillation: from a dataset and a teacher to synthetic pairs.

Distillation works without files: build a :class:`StateTable` from a dataset and a teacher, choose
:func:`make_initial_pairs`, and run :func:`optimise_pairs` with an objective, a solver and a :class:`Schedule`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.distillation.objectives import OBJECTIVES, WEIGHTINGS
from potstill.distillation.solvers import SOLVERS
from potstill.runtime.lazy import import_lazily
from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.distillation.initial_states import InitialStates, make_initial_pairs
    from potstill.distillation.objectives.base import Objective, ObjectiveFunction, StateTable
    from potstill.distillation.objectives.cloning import ActionValueCloning, DataCloning, PolicyCloning
    from potstill.distillation.objectives.gap import QGap
    from potstill.distillation.objectives.rollout import RolloutGap
    from potstill.distillation.objectives.weights import combine_weightings
    from potstill.distillation.outer_loop import Iterate, optimise_pairs
    from potstill.distillation.private import PrivateGradients, find_episodes, make_public_pairs
    from potstill.distillation.schedule import Schedule
    from potstill.distillation.settings import OuterSettings
    from potstill.distillation.solvers.base import Solver
    from potstill.distillation.solvers.drawn import DrawnKernelDescent
    from potstill.distillation.solvers.empirical import EmpiricalKernelDescent
    from potstill.distillation.solvers.interpolation import KernelInterpolation
    from potstill.distillation.solvers.kernel_descent import KernelDescent
    from potstill.distillation.solvers.portfolio import Portfolio
    from potstill.distillation.solvers.ridge import FeatureRidge, KernelRidge
    from potstill.distillation.solvers.unroll import Sweep, Unroll
    from potstill.distillation.state_table import build_state_table
    from potstill.distillation.visits import Visits, VisitSettings
    from potstill.students.training import Pairs

INITIAL_STATES: Registry[InitialStates] = Registry(
    "choice of initial states",
    "potstill.initial_states",
    {
        "random": "potstill.distillation.initial_states:draw_random_states",
        "k-means": "potstill.distillation.initial_states:cluster_states",
        "diverse": "potstill.distillation.initial_states:draw_diverse_states",
    },
)
"""Choices of initial states by name; other packages add theirs under the group ``potstill.initial_states``."""

_SUBMODULES = {
    "ActionValueCloning": "objectives.cloning",
    "DataCloning": "objectives.cloning",
    "DrawnKernelDescent": "solvers.drawn",
    "EmpiricalKernelDescent": "solvers.empirical",
    "FeatureRidge": "solvers.ridge",
    "Iterate": "outer_loop",
    "KernelDescent": "solvers.kernel_descent",
    "KernelInterpolation": "solvers.interpolation",
    "KernelRidge": "solvers.ridge",
    "Objective": "objectives.base",
    "ObjectiveFunction": "objectives.base",
    "OuterSettings": "settings",
    "Pairs": "outer_loop",
    "PolicyCloning": "objectives.cloning",
    "Portfolio": "solvers.portfolio",
    "PrivateGradients": "private",
    "QGap": "objectives.gap",
    "RolloutGap": "objectives.rollout",
    "Schedule": "schedule",
    "Solver": "solvers.base",
    "StateTable": "objectives.base",
    "Sweep": "solvers.unroll",
    "Unroll": "solvers.unroll",
    "VisitSettings": "visits",
    "Visits": "visits",
    "build_state_table": "state_table",
    "combine_weightings": "objectives.weights",
    "find_episodes": "private",
    "make_initial_pairs": "initial_states",
    "make_public_pairs": "private",
    "optimise_pairs": "outer_loop",
}

__all__ = [
    "INITIAL_STATES",
    "OBJECTIVES",
    "SOLVERS",
    "WEIGHTINGS",
    "ActionValueCloning",
    "DataCloning",
    "DrawnKernelDescent",
    "EmpiricalKernelDescent",
    "FeatureRidge",
    "Iterate",
    "KernelDescent",
    "KernelInterpolation",
    "KernelRidge",
    "Objective",
    "ObjectiveFunction",
    "OuterSettings",
    "Pairs",
    "PolicyCloning",
    "Portfolio",
    "PrivateGradients",
    "QGap",
    "RolloutGap",
    "Schedule",
    "Solver",
    "StateTable",
    "Sweep",
    "Unroll",
    "VisitSettings",
    "Visits",
    "build_state_table",
    "combine_weightings",
    "find_episodes",
    "make_initial_pairs",
    "make_public_pairs",
    "optimise_pairs",
]

__getattr__ = import_lazily(__name__, _SUBMODULES)
