"""Evaluation of students: returns in the environment, offline scores, and summaries with confidence intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import import_lazily

if TYPE_CHECKING:
    from potstill.evaluation.scores import (
        measure_policy_returns,
        measure_student_returns,
        score_offline,
        score_random,
        score_students,
    )
    from potstill.evaluation.statistics import bootstrap_interval, interquartile_mean, summarise

__all__ = [
    "bootstrap_interval",
    "interquartile_mean",
    "measure_policy_returns",
    "measure_student_returns",
    "score_offline",
    "score_random",
    "score_students",
    "summarise",
]

__getattr__ = import_lazily(
    __name__,
    {
        **dict.fromkeys(("measure_policy_returns", "score_offline", "score_random", "score_students"), "scores"),
        "measure_student_returns": "scores",
        **dict.fromkeys(("bootstrap_interval", "interquartile_mean", "summarise"), "statistics"),
    },
)
