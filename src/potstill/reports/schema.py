"""The types of the results of ``potstill inspect``. ``result.json`` has the same keys."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from potstill.runtime.files import JsonObject


class Histogram(TypedDict):
    """Counts of B bins and their B + 1 edges."""

    counts: list[int]
    edges: list[float]


class ValueSummary(TypedDict):
    """Statistics of one number per episode."""

    min: float
    mean: float
    std: float
    median: float
    max: float
    histogram: Histogram


class EpisodeEnds(TypedDict):
    """The numbers of episodes that terminate and that are truncated, and the shares of both."""

    terminations: int
    truncations: int
    termination_share: float
    truncation_share: float


class ColumnRange(TypedDict):
    """Statistics of the finite values of one component; ``None`` if there are no finite values."""

    name: str
    min: float | None
    mean: float | None
    std: float | None
    max: float | None
    not_finite: int


class ActionStatistics(TypedDict):
    """The distribution of the actions between their bounds; lists have one entry per component."""

    low: list[float]
    high: list[float]
    at_bounds: list[float]
    at_bounds_share: float
    spans: list[float]
    histograms: list[list[int]]
    counts: NotRequired[list[int]]
    """The number of rows with each action of a finite set. The lists above are then empty."""


class Coverage(TypedDict):
    """The density and coverage of the states, see :func:`potstill.reports.dataset.measure_state_coverage`."""

    states: int
    neighbour: int
    distances: list[float]
    components: int
    plane: float
    cells_occupied: float
    cells: list[list[int]]


class EnvironmentMatch(TypedDict):
    """The environment of a dataset or, if it has none, the environments that match it."""

    declared: str | None
    fits: list[str]


class DatasetScores(TypedDict):
    """Normalised scores of the episodes, and their reference returns."""

    mean: float
    best: float
    random_return: float
    expert_return: float
    source: str
    bc: float | None


class NormaliserValues(TypedDict):
    """Mean and scale of each state component."""

    mean: list[float]
    scale: list[float]


class DatasetStatistics(TypedDict):
    """All statistics that ``potstill inspect`` computes from a dataset."""

    kind: str
    name: str
    env_id: str | None
    rows: int
    looked_at: int
    """The number of rows that ``columns``, ``actions``, ``duplicated_states`` and ``coverage`` are computed from."""
    episodes: int
    state_size: int
    action_size: int
    returns: ValueSummary
    lengths: ValueSummary
    ends: EpisodeEnds
    environment: EnvironmentMatch
    scores: DatasetScores | None
    columns: list[ColumnRange]
    actions: ActionStatistics
    duplicated_states: float
    coverage: Coverage
    normaliser: NormaliserValues
    sha256: str
    card: JsonObject


class RefusedDataset(TypedDict):
    """A file that its reader refuses: all its faults, and the columns that can be read."""

    kind: str
    name: str
    env_id: str | None
    rows: int
    refusal: str
    faults: list[str]
    columns: list[ColumnRange]
