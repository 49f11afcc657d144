"""The scales of a reproduction: how many seeds, students, episodes and steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from potstill.reports.paper.numbers import OUTER_STEPS


@dataclass(frozen=True)
class Scale:
    """How much is computed. Changes to the paper's protocol are stated beside the results."""

    name: str
    seeds: int
    """Distillation seeds, from 0."""
    random_seeds: int
    """Random selections of pairs, each with a seed."""
    students: int
    """Students of each distillate. Together they form the ensemble."""
    episodes: int
    """Episodes of each student."""
    teacher_episodes: int
    """Episodes of each teacher. Their mean return is the denominator of all ratios."""
    share: float
    """Share of the paper's outer steps in cells that are as in the paper."""
    steps: int | None
    """Outer steps of potstill's own cells; ``None``: until the pairs converge."""
    towers: int
    """Networks in potstill's default student."""
    curve_points: int
    """Points of the curves of potstill's own cells. In cells as in the paper: 20 at full scale, else this number."""
    clone_updates: int
    """Steps of cloning the whole dataset."""
    sizes: tuple[int, ...] = (16, 32, 64, 128, 256, 1024)
    """Numbers of pairs in Table 5."""
    curve_groups: tuple[str, ...] = ("equal", "potstill", "paper")
    """Groups of methods whose curves are measured, for Figure 1."""
    mdps: int = 1_000
    """Random MDPs on which the theorems are evaluated, for each discount. The objectives are ranked on a fifth."""
    baseline_share: float = 1.0
    """Share of the baselines' default numbers of steps, and of the environment steps of HaDES."""
    extends: bool = True
    """Whether Tables 2 and 5, which the paper has for Av-PBC, also have potstill's distillates."""

    @property
    def as_printed(self) -> bool:
        """Whether cells as in the paper have its own number of steps and of points of the curve."""
        return self.share == 1.0

    def count_outer_steps(self, family: str, objective: str) -> int:
        """The outer steps of a cell as in the paper, at least 2.

        >>> SCALES["full"].count_outer_steps("hopper", "av-pbc"), SCALES["small"].count_outer_steps("walker2d", "pbc")
        (20000, 4000)
        """
        return max(2, round(self.share * OUTER_STEPS.get(family, OUTER_STEPS["hopper"])[objective]))


SCALES: Mapping[str, Scale] = {
    "smoke": Scale(
        "smoke",
        seeds=1,
        random_seeds=1,
        students=2,
        episodes=5,
        teacher_episodes=20,
        share=0.0003,
        steps=30,
        towers=4,
        curve_points=3,
        clone_updates=1_000,
        sizes=(16, 32, 64, 128, 256),
        curve_groups=("potstill", "paper"),
        mdps=100,
        baseline_share=0.02,
        extends=False,
    ),
    "small": Scale(
        "small",
        seeds=2,
        random_seeds=4,
        students=10,
        episodes=10,
        teacher_episodes=100,
        share=0.02,
        steps=None,
        towers=16,
        curve_points=6,
        clone_updates=20_000,
    ),
    "full": Scale(
        "full",
        seeds=5,
        random_seeds=10,
        students=10,
        episodes=10,
        teacher_episodes=100,
        share=1.0,
        steps=None,
        towers=16,
        curve_points=6,
        clone_updates=150_000,
    ),
}
