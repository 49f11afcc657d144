"""Weightings of states and choices of initial states, by name. Listing the names does not import JAX."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.distillation.initial_states import InitialStates
    from potstill.distillation.objectives.weights import Weighting

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
