"""Scores without an environment: of students against their teacher, and in a world model."""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import AbstractContextManager

from potstill.commands.sources import Sources
from potstill.environments.references import Reference
from potstill.evaluation.imagined import score_imagined
from potstill.evaluation.scores import score_offline
from potstill.runtime.files import JsonObject
from potstill.runtime.run_folder import RunFolder
from potstill.students.ensemble import Students
from potstill.teachers.rows import has_returns
from potstill.worlds.base import World


def compare_students(
    students: Students,
    sources: Sources | None,
    world: World | None,
    reference: Reference,
    folder: RunFolder,
    show: Callable[[str], AbstractContextManager[object]],
    *,
    episodes: int,
    seed: int,
) -> JsonObject:
    """Measure the scores that need no environment: those that the given teacher and world model allow.

    Args:
        students: trained on the pairs.
        sources: the dataset and the teacher, which is rolled out in the world model, too.
        world: the world model.
        reference: the returns that count as 0 and 100.
        folder: stores the scores; a resumed run reuses them.
        show: makes a context in which a text is displayed.
        episodes: episodes of each student in the world model.
        seed: seed of these episodes.
    """
    found: JsonObject = {}
    teacher = None if sources is None else sources.teacher
    if sources is not None and teacher is not None:
        compare = functools.partial(score_offline, students, sources.data, teacher)
        with show("comparing students with the teacher on held-out states"):
            found["offline"] = folder.compute_once("offline", compare)
    if world is not None and episodes and (sources is None or has_returns(sources.data)):
        imagine = functools.partial(score_imagined, world, students, reference)
        policy = None if teacher is None else teacher.policy
        play = functools.partial(imagine, episodes=episodes, seed=seed, teacher=policy)
        with show("episodes in the world model"):
            found["imagined"] = folder.compute_once("imagined", play)
    return found
