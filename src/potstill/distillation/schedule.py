"""The outer schedule: the learning rate of each outer step, and the number of steps.

If the number of steps is given, the learning rate decays from its initial value to 0 by a cosine. Otherwise the
schedule observes the loss on held-out states. Whenever ten steps have not lowered it by 1.5 %, the rate is halved. The
pairs have converged, and the loop ends, when the rate is below a twentieth of its initial value. For a budget of
seconds, a few steps are timed and their result discarded; at least five are taken. If fewer than twice the usual number
of steps fit in the budget, the budget sets their number; otherwise the loop runs until convergence. The paper's SGD has
a constant rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from potstill.errors import PotstillError
from potstill.runtime import devices
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges
from potstill.students.training import Pairs

USUAL_STEPS = 150  # about the number after which the default converges
OBSERVE_EVERY = 10  # steps between two evaluations of the held-out loss
LEAST_GAIN = 0.015  # least relative decrease of the loss between evaluations; the rate is halved below it
RATE_FACTOR = 0.5  # factor on the rate at a plateau
LEAST_RATE = 0.05  # fraction of the initial rate below which the loop ends
MAX_STEPS = 600  # limit on the number of steps if it is not given
TIMED_STEPS = 5  # steps that are timed to fit a budget
LEAST_STEPS = 5  # steps that are taken even if the setup has used up the budget
ROOM = 2  # multiple of the usual number of steps that must fit in a budget to run until convergence
PLANNED_SHARE = 0.9  # share of the remaining budget to plan for; the rest absorbs evaluations and timing noise


@check_arguments
@dataclass
class Schedule:
    """The learning rate of each outer step, and when to stop. It is mutable: use a new object for each run.

    Raises:
        PotstillError: a field has a wrong type or is out of range, or there is neither a number of steps nor a loss.

    Example:
        >>> schedule = Schedule(steps=100)
        >>> schedule.compute_rate(1), round(schedule.compute_rate(51), 2), schedule.continues(101)
        (1.0, 0.5, False)
    """

    steps: int | None
    """The number of outer steps, or ``None`` to run until convergence."""
    held_out_loss: Callable[[Pairs], float] | None = None
    """The loss that is observed if the number of steps is not given."""
    decays: bool = True
    """Whether the learning rate decays."""
    budget: float | None = None
    """Seconds that the loop may take, counted from ``started``."""
    started: float = field(default_factory=time.perf_counter)
    """Start of the budget, by :func:`time.perf_counter`."""
    max_steps: int = MAX_STEPS
    """Largest number of steps if it is not given."""
    losses: dict[int, float] = field(default_factory=dict)
    """The observed losses, by outer step."""
    rate: float = 1.0
    """The current rate as a fraction of the initial one, if the number of steps is not given."""

    def __post_init__(self) -> None:
        check_ranges(self, steps=0, budget=0.0, max_steps=0, rate=0.0)
        if self.steps is None and self.held_out_loss is None:
            raise PotstillError("Schedule.steps is None: expected Schedule.held_out_loss, which decides when to stop")

    def fit_budget(self, step: Callable[[], object]) -> None:
        """Set or limit the number of steps so that the budget suffices. Without a budget, do nothing.

        Args:
            step: takes one outer step and waits for it. The result is discarded.
        """
        if self.budget is None:
            return
        step()  # compiles
        began = time.perf_counter()
        for _ in range(TIMED_STEPS):
            step()
        seconds_per_step = (time.perf_counter() - began) / TIMED_STEPS
        left = PLANNED_SHARE * (self.budget - (time.perf_counter() - self.started))
        fitting = max(LEAST_STEPS, int(devices.broadcast(max(0.0, left / seconds_per_step))))
        if self.steps is not None or fitting < ROOM * USUAL_STEPS:
            self.steps = min(fitting, self.steps or USUAL_STEPS)
        self.max_steps = min(self.max_steps, fitting)

    @property
    def step_limit(self) -> int | None:
        """The largest number of steps, if a budget sets it and the pairs have not converged yet."""
        limited = self.budget is not None and self.steps is None and self.rate >= LEAST_RATE
        return self.max_steps if limited else None

    @property
    def expected_steps(self) -> int:
        """The number of steps, or its current estimate."""
        if self.steps is not None:
            return self.steps
        return min(self.max_steps, max(USUAL_STEPS, max(self.losses, default=0) + OBSERVE_EVERY))

    def continues(self, step: int) -> bool:
        """Whether to take step number ``step``, counted from 1."""
        if self.steps is None:
            return step <= self.max_steps and self.rate >= LEAST_RATE
        return step <= self.steps

    def compute_rate(self, step: int) -> float:
        """Compute the learning rate of ``step`` as a fraction of the initial one."""
        if not self.decays:
            return 1.0
        return self.rate if self.steps is None else 0.5 * (1.0 + math.cos(math.pi * (step - 1) / self.steps))

    def observe(self, step: int, pairs: Pairs) -> None:
        """Evaluate the held-out loss of ``pairs`` after ``step`` (0: initial pairs); halve the rate on a plateau."""
        if self.steps is not None or self.held_out_loss is None or step % OBSERVE_EVERY:
            return
        least = min(self.losses.values(), default=math.inf)
        self.losses[step] = devices.broadcast(self.held_out_loss(pairs))
        if self.losses[step] > (1.0 - LEAST_GAIN) * least:
            self.rate *= RATE_FACTOR

    def summarise(self, taken: int) -> dict[str, object]:
        """Summarise a run of ``taken`` steps: how their number was determined, the observed losses, and a sentence."""
        spent = time.perf_counter() - self.started
        budget = "" if self.budget is None else f" of {self.budget:g} s"
        words = f"{taken:,} outer steps in {spent:.1f} s{budget}"
        if self.steps is None:
            how = "converged" if self.rate < LEAST_RATE else "limit"
            ending = {"converged": "the pairs have converged", "limit": "the pairs had not converged yet"}[how]
            first, last = (self.losses[step] for step in (min(self.losses), max(self.losses)))
            words += f": {ending}; the loss on held-out states went from {first:.3g} to {last:.3g}"
        else:
            how = "given" if self.budget is None else "budget"
            if self.budget is not None:
                words += ": as many as fit in the budget, up to the usual number"
                words += f" (at least {LEAST_STEPS}: the setup used it up)" if spent > self.budget else ""
        return {"steps": taken, "how": how, "losses": self.losses, "summary": words}
