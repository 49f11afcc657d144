"""The stages of the outer loop: smaller students first, if the settings ask for them; at the end, the polish."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple

from potstill.distillation.schedule import Schedule
from potstill.distillation.settings import OuterSettings
from potstill.distillation.solvers.base import Solver
from potstill.distillation.solvers.unroll import Unroll


class Stage(NamedTuple):
    """Outer steps that share one compiled update."""

    solver: Solver
    settings: OuterSettings
    schedule: Schedule
    last: int | None = None
    """The last step of the stage. ``None``: the schedule decides."""
    resets: bool = False
    """Whether the optimiser and the step count of the schedule are reset."""


def make_stages(solver: Solver, schedule: Schedule, settings: OuterSettings) -> Iterator[Stage]:
    """Make one stage for each of ``settings.widths`` and for the recipe's width, with equal shares; then the polish."""
    for i, width in enumerate(settings.widths, start=1):
        last = (schedule.steps or 0) * i // (len(settings.widths) + 1)
        yield Stage(solver.with_recipe(dataclasses.replace(solver.recipe, width=width)), settings, schedule, last)
    yield Stage(solver, settings, schedule)
    if settings.polish:
        slower = dataclasses.replace(settings, learning_rate=0.1 * settings.learning_rate)
        yield Stage(Unroll(solver.recipe), slower, Schedule(settings.polish, decays=schedule.decays), resets=True)
