"""Outer objectives H(π, D_off), which distillation minimises.

An objective is a function ``(student_actions, batch, teacher) -> loss of each state``, or an :class:`Objective` with
settings. To add one, write a module and add one line to :data:`OBJECTIVES`. Any weighting of states can be combined
with any objective; see :mod:`potstill.distillation.objectives.weights`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily
from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.distillation.objectives.base import Objective, ObjectiveFunction, StateTable, weighted_loss
    from potstill.distillation.objectives.cloning import (
        ActionValueCloning,
        ActionValueSum,
        DataCloning,
        PolicyCloning,
    )
    from potstill.distillation.objectives.gap import QGap, q_gap
    from potstill.distillation.objectives.weights import Weighting, combine_weightings

OBJECTIVES: Registry[type[Objective] | ObjectiveFunction] = Registry(
    "objective",
    "potstill.objectives",
    {
        "dbc": "potstill.distillation.objectives.cloning:DataCloning",
        "pbc": "potstill.distillation.objectives.cloning:PolicyCloning",
        "av-pbc": "potstill.distillation.objectives.cloning:ActionValueCloning",
        "q-gap": "potstill.distillation.objectives.gap:QGap",
        "q-gap-mean": "potstill.distillation.objectives.gap:QGapMean",
        "q-gap-each": "potstill.distillation.objectives.gap:QGapEach",
    },
)
"""Objectives by name; other packages add theirs under the entry-point group ``potstill.objectives``."""

WEIGHTINGS: Registry[Weighting] = Registry(
    "weighting",
    "potstill.weightings",
    {
        "uniform": "potstill.distillation.objectives.weights:weigh_uniform",
        "clipped": "potstill.distillation.objectives.weights:weigh_clipped",
        "shifted": "potstill.distillation.objectives.weights:weigh_shifted",
        "softplus": "potstill.distillation.objectives.weights:weigh_softplus",
        "ranged": "potstill.distillation.objectives.weights:weigh_ranged",
        "reference": "potstill.distillation.objectives.weights:weigh_reference",
        "unscaled": "potstill.distillation.objectives.weights:weigh_unscaled",
        "density": "potstill.distillation.objectives.weights:weigh_density",
        "sdw": "potstill.distillation.objectives.weights:weigh_sdw",
        "discounted": "potstill.distillation.objectives.weights:weigh_discounted",
        "early": "potstill.distillation.objectives.weights:weigh_early",
        "opening": "potstill.distillation.objectives.weights:weigh_opening",
        "occupancy": "potstill.distillation.objectives.weights:weigh_occupancy",
    },
)
"""Weightings by name; other packages add theirs under the entry-point group ``potstill.weightings``."""

__all__ = [
    "OBJECTIVES",
    "WEIGHTINGS",
    "ActionValueCloning",
    "ActionValueSum",
    "DataCloning",
    "Objective",
    "ObjectiveFunction",
    "PolicyCloning",
    "QGap",
    "StateTable",
    "Weighting",
    "combine_weightings",
    "q_gap",
    "weighted_loss",
]

__getattr__ = import_lazily(
    __name__,
    {
        "ActionValueCloning": "cloning",
        "ActionValueSum": "cloning",
        "DataCloning": "cloning",
        "PolicyCloning": "cloning",
        "Objective": "base",
        "ObjectiveFunction": "base",
        "StateTable": "base",
        "weighted_loss": "base",
        "QGap": "gap",
        "q_gap": "gap",
        "Weighting": "weights",
        "combine_weightings": "weights",
    },
)
