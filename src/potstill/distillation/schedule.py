"""The outer schedule: the learning rate of each outer step, and the number of steps.

With a given number of steps, the learning rate follows a cosine from its full value to 0. Without one, the schedule
observes the loss on held-out states: whenever ten steps have not lowered it by 1.5 %, the rate halves, and once it is
below a twentieth the pairs have converged and the loop ends. A budget of seconds is met by timing a few steps whose
result is discarded. If fewer than twice the usual number of steps fit, their number is set from the budget; otherwise
the schedule finds it. The paper's SGD keeps its rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from potstill.runtime import devices
from potstill.students.training import Pairs

USUAL_STEPS = 150  # roughly what the default needs to converge
OBSERVE_EVERY = 10  # steps between two evaluations of the held-out loss
LEAST_GAIN = 0.015  # relative fall of the loss in as many steps; below it the rate falls
RATE_FACTOR = 0.5  # by which the rate then falls
LEAST_RATE = 0.05  # of the full rate; below it the loop ends
MAX_STEPS = 600  # whatever the loss does
TIMED_STEPS = 5  # steps from which a budget is estimated
ROOM = 2  # times the usual number of steps that must fit for the schedule to find their number
PLANNED_SHARE = 0.9  # of the remaining budget; the rest absorbs validation and timing noise


@dataclass
class Schedule:
    """The learning rate of each outer step, and when to stop. It keeps state: use a new one for each run.

    Example:
        >>> schedule = Schedule(steps=100)
        >>> schedule.rate_at(1), round(schedule.rate_at(51), 2), schedule.continues(101)
        (1.0, 0.5, False)
    """

    steps: int | None
    """The number of outer steps, or ``None`` to find it."""
    held_out_loss: Callable[[Pairs], float] | None = None
    """The loss that is observed to find it."""
    decays: bool = True
    """Whether the rate falls at all."""
    budget: float | None = None
    """Seconds that may pass since ``started``."""
    started: float = field(default_factory=time.perf_counter)
    """When the budget begins, by :func:`time.perf_counter`."""
    max_steps: int = MAX_STEPS
    """Largest number of steps that the schedule can find."""
    losses: dict[int, float] = field(default_factory=dict)
    """The observed loss, by outer step."""
    rate: float = 1.0
    """The current rate as a fraction of the full one, when the number of steps is being found."""

    def fit_budget(self, step: Callable[[], object]) -> None:
        """Meet the budget, if there is one: set the number of steps, unless there is time to find it.

        Args:
            step: takes one outer step and waits for it; its result is discarded.
        """
        if self.budget is None:
            return
        step()  # compiles
        began = time.perf_counter()
        for _ in range(TIMED_STEPS):
            step()
        seconds_per_step = (time.perf_counter() - began) / TIMED_STEPS
        left = PLANNED_SHARE * (self.budget - (time.perf_counter() - self.started))
        fitting = int(devices.broadcast(max(0.0, left / seconds_per_step)))
        if self.steps is not None or fitting < ROOM * USUAL_STEPS:
            self.steps = min(fitting, self.steps or USUAL_STEPS)
        self.max_steps = min(MAX_STEPS, fitting)

    @property
    def expected_steps(self) -> int:
        """The number of steps, or the current estimate of it."""
        if self.steps is not None:
            return self.steps
        return min(self.max_steps, max(USUAL_STEPS, max(self.losses, default=0) + OBSERVE_EVERY))

    def continues(self, step: int) -> bool:
        """Whether there is a ``step``, counted from 1."""
        if self.steps is None:
            return step <= self.max_steps and self.rate >= LEAST_RATE
        return step <= self.steps

    def rate_at(self, step: int) -> float:
        """The learning rate of ``step`` as a fraction of the full one."""
        if not self.decays:
            return 1.0
        return self.rate if self.steps is None else 0.5 * (1.0 + math.cos(math.pi * (step - 1) / self.steps))

    def observe(self, step: int, pairs: Pairs) -> None:
        """Evaluate the held-out loss of ``pairs`` after ``step`` (0: initial pairs); halve the rate on a plateau."""
        if self.steps is not None or step % OBSERVE_EVERY:
            return
        if self.held_out_loss is None:
            raise ValueError("a held-out loss is needed to find the number of steps")
        least = min(self.losses.values(), default=math.inf)
        self.losses[step] = devices.broadcast(self.held_out_loss(pairs))
        if self.losses[step] > (1.0 - LEAST_GAIN) * least:
            self.rate *= RATE_FACTOR

    def summarise(self, taken: int) -> dict[str, object]:
        """What happened in ``taken`` steps: their number, how it was found, the observed losses, and a sentence."""
        spent = time.perf_counter() - self.started
        budget = "" if self.budget is None else f" of the {self.budget:g}"
        words = f"{taken:,} outer steps in {spent:.1f} s{budget}"
        if self.steps is None:
            how = "settled" if self.rate < LEAST_RATE else "most"  # as result files have called it since 0.1
            ending = {"settled": "the pairs have converged", "most": "the pairs had not converged yet"}[how]
            first, last = (self.losses[step] for step in (min(self.losses), max(self.losses)))
            words += f": {ending}, the loss on held-out states fell from {first:.3g} to {last:.3g}"
        else:
            how = "given" if self.budget is None else "budget"
            if self.budget is not None:
                words += ": as many as fit, or as pairs usually need" if taken else ": setting up used the whole budget"
        return {"steps": taken, "how": how, "looks": self.losses, "in words": words}
