"""Scores in a world model: estimates of returns without the environment."""

from __future__ import annotations

import numpy as np

from potstill.environments.references import Reference
from potstill.environments.rollouts import Act
from potstill.evaluation.statistics import summarise
from potstill.runtime.files import JsonObject
from potstill.students.ensemble import Students
from potstill.worlds.base import World
from potstill.worlds.returns import measure_imagined_returns


def score_imagined(
    world: World, students: Students, reference: Reference, *, episodes: int, seed: int, teacher: Act | None = None
) -> JsonObject:
    """Score students, and the teacher if given, in a world model.

    The scores may be far from the true returns if a policy visits states unlike those of the data.

    Returns:
        ``student`` and ``teacher``: summaries, see :func:`~potstill.evaluation.statistics.summarise`; ``best``: the
        index of the student with the highest mean; ``horizon``: the horizon of the model, in steps.
    """
    count = len(students)
    returns = measure_imagined_returns(world, students.act_separately, count * episodes, seed=seed).reshape(
        count, episodes
    )
    found: JsonObject = {
        "student": summarise(returns, reference),
        "best": int(np.argmax(returns.mean(axis=1))),
        "horizon": world.horizon,
    }
    if teacher is not None:
        found["teacher"] = summarise(
            measure_imagined_returns(world, teacher, max(10, episodes), seed=seed)[None], reference
        )
    return found
