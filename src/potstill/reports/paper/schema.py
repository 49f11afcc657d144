"""The contents of the tables and figures as plain records. ``result.json`` has the same keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from potstill.evaluation.aggregation import Retention

Comparison = Literal["above", "below", "inside"]


@dataclass(frozen=True)
class Score:
    """The score of one row on one dataset: the mean normalised return over seeds, students and episodes."""

    mean: float
    low: float
    """Lower end of the 95 % bootstrap interval of the mean."""
    high: float
    raw: float
    """Mean of the undiscounted returns."""
    retention: float | None
    """``mean`` divided by the mean score of the dataset's teacher, if the latter is above 0."""
    seeds: int
    students: int
    episodes: int
    last_points: float | None = None
    """Mean score over the last five points of the curves, as in the paper, if the curves have at least five."""

    def compare(self, paper: float) -> Comparison:
        """Compare with the paper's number: ours is above or below it, or our interval contains it."""
        return "above" if self.low > paper else "below" if self.high < paper else "inside"


@dataclass(frozen=True)
class Row:
    """A row of a table of scores."""

    key: str
    """Name of the row in result files."""
    label: str
    scores: dict[str, Score | None]
    """Scores by dataset; ``None`` if a cell failed."""
    paper: dict[str, float | None] = field(default_factory=dict)
    """The paper's numbers by dataset; empty if the paper has no such row."""
    paper_average: float | None = None
    """The paper's average over its nine datasets, if it prints only the average."""
    retention: Retention | None = None
    """Retention over all datasets of the row."""


@dataclass(frozen=True)
class Section:
    """Rows under one heading."""

    key: str
    title: str
    text: str
    """A description of what the rows have in common."""
    rows: list[Row]


@dataclass(frozen=True)
class Dataset:
    """A column: a dataset and its teacher."""

    label: str
    column: str | None
    """The column of the paper, or ``None``."""
    env_id: str
    rows: int
    teacher: Score | None
    """Scores of the teacher; the mean is the denominator of all ratios."""


@dataclass(frozen=True)
class ScoreTable:
    """Tables 1, 2, 3 and 5."""

    name: str
    title: str
    datasets: list[Dataset]
    sections: list[Section]
    over_size: bool = False
    """Whether the rows are numbers of pairs, which the picture shows on an axis."""

    def find_row(self, key: str) -> Row | None:
        """Find the row with a key in any section."""
        return next((row for section in self.sections for row in section.rows if row.key == key), None)


@dataclass(frozen=True)
class Convergence:
    """A line of Table 4: a way to train a policy on one dataset, or on a distillate of it."""

    key: str
    label: str
    dataset: str
    rows: int
    """Number of training rows or pairs."""
    batch: int
    """Rows in a step."""
    steps: float
    """Steps until convergence, mean over seeds."""
    updates: int
    """Steps of the whole run."""
    seconds: float
    """Seconds until convergence, mean over seeds."""
    lowest: float
    """The lowest held-out loss, mean over seeds."""
    score: Score | None
    """Score of the policy at the end of its training."""
    paper: float | None
    """The paper's number of steps."""
    losses: list[list[tuple[int, float]]]
    """Pairs (step, held-out loss) for each seed."""


@dataclass(frozen=True)
class Curve:
    """A line of Figure 1: scores over outer steps."""

    key: str
    label: str
    group: str
    dataset: str
    steps: list[float]
    seeds: list[list[float]]
    """Scores at these steps, interpolated, for each distillation seed."""
    paper: float | None
    """The score in Table 1 of the paper."""


@dataclass(frozen=True)
class Posture:
    """A line of Figure 2: errors of height or angle in the states of one set, before and after one step."""

    key: str
    label: str
    dataset: str
    quantity: Literal["height", "angle"]
    states: int
    before: tuple[float, float, float]
    """The mean, and the ends of its 95 % bootstrap interval."""
    after: tuple[float, float, float]
    change: tuple[float, float, float]
    """Mean and interval of the differences after − before, per state."""
    excess: tuple[float, float, float] | None
    """The error before the step minus that of the dataset's states. ``None`` for the dataset itself."""
