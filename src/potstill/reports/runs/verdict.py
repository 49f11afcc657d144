"""The verdict on a run, in sentences that follow from its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from potstill.evaluation.statistics import Result
from potstill.reports.runs.record import RunRecord
from potstill.reports.text import count_students, format_number, format_percent
from potstill.runtime.files import JsonMapping

WIDE = 0.25  # standard deviation over students, relative to their mean, above which the verdict advises more students


def judge_run(record: RunRecord) -> list[str]:
    """Judge one run: what its students reach, against what, how sure this is, and what was not measured.

    The first sentence is the headline.
    """
    if record.result.get("student"):
        sentences = [_judge_return(record), *_judge_certainty(record), *_judge_baselines(record)]
        sentences += _judge_spread(record)
    else:
        sentences = [_judge_imitation(record), *_explain_missing_returns(record)]
    if record.result.get("student") and record.offline:
        sentences.append(_judge_imitation(record))
    return [*sentences, *_judge_gap(record.offline), *_judge_imagined(record.result)]


def _format_score(value: float, record: RunRecord) -> str:
    return f"{value:.1f}" if record.is_normalised else format_number(value)


def _count_pairs(record: RunRecord) -> str:
    pairs = record.result.get("pairs")
    return f"{pairs:,} pairs" if isinstance(pairs, int) else "The pairs"


def _judge_return(record: RunRecord) -> str:
    student, teacher = record.result["student"], record.result.get("teacher")
    reached = f"a {record.label} of {_format_score(student['mean'], record)}"
    if not teacher:
        return f"{_count_pairs(record)} train students that reach {reached}."
    known = _format_score(teacher["mean"], record)
    if record.is_normalised and teacher["mean"] > 0.0:
        share = format_percent(student["mean"] / teacher["mean"], 0)
        return f"{_count_pairs(record)} train a student to {share} of its teacher: {reached}, the teacher's is {known}."
    return f"{_count_pairs(record)} train a student that reaches {reached}; its teacher reaches {known}."


def _judge_certainty(record: RunRecord) -> list[str]:
    """Compare the intervals of the student and of the teacher."""
    student, teacher = record.result["student"], record.result.get("teacher") or {}
    if "interval" not in student:
        return []
    own = _format_interval(student["interval"], record)
    text = f"The 95 % interval of the students' interquartile mean is {own}"
    if "interval" not in teacher:
        return [f"{text}."]
    other = _format_interval(teacher["interval"], record)
    if is_overlapping(student["interval"], teacher["interval"]):
        return [f"{text}, the teacher's is {other}. They overlap: these episodes leave open which is better."]
    worse = student["interval"][1] < teacher["interval"][0]
    return [f"{text}, the teacher's is {other}: the students are {'worse' if worse else 'better'}, beyond chance."]


def _format_interval(interval: Sequence[float], record: RunRecord) -> str:
    return " to ".join(_format_score(end, record) for end in interval)


def is_overlapping(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two intervals have a common point.

    >>> is_overlapping((0.0, 2.0), (2.0, 3.0)), is_overlapping((0.0, 1.0), (2.0, 3.0))
    (True, False)
    """
    return bool(one[0] <= other[1] and other[0] <= one[1])


def _judge_baselines(record: RunRecord) -> list[str]:
    result, reached = record.result, record.result["student"]["mean"]
    sentences = []
    if result.get("random"):
        value = result["random"]["mean"]
        gain = f"distillation adds {_format_score(reached - value, record)}"
        lost = f"they are better by {_format_score(value - reached, record)}"
        sentences.append(
            f"The same number of random real pairs gives {_format_score(value, record)}: "
            f"{gain if reached >= value else lost}."
        )
    if result.get("bc"):
        sentences.append(
            f"Behavioural cloning of the whole dataset gives {_format_score(result['bc']['mean'], record)}."
        )
    return sentences


def _judge_spread(record: RunRecord) -> list[str]:
    """Say how much students differ if the differences are large."""
    student = record.result["student"]
    means = [sum(one) / len(one) for one in student.get("returns") or () if one]
    if student.get("std_over") != "policies" or len(means) < 2 or student["std"] <= WIDE * abs(student["mean"]):
        return []
    return [
        f"Students differ much: from {_format_score(min(means), record)} to {_format_score(max(means), record)} "
        f"(standard deviation {_format_score(student['std'], record)} over {count_students(len(means))}). Train "
        "several and choose one or average them."
    ]


def _judge_imitation(record: RunRecord) -> str:
    offline = record.offline
    if "imitation_error" not in offline:
        return "Nothing was measured about students of these pairs: there is neither an environment nor a teacher."
    error, variance = offline["imitation_error"], offline.get("teacher_variance")
    where = f"on {offline['states']:,} held-out states" if "states" in offline else "on held-out states"
    text = f"{count_students(offline.get('students', 1))} differ from the teacher {where} by an imitation error of"
    text = text.replace("1 student differ", "1 student differs")
    if not variance:
        return f"{text} {error['mean']:.3g} ± {error['std']:.2g}."
    share = format_percent(error["mean"] / variance, 0)
    return (
        f"{text} {error['mean']:.3g} ± {error['std']:.2g} over students: {share} of that of the best constant action "
        f"({variance:.3g})."
    )


def _explain_missing_returns(record: RunRecord) -> list[str]:
    if record.result.get("env_id"):
        return ["No episodes were rolled out, so returns of students are not known."]
    return ["No environment is known, so students cannot be rolled out, and their returns are not known."]


def _judge_gap(offline: JsonMapping) -> list[str]:
    if "q_gap" not in offline:
        return []
    gap = offline["q_gap"]["mean"]
    return [
        f"By the teacher's critics, an action of a student is worth {gap:.3g} standard deviations of q* less than the "
        "teacher's (Q-gap)."
    ]


def _judge_imagined(result: Result) -> list[str]:
    if not result.get("imagined"):
        return []
    score = result["imagined"]["student"]
    return [f"In the world model, which may be wrong, a student reaches {score['mean']:.1f} ± {score['std']:.1f}."]


def compare_runs(records: Sequence[RunRecord]) -> list[str]:
    """Say which run on each dataset is best, and whether its interval is clear of the others."""
    sentences = []
    for title in dict.fromkeys(record.title for record in records):
        found = [r for r in records if r.title == title and "interval" in (r.result.get("student") or {})]
        if len(found) < 2:
            continue
        best = max(found, key=lambda record: record.result["student"]["iqm"])
        own = best.result["student"]["interval"]
        tied = [r.name for r in found if r is not best and is_overlapping(own, r.result["student"]["interval"])]
        text = f"{title}: {best.name} has the highest interquartile mean"
        sentences.append(
            f"{text}, but its 95 % interval overlaps that of {', '.join(tied)}."
            if tied
            else f"{text}, with a 95 % interval above all others."
        )
    return sentences
