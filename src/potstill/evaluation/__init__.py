"""Evaluation of students: returns in the environment, offline scores, and summaries with confidence intervals."""

from __future__ import annotations

from typing import TYPE_CHECKING

from potstill.runtime.lazy import lazy_names

if TYPE_CHECKING:
    from potstill.evaluation.scores import policy_returns, score_offline, score_random, score_students, student_returns
    from potstill.evaluation.statistics import bootstrap_interval, interquartile_mean, summarise

__all__ = [
    "bootstrap_interval",
    "interquartile_mean",
    "policy_returns",
    "score_offline",
    "score_random",
    "score_students",
    "student_returns",
    "summarise",
]

__getattr__ = lazy_names(
    __name__,
    {
        **dict.fromkeys(("policy_returns", "score_offline", "score_random", "score_students"), "scores"),
        "student_returns": "scores",
        **dict.fromkeys(("bootstrap_interval", "interquartile_mean", "summarise"), "statistics"),
    },
)
