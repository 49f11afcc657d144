"""The pace of the outer loop: the learning rate of each step, and how many steps there are.

A given number of steps (``--steps``) falls along a cosine from the full rate to 0. Without one the loop
watches the solver's loss on held-out states: whenever ten steps have not lowered it by 1.5 % the rate
falls to half of what it was, and once it is below a twentieth the pairs have settled and the loop ends.
A budget of seconds (``--budget``) is met by timing a few steps that count for nothing: where there is not
room for twice what pairs usually take to settle their number is given, else it is found. The paper's SGD
keeps its rate.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from potstill.config.distill import USUAL_STEPS
from potstill.runtime import devices
from potstill.students.training import Pairs

EVERY = 10  # steps between two looks at the held-out loss
LEAST_GAIN = 0.015  # of the loss, in as many steps: below it the rate falls
FALL = 0.5  # what is left of the rate then
LEAST_RATE = 0.05  # of the full rate: below it the loop ends
MOST = 600  # steps, whatever the loss does
TIMED = 5  # steps that a budget is reckoned from
ROOM = 2  # times the usual number of steps must fit in for it to be found rather than given
SPARE = 0.9  # of the time left that is given out: looks at the loss take some, and no clock is steady


@dataclass
class Pace:
    """How fast the pairs move at each step, and until when."""

    steps: int | None
    """Their number, or ``None`` to find it."""
    watch: Callable[[Pairs], float] | None = None
    """The loss that is watched to find it."""
    falls: bool = True
    """Whether the rate falls at all."""
    budget: float | None = None
    """Seconds that may pass since ``started``."""
    started: float = field(default_factory=time.perf_counter)
    most: int = MOST
    """Steps at which the search for their number ends."""
    looks: dict[int, float] = field(default_factory=dict)
    """The watched loss, by the step it was looked at."""
    left: float = 1.0
    """Share of the full learning rate that the looks have left."""

    def afford(self, step: Callable[[], Any]) -> None:
        """Meet the budget, if there is one: give a number of steps, unless there is time to find it.

        Args:
            step: takes one outer step and waits for it; nothing of it is kept.
        """
        if self.budget is None:
            return
        step()  # compiles
        began = time.perf_counter()
        for _ in range(TIMED):
            step()
        each = (time.perf_counter() - began) / TIMED
        left = SPARE * (self.budget - (time.perf_counter() - self.started))
        fitting = int(devices.agreed(max(0.0, left / each)))
        if self.steps is not None or fitting < ROOM * USUAL_STEPS:
            self.steps = min(fitting, self.steps or USUAL_STEPS)
        self.most = min(MOST, fitting)

    @property
    def expected(self) -> int:
        """The number of steps, as far as it is known."""
        if self.steps is not None:
            return self.steps
        return min(self.most, max(USUAL_STEPS, max(self.looks, default=0) + EVERY))

    def goes_on(self, step: int) -> bool:
        """Whether there is a ``step``, counted from 1."""
        return step <= self.most and self.left >= LEAST_RATE if self.steps is None else step <= self.steps

    def share(self, step: int) -> float:
        """The learning rate of ``step`` as a share of the full one."""
        if not self.falls:
            return 1.0
        return self.left if self.steps is None else 0.5 * (1.0 + math.cos(math.pi * (step - 1) / self.steps))

    def look(self, step: int, pairs: Pairs) -> None:
        """Note the loss of ``pairs`` after ``step``, 0 for the start; they slow down where it stands still."""
        if self.steps is not None or step % EVERY:
            return
        if self.watch is None:
            raise ValueError("a loss to watch is needed to find the number of steps")
        least = min(self.looks.values(), default=math.inf)
        self.looks[step] = devices.agreed(self.watch(pairs))
        if self.looks[step] > (1.0 - LEAST_GAIN) * least:
            self.left *= FALL

    def account(self, taken: int) -> dict[str, Any]:
        """What became of it after ``taken`` steps: their number, how it came about, and the same in words."""
        spent = time.perf_counter() - self.started
        of = "" if self.budget is None else f" of the {self.budget:g}"
        words = f"{taken:,} outer steps in {spent:.1f} s{of}"
        if self.steps is None:
            how = "settled" if self.left < LEAST_RATE else "most"
            ends = {"settled": "the pairs have settled", "most": "the pairs had not settled yet"}
            first, last = (self.looks[step] for step in (min(self.looks), max(self.looks)))
            words += f": {ends[how]}, the loss on held-out states fell from {first:.3g} to {last:.3g}"
        else:
            how = "given" if self.budget is None else "budget"
            if self.budget is not None:
                words += ": as many as fit in, or as pairs usually need" if taken else ": setting up took them all"
        return {"steps": taken, "how": how, "looks": self.looks, "in words": words}
