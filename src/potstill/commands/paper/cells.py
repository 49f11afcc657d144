"""The cells of the tables and figures: plain declarations, each measured once for all tables that need it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from potstill.commands.paper.methods import METHODS
from potstill.commands.paper.scales import Scale
from potstill.students.recipe import RECIPES, Recipe

SIZE = 256
OTHER_STUDENTS: Mapping[str, Recipe] = {
    "2-layer": Recipe(layers=2),
    "3-layer": Recipe(layers=3),
    "5-layer": Recipe(layers=5),
    "6-layer": Recipe(layers=6),
    "residual": Recipe(residual=True),
    "adam": Recipe(optimiser="adam", learning_rate=1e-3),
    "adamw": Recipe(optimiser="adamw", learning_rate=1e-3),
    "sgd-momentum": Recipe(momentum=0.9),
}
"""The students of Table 2: the paper's (four layers of 256, SGD at 0.1) with one change each."""
PAPER_STUDENT = RECIPES["paper"]


@dataclass(frozen=True)
class TeacherCell:
    """The returns of a dataset's teacher: the bundled one, one trained on the same data before, or a new one."""

    dataset: str

    @property
    def name(self) -> str:
        """Names the cell and its folder."""
        return f"{self.dataset}-teacher"

    @property
    def needs(self) -> tuple[Cell, ...]:
        """Cells that are measured before."""
        return ()

    def estimate_cost(self, scale: Scale) -> float:
        """Estimate the seconds that the cell takes on a core. The remaining time depends only on their ratios."""
        return 3.0 + 0.1 * scale.teacher_episodes

    def __str__(self) -> str:
        return f"{self.dataset}: teacher"


@dataclass(frozen=True)
class DistillCell:
    """A run of ``potstill distill``."""

    dataset: str
    method: str
    size: int = SIZE
    seed: int = 0

    @property
    def name(self) -> str:
        """Names the cell and its folder."""
        return f"{self.dataset}-{self.method}-{self.size}-{self.seed}"

    @property
    def needs(self) -> tuple[Cell, ...]:
        """Cells that are measured before."""
        return (TeacherCell(self.dataset),)

    def has_curve(self, scale: Scale) -> bool:
        """Whether students are evaluated at several outer steps, for Figure 1."""
        method = METHODS[self.method]
        return self.size == SIZE and not method.is_random and method.group in scale.curve_groups

    def estimate_cost(self, scale: Scale) -> float:
        """Estimate the seconds that the cell takes on a core."""
        method = METHODS[self.method]
        if method.is_random:
            return 8.0
        if method.group == "paper":
            steps, points = (
                scale.count_outer_steps("hopper", str(method.row)),
                20 if scale.as_printed else scale.curve_points,
            )
            return 15.0 + 0.4 * steps * (0.2 + self.size / 320) + 3.0 * points * self.has_curve(scale)
        towers = scale.towers / 16
        return 14.0 + 0.1 * (scale.steps or 120) + scale.curve_points * self.has_curve(scale) * (3.0 + 5.0 * towers)

    def __str__(self) -> str:
        method = METHODS[self.method]
        group = {"equal": " under equal conditions", "paper": " as in the paper"}.get(method.group, "")
        return f"{self.dataset}: {method.label}{group}, {self.size} pairs, seed {self.seed}"


@dataclass(frozen=True)
class BaselineCell:
    """The pairs of a baseline, made for the paper's student."""

    dataset: str
    baseline: str
    seed: int = 0
    size: int = SIZE

    @property
    def name(self) -> str:
        """Names the cell and its folder."""
        return f"{self.dataset}-{self.baseline}-{self.size}-{self.seed}"

    @property
    def needs(self) -> tuple[Cell, ...]:
        """Cells that are measured before."""
        return (TeacherCell(self.dataset),)

    def has_curve(self, scale: Scale) -> bool:
        """Whether students are evaluated at several outer steps: never."""
        return False

    def estimate_cost(self, scale: Scale) -> float:
        """Estimate the seconds that the cell takes on a core."""
        return 15.0 + 60.0 * scale.baseline_share

    def __str__(self) -> str:
        return f"{self.dataset}: {self.baseline}, {self.size} pairs, seed {self.seed}"


@dataclass(frozen=True)
class StudentsCell:
    """A run of ``potstill evaluate``: students of a distillate, one by one and as an ensemble."""

    of: DistillCell | BaselineCell
    student: str = "own"
    """``own``: as the distillate's recipe says; else one of :data:`OTHER_STUDENTS`, or ``paper``."""

    @property
    def dataset(self) -> str:
        """The label of the dataset."""
        return self.of.dataset

    @property
    def name(self) -> str:
        """Names the cell and its folder."""
        return f"{self.of.name}-{self.student}"

    @property
    def needs(self) -> tuple[Cell, ...]:
        """Cells that are measured before."""
        return (self.of,)

    @property
    def recipe(self) -> Recipe | None:
        """The students, if they are not those of the distillate's recipe."""
        return None if self.student == "own" else {"paper": PAPER_STUDENT, **OTHER_STUDENTS}[self.student]

    def estimate_cost(self, scale: Scale) -> float:
        """Estimate the seconds that the cell takes on a core."""
        small = isinstance(self.of, BaselineCell) or METHODS[self.of.method].group in ("paper", "baselines")
        towers = 0.1 if small or self.student != "own" else scale.towers / 16
        return 4.0 + scale.students * (2.5 * towers + 0.1 * scale.episodes)

    def __str__(self) -> str:
        return f"{self.of}, {'students' if self.student == 'own' else f'{self.student} students'}"


@dataclass(frozen=True)
class CloneCell:
    """Behavioural cloning of the whole dataset, with the held-out loss over its steps."""

    dataset: str
    seed: int = 0

    @property
    def name(self) -> str:
        """Names the cell."""
        return f"{self.dataset}-clone-{self.seed}"

    @property
    def needs(self) -> tuple[Cell, ...]:
        """Cells that are measured before."""
        return (TeacherCell(self.dataset),)

    def estimate_cost(self, scale: Scale) -> float:
        """Estimate the seconds that the cell takes on a core."""
        return 5.0 + 0.005 * scale.clone_updates

    def __str__(self) -> str:
        return f"{self.dataset}: behavioural cloning of all rows, seed {self.seed}"


@dataclass(frozen=True)
class TraceCell:
    """The training of a student of a distillate, step by step."""

    of: DistillCell

    @property
    def dataset(self) -> str:
        """The label of the dataset."""
        return self.of.dataset

    @property
    def name(self) -> str:
        """Names the cell."""
        return f"{self.of.name}-trace"

    @property
    def needs(self) -> tuple[Cell, ...]:
        """Cells that are measured before."""
        return (self.of,)

    def estimate_cost(self, scale: Scale) -> float:
        """Estimate the seconds that the cell takes on a core."""
        return 8.0 + scale.towers

    def __str__(self) -> str:
        return f"{self.of}, the training of a student"


@dataclass(frozen=True)
class PostureCell:
    """Height and angle of the torso in the states of a distillate or of the dataset, before and after one step."""

    dataset: str
    of: DistillCell | None = None

    @property
    def name(self) -> str:
        """Names the cell."""
        return f"{self.of.name if self.of else self.dataset}-posture"

    @property
    def needs(self) -> tuple[Cell, ...]:
        """Cells that are measured before."""
        return (self.of,) if self.of else ()

    def estimate_cost(self, scale: Scale) -> float:
        """Estimate the seconds that the cell takes on a core."""
        return 4.0

    def __str__(self) -> str:
        return f"{self.of or self.dataset}, posture before and after one step"


@dataclass(frozen=True)
class TheoryCell:
    """The theorems on random MDPs at one discount. It uses no dataset."""

    discount: float
    dataset: str = ""

    @property
    def name(self) -> str:
        """Names the cell."""
        return f"theory-{self.discount:g}"

    @property
    def needs(self) -> tuple[Cell, ...]:
        """Cells that are measured before."""
        return ()

    def estimate_cost(self, scale: Scale) -> float:
        """Estimate the seconds that the cell takes on a core."""
        return 0.012 * scale.mdps

    def __str__(self) -> str:
        return f"theorems on random MDPs, γ = {self.discount:g}"


Cell: TypeAlias = (
    TeacherCell | DistillCell | BaselineCell | StudentsCell | CloneCell | TraceCell | PostureCell | TheoryCell
)
"""Two equal cells are one measurement."""


def order_cells(wanted: list[Cell]) -> list[Cell]:
    """Order cells: each once, after the cells that it needs, grouped by dataset.

    >>> [cell.name for cell in order_cells([CloneCell("x"), CloneCell("x")])]
    ['x-teacher', 'x-clone-0']
    """
    ordered: dict[Cell, None] = {}

    def add(cell: Cell) -> None:
        for needed in cell.needs:
            add(needed)
        ordered.setdefault(cell)

    for cell in wanted:
        add(cell)
    datasets = list(dict.fromkeys(cell.dataset for cell in wanted))
    return sorted(ordered, key=lambda cell: datasets.index(cell.dataset))  # sorting keeps the order of equals
