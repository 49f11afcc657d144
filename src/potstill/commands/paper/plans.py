"""The plans of the tables of scores: their sections and rows, and the cells of each row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from potstill.commands.paper.cells import (
    SIZE,
    BaselineCell,
    Cell,
    CloneCell,
    DistillCell,
    StudentsCell,
    TeacherCell,
)
from potstill.commands.paper.methods import METHODS
from potstill.commands.paper.scales import Scale
from potstill.config.presets import DIFFERENCES
from potstill.distillation.baselines import BASELINES
from potstill.reports.paper.numbers import AVERAGES_2, COLUMNS, TABLE_1, TABLE_3, TABLE_5, find_number

Take = Literal["returns", "ensemble"]


@dataclass(frozen=True)
class RowPlan:
    """A row: one method, number of pairs and kind of student, on every dataset and with every seed."""

    key: str
    label: str
    method: str
    """One of the methods, ``teacher`` or ``clone``; or a baseline."""
    size: int = SIZE
    student: str = "own"
    take: Take = "returns"
    """Whether students are evaluated one by one or as an ensemble."""
    paper: Callable[[str | None], float | None] | None = None
    """The paper's number for a column. ``None``: the paper has no such row."""
    paper_average: float | None = None

    def list_cells(self, dataset: str, scale: Scale) -> list[Cell]:
        """The cells with the returns of the row on one dataset, one for each seed."""
        if self.method == "teacher":
            return [TeacherCell(dataset)]
        if self.method == "clone":
            return [CloneCell(dataset, seed) for seed in range(scale.seeds)]
        if self.method in BASELINES:
            return [StudentsCell(BaselineCell(dataset, self.method, seed, self.size)) for seed in range(scale.seeds)]
        count = scale.random_seeds if METHODS[self.method].is_random else scale.seeds
        distilled = [DistillCell(dataset, self.method, self.size, seed) for seed in range(count)]
        return [StudentsCell(cell, self.student) for cell in distilled]


@dataclass(frozen=True)
class SectionPlan:
    """Rows under one heading."""

    key: str
    title: str
    text: str
    rows: tuple[RowPlan, ...]


@dataclass(frozen=True)
class TablePlan:
    """A table of scores."""

    name: str
    title: str
    sections: tuple[SectionPlan, ...]
    over_size: bool = False
    """Whether the rows are numbers of pairs. Of the paper's datasets, such a table has those of medium-replay only."""

    def select_datasets(self, datasets: Iterable[str]) -> list[str]:
        """Select the datasets that the table has, by their labels.

        >>> TablePlan("x", "x", (), over_size=True).select_datasets(["hopper-medium", "hopper-medium-replay", "mine"])
        ['hopper-medium-replay', 'mine']
        """
        labels = list(datasets)
        wanted = [label for label in labels if label not in COLUMNS or label.endswith("-replay")]
        return (wanted or labels) if self.over_size else labels

    @property
    def rows(self) -> list[RowPlan]:
        """The rows of all sections."""
        return [row for section in self.sections for row in section.rows]

    def list_cells(self, datasets: list[str], scale: Scale) -> list[Cell]:
        """All cells, dataset by dataset. The teacher's returns are the denominator in every table."""
        found: list[Cell] = []
        for dataset in self.select_datasets(datasets):
            found.append(TeacherCell(dataset))
            found += [cell for row in self.rows for cell in row.list_cells(dataset, scale)]
        return found


def _make_row_lookup(key: str) -> Callable[[str | None], float | None]:
    return lambda column: find_number(TABLE_1.get(key), column)


EQUAL_TEXT = (
    "Every objective has the same states (all of the dataset with equal weights and no noise), the same initial pairs "
    "(k-means states with the data's actions), the same solver (kernel descent) and the same student (potstill's "
    "default). Only Av-PBC weights the states, by their value, because these weights define it."
)
DEFAULT_TEXT = (
    "`potstill distill --states data` without other options: the Q-gap as under equal conditions, but with potstill's "
    "weighting of states, its state noise, and the teacher's actions as initial actions."
)
PAPER_TEXT = (
    "Each objective with the settings of the paper: `--preset paper`, `paper-pbc` and `paper-dbc`. Differences:\n\n"
    + "\n".join(f"- {text}" for text in DIFFERENCES[:-1])
)
WHOLE_TEXT = (
    "BC trains the paper's network to clone the data's actions in all training rows, by Adam at 0.001 on batches of "
    "256. The teacher's mean score is the denominator of all ratios."
)


def plan_table_1(scale: Scale) -> TablePlan:
    """Objectives, under equal conditions and as in the paper; the whole data; the teacher."""
    rows = [
        RowPlan(name, method.label, name, paper=_make_row_lookup(method.row) if method.row else None)
        for name, method in METHODS.items()
    ]
    equal = tuple(row for row in rows if METHODS[row.key].group == "equal")
    default = tuple(row for row in rows if METHODS[row.key].group == "potstill")
    paper = tuple(row for row in rows if METHODS[row.key].group == "paper")
    whole = (
        RowPlan("bc", "behavioural cloning of all rows", "clone", paper=_make_row_lookup("bc")),
        RowPlan("teacher", "teacher", "teacher", paper=_make_row_lookup("teacher")),
    )
    sections = (
        SectionPlan("equal", "Under equal conditions", EQUAL_TEXT, equal),
        SectionPlan("potstill", "Defaults of potstill", DEFAULT_TEXT, default),
        SectionPlan("paper", "As in the paper", PAPER_TEXT, paper),
        SectionPlan("whole", "Whole dataset", WHOLE_TEXT, whole),
    )
    return TablePlan("table1", f"Table 1: {SIZE} pairs", sections)


STUDENT_LABELS = {
    "paper": "4 layers, SGD (the paper's student)",
    "2-layer": "2 layers",
    "3-layer": "3 layers",
    "5-layer": "5 layers",
    "6-layer": "6 layers",
    "residual": "4 layers, residual",
    "adam": "Adam, 0.001",
    "adamw": "AdamW, 0.001",
    "sgd-momentum": "SGD with momentum 0.9",
}


def plan_table_2(scale: Scale) -> TablePlan:
    """Students of other architectures and optimisers."""

    def list_rows(method: str, prefix: str, averages: Mapping[str, float]) -> tuple[RowPlan, ...]:
        return tuple(
            RowPlan(
                f"{prefix}{name}",
                label,
                method,
                student="own" if (method, name) == ("paper-av-pbc", "paper") else name,
                paper_average=averages.get("own" if name == "paper" else name),
            )
            for name, label in STUDENT_LABELS.items()
        )

    text = "Each student differs from the paper's (four layers of 256, 100 steps of SGD at 0.1) in one respect."
    sections = (
        SectionPlan("av-pbc", "Av-PBC sets, as in the paper", text, list_rows("paper-av-pbc", "", AVERAGES_2)),
        SectionPlan(
            "potstill",
            "potstill's sets",
            "The same students, on pairs that were distilled for potstill's default student. *Own* is that student.",
            (RowPlan("potstill-own", "own", "potstill"), *list_rows("potstill", "potstill-", {})),
        ),
    )
    return TablePlan("table2", "Table 2: other students", sections if scale.extends else sections[:1])


def plan_table_3(scale: Scale) -> TablePlan:
    """Ensembles: the mean action of all students of a distillate."""
    number = scale.students
    names = ("paper-dbc", "paper-pbc", "paper-av-pbc", "potstill")
    averages = {"paper-dbc": 27.9, "paper-pbc": 37.9, "paper-av-pbc": 48.1}

    def list_rows(take: Take) -> tuple[RowPlan, ...]:
        return tuple(
            RowPlan(
                f"{take}-{name}" if take == "ensemble" else name,
                METHODS[name].label,
                name,
                take=take,
                paper=_make_lookup(name, take),
                paper_average=averages.get(name) if take == "ensemble" else None,
            )
            for name in names
        )

    sections = (
        SectionPlan(
            "ensemble",
            f"Ensembles of {number}",
            "The actions of all students of a distillate are averaged. Each ensemble has at least ten episodes.",
            list_rows("ensemble"),
        ),
        SectionPlan("single", "Single students", "The same students one by one, as in Table 1.", list_rows("returns")),
    )
    return TablePlan("table3", f"Table 3: ensembles of {number}", sections)


def _make_lookup(name: str, take: Take) -> Callable[[str | None], float | None] | None:
    row = METHODS[name].row
    if row is None:
        return None
    if take == "returns":
        return _make_row_lookup(row)
    return lambda column: find_number(TABLE_3.get(row), column)


def plan_table_5(scale: Scale) -> TablePlan:
    """Numbers of pairs."""

    def list_rows(method: str, prefix: str, *, known: bool) -> tuple[RowPlan, ...]:
        rows = [RowPlan(f"{prefix}{size}", f"{size:,} pairs", method, size=size) for size in scale.sizes]
        return tuple(replace(row, paper=_make_size_lookup(row.size)) if known else row for row in rows)

    text = f"Av-PBC as in the paper. The paper reports N up to {SIZE}, on the medium-replay datasets."
    sections = (
        SectionPlan("av-pbc", "Av-PBC, as in the paper", text, list_rows("paper-av-pbc", "", known=True)),
        SectionPlan("potstill", "potstill", "All defaults.", list_rows("potstill", "potstill-", known=False)),
    )
    shown = sections if scale.extends else sections[:1]
    return TablePlan("table5", "Table 5: numbers of pairs", shown, over_size=True)


def _make_size_lookup(size: int) -> Callable[[str | None], float | None]:
    return lambda column: TABLE_5.get(size, {}).get(column or "")


BASELINE_LABELS = {
    "random-rows": "random rows",
    "medoids": "k-means medoids, teacher's actions",
    "best-episodes": "rows of the best episodes",
    "longest-episodes": "rows of the longest episodes",
    "sdr": "SDR",
    "sdw": "SDW",
    "gradient-matching": "gradient matching",
    "distribution-matching": "distribution matching",
    "trajectory-matching": "trajectory matching",
    "hades": "HaDES (plays in the environment)",
}
BASELINES_TEXT = (
    "Pairs and students of all rows are those of the paper's student (four layers of 256, 100 steps of SGD at 0.1), "
    "with the same teacher; `docs/explanation/baselines.md` describes each method. HaDES is the only one that plays in "
    "the environment."
)
STUDENT_TEXT = "PBC, Av-PBC and potstill's defaults, for the same student, solved by kernel descent."


def plan_baselines(scale: Scale) -> TablePlan:
    """Baselines of the field, and potstill's pairs for the same student."""
    baselines = tuple(
        RowPlan(name, BASELINE_LABELS.get(name, name), name, paper=_make_row_lookup("random") if i == 0 else None)
        for i, name in enumerate(BASELINES)
    )
    distilled = tuple(
        RowPlan(name, method.label, name) for name, method in METHODS.items() if method.group == "baselines"
    )
    sections = (
        SectionPlan("baselines", "Baselines", BASELINES_TEXT, baselines),
        SectionPlan("distilled", "Distilled by potstill", STUDENT_TEXT, distilled),
        SectionPlan("whole", "Whole dataset", WHOLE_TEXT, (RowPlan("teacher", "teacher", "teacher"),)),
    )
    return TablePlan("baselines", f"Baselines: {SIZE} pairs", sections)


SCORE_TABLES: Mapping[str, Callable[[Scale], TablePlan]] = {
    "table1": plan_table_1,
    "table2": plan_table_2,
    "table3": plan_table_3,
    "table5": plan_table_5,
    "baselines": plan_baselines,
}
