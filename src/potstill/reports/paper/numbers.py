"""The paper's own numbers: Tables 1 to 5 of Lei, Zhang and Tao 2024 (arXiv 2410.22728).

Scores are D4RL-normalised returns. Every row has a number for each of the nine datasets, in the order of
:data:`COLUMNS`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

FAMILIES, LEVELS = ("halfcheetah", "hopper", "walker2d"), ("medium-replay", "medium", "medium-expert")
COLUMNS = tuple(f"{family}-{level}" for family in FAMILIES for level in LEVELS)
Row = tuple[float | int, ...]

TABLE_1: Mapping[str, Row] = {
    "random": (0.9, 1.8, 2.0, 19.1, 19.2, 11.6, 1.9, 4.9, 6.7),
    "dbc": (2.5, 28.2, 29.0, 12.1, 37.8, 31.1, 6.1, 29.3, 11.7),
    "pbc": (19.4, 30.9, 20.5, 35.6, 25.1, 33.4, 41.5, 33.2, 34.0),
    "av-pbc": (35.9, 36.9, 22.0, 40.9, 32.5, 38.7, 55.0, 39.5, 42.1),
    "bc": (14.0, 42.3, 59.8, 22.9, 50.2, 51.7, 14.6, 65.9, 89.6),
    "teacher": (45.8, 47.6, 50.8, 98.0, 56.4, 107.3, 87.4, 84.0, 109.0),
}
AVERAGES_1 = {"random": 7.6, "dbc": 20.9, "pbc": 30.4, "av-pbc": 38.2, "bc": 45.7, "teacher": 70.1}
"""The averages that the paper prints. The one of ``teacher`` is not the mean of its row, which is 76.3."""

AVERAGES_2 = {
    "own": 38.2,
    "2-layer": 35.1,
    "3-layer": 41.0,
    "5-layer": 35.2,
    "6-layer": 31.7,
    "residual": 35.8,
    "adam": 39.3,
    "adamw": 39.3,
    "sgd-momentum": 38.1,
}
"""Table 2: students of another kind on the Av-PBC sets; only averages over the nine datasets are printed."""

TABLE_3: Mapping[str, Row] = {"av-pbc": (39.8, 41.4, 37.2, 39.7, 27.6, 38.8, 75.9, 58.6, 73.7)}
AVERAGES_3 = {"dbc": 27.9, "pbc": 37.9, "av-pbc": 48.1}

STEPS_4 = (40_000, 25_000, 100_000, 80_000, 50_000, 100_000, 60_000, 50_000, 125_000)
"""Table 4: steps of cloning the whole dataset until convergence."""
DISTILLED_STEPS_4 = 100.0
ROWS_4 = (200_000, 1_000_000, 2_000_000, 400_000, 1_000_000, 2_000_000, 300_000, 1_000_000, 2_000_000)

TABLE_5: Mapping[int, Mapping[str, float]] = {
    16: {"halfcheetah-medium-replay": 6.9, "hopper-medium-replay": 27.3, "walker2d-medium-replay": 14.8},
    32: {"halfcheetah-medium-replay": 15.3, "hopper-medium-replay": 29.9, "walker2d-medium-replay": 21.8},
    64: {"halfcheetah-medium-replay": 23.8, "hopper-medium-replay": 32.3, "walker2d-medium-replay": 34.0},
    128: {"halfcheetah-medium-replay": 33.2, "hopper-medium-replay": 38.1, "walker2d-medium-replay": 50.0},
    256: {"halfcheetah-medium-replay": 35.9, "hopper-medium-replay": 40.9, "walker2d-medium-replay": 55.0},
}

OUTER_STEPS: Mapping[str, Mapping[str, int]] = {
    "halfcheetah": {"dbc": 200_000, "pbc": 200_000, "av-pbc": 50_000},
    "hopper": {"dbc": 50_000, "pbc": 50_000, "av-pbc": 20_000},
    "walker2d": {"dbc": 200_000, "pbc": 200_000, "av-pbc": 50_000},
}
"""Outer steps of each objective."""


def find_number(row: Row | None, column: str | None) -> float | None:
    """Find the number of a row in a column; ``None`` if there is none.

    >>> find_number(TABLE_1["av-pbc"], "hopper-medium-replay"), find_number(TABLE_1["av-pbc"], None)
    (40.9, None)
    """
    return None if row is None or column is None else float(row[COLUMNS.index(column)])


def find_column(name: str, env_id: str | None = None, level: str | None = None) -> str | None:
    """Find the column of the paper for a dataset, by its name or else by its environment and level.

    >>> find_column("D4RL/hopper/medium-expert-v2"), find_column("hopper_medium_replay.hdf5")
    ('hopper-medium-expert', 'hopper-medium-replay')
    >>> find_column("my log", "Walker2d-v5", "medium"), find_column("hopper-expert-v2")
    ('walker2d-medium', None)
    """
    words = re.sub(r"[^a-z0-9]+", "-", name.lower())
    for column in sorted(COLUMNS, key=len, reverse=True):  # medium-replay before medium
        if re.search(rf"(^|-){column}(-|$)", words):
            return column
    column = f"{(env_id or '').split('-v')[0].lower()}-{level}"
    return column if column in COLUMNS else None
