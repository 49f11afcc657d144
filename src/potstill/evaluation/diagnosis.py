"""Diagnose students: sentences about problems with their actions and returns, each with a remedy to try."""

from __future__ import annotations

import numpy as np

from potstill.data.split import select_held_out_rows
from potstill.data.transitions import Transitions
from potstill.runtime.files import JsonMapping
from potstill.students.ensemble import Students
from potstill.teachers.diagnosis import STILL

SAMPLED = 256  # held-out states in which students act


def diagnose_students(students: Students, data: Transitions, result: JsonMapping) -> list[str]:
    """List the problems of students, one sentence each, with a remedy to try. The list is empty if there are none.

    Args:
        students: trained on the pairs.
        data: the dataset that the pairs were distilled from.
        result: the scores so far: ``student`` and ``random`` in the environment, ``offline`` against the teacher.
    """
    taken = data.take(select_held_out_rows(len(data))[:SAMPLED])
    given = data.action_bounds.to_unit(taken.actions).std(axis=0)
    acted = [students.make_policy(i).compute_unit_actions(taken.observations) for i in range(len(students))]
    own = np.stack(acted).std(axis=1)
    still = bool((own < STILL).all()) and bool((given > 2 * STILL).any())
    return [
        *([_describe_still(float(given.max()))] if still else []),
        *([] if still else _find_poor_imitation(result.get("offline"))),
        *_find_below_random(result),
    ]


def _describe_still(deviation: float) -> str:
    return (
        "the students take the same action in every state, although the data's actions vary (standard deviation "
        f"{deviation:.2f}, bounds ±1). Inspect the teacher first (potstill inspect): if its actions vary, the pairs "
        "are at fault"
    )


def _find_poor_imitation(offline: JsonMapping | None) -> list[str]:
    if not offline or "teacher_variance" not in offline:
        return []
    error, variance = offline["imitation_error"]["mean"], offline["teacher_variance"]
    if error < variance or variance < STILL**2:
        return []
    return [
        f"the students imitate the teacher no better than one constant action would (error {error:.3g}, variance of "
        f"the teacher's actions {variance:.3g}); try more pairs, or more outer steps"
    ]


def _find_below_random(result: JsonMapping) -> list[str]:
    student, random = result.get("student"), result.get("random")
    if not student or not random or student["mean"] >= random["mean"]:
        return []
    return [
        f"the students score lower than students trained on random pairs of the data ({student['mean']:.1f} and "
        f"{random['mean']:.1f}): try another teacher, more pairs, or the objective pbc"
    ]
