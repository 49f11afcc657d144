"""Baselines: the other ways of the field to choose or make N pairs from a dataset.

A baseline is a :class:`Baseline` with settings. It maps a dataset, a teacher, N and a key to N pairs, which students
train on as on those of a distillate. To add one, write a module and add one line to :data:`BASELINES`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily
from potstill.runtime.registry import Registry

if TYPE_CHECKING:
    from potstill.distillation.baselines.base import Baseline, Candidates
    from potstill.distillation.baselines.density_weighted import DensityWeighted
    from potstill.distillation.baselines.dual_ranking import DualRanking
    from potstill.distillation.baselines.evolution import Evolution
    from potstill.distillation.baselines.matching import DistributionMatching, GradientMatching
    from potstill.distillation.baselines.selection import BestEpisodes, LongestEpisodes, Medoids, RandomRows, Selection
    from potstill.distillation.baselines.trajectories import TrajectoryMatching

_PLACE = "potstill.distillation.baselines"
BASELINES: Registry[type[Baseline]] = Registry(
    "baseline",
    "potstill.baselines",
    {
        "random-rows": f"{_PLACE}.selection:RandomRows",
        "medoids": f"{_PLACE}.selection:Medoids",
        "best-episodes": f"{_PLACE}.selection:BestEpisodes",
        "longest-episodes": f"{_PLACE}.selection:LongestEpisodes",
        "sdr": f"{_PLACE}.dual_ranking:DualRanking",
        "sdw": f"{_PLACE}.density_weighted:DensityWeighted",
        "gradient-matching": f"{_PLACE}.matching:GradientMatching",
        "distribution-matching": f"{_PLACE}.matching:DistributionMatching",
        "trajectory-matching": f"{_PLACE}.trajectories:TrajectoryMatching",
        "hades": f"{_PLACE}.evolution:Evolution",
    },
)
"""Baselines by name; other packages add theirs under the entry-point group ``potstill.baselines``."""

__all__ = [
    "BASELINES",
    "Baseline",
    "BestEpisodes",
    "Candidates",
    "DensityWeighted",
    "DistributionMatching",
    "DualRanking",
    "Evolution",
    "GradientMatching",
    "LongestEpisodes",
    "Medoids",
    "RandomRows",
    "Selection",
    "TrajectoryMatching",
]

__getattr__ = import_lazily(
    __name__,
    {
        "Baseline": "base",
        "BestEpisodes": "selection",
        "Candidates": "base",
        "DensityWeighted": "density_weighted",
        "DistributionMatching": "matching",
        "DualRanking": "dual_ranking",
        "Evolution": "evolution",
        "GradientMatching": "matching",
        "LongestEpisodes": "selection",
        "Medoids": "selection",
        "RandomRows": "selection",
        "Selection": "selection",
        "TrajectoryMatching": "trajectories",
    },
)
