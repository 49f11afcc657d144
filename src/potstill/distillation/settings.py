"""Settings of the outer loop apart from objective, solver and schedule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import check_ranges

Labels = Literal["learned", "teacher", "fixed"]
Learn = Literal["none", "weights", "step-size", "both"]


@check_arguments
@dataclass(frozen=True)
class OuterSettings:
    """Settings of the outer loop apart from objective, solver and schedule.

    Raises:
        PotstillError: a field has a wrong type or is out of range.

    Example:
        >>> OuterSettings(batch=256, state_noise=0.2, learn="weights").clip
        2.0
    """

    batch: int = 1024
    """B, the number of states in an outer step."""
    optimiser: Literal["adam", "sgd"] = "adam"
    """Adam, or SGD with momentum 0.9 as in the paper."""
    learning_rate: float = 0.1
    """Initial learning rate; the schedule scales it."""
    clip: float = 2.0
    """Norm to which the outer gradient is clipped."""
    state_noise: float = 0.0
    """Noise on half of the states, in standard deviations; see :func:`add_state_noise`."""
    action_limit: float = 1.0
    """Largest magnitude of a pair's action, in units in which the bounds are ±1."""
    initialisations: int = 1
    """Number of students per outer step, each with its own initialisation. The loss is averaged over them."""
    widths: tuple[int, ...] = ()
    """Hidden widths of students for the first outer steps. All widths, including the recipe's, get equal shares."""
    learn: Learn = "none"
    """What is learned besides the pairs: a weight for each pair, the students' step size, both, or nothing."""
    average: float = 0.0
    """Average the pairs over this last fraction of the outer steps. 0: keep the last pairs."""
    labels: Labels = "learned"
    """Actions of the pairs: learned together with the states, the teacher's actions in the learned states, or those
    of the initial pairs. Fixed labels of discrete actions are single actions, the most probable ones."""
    polish: int = 0
    """Additional steps of the exact unroll, at a tenth of the learning rate."""

    def __post_init__(self) -> None:
        check_ranges(self, batch=1, learning_rate=1e-12, clip=1e-12, state_noise=0.0, action_limit=1.0)
        check_ranges(self, initialisations=1, average=0.0, polish=0)
        if self.average > 1.0:
            raise PotstillError(f"OuterSettings.average {self.average}: expected a fraction of the steps, at most 1")
        if any(width < 2 or width % 2 for width in self.widths):
            raise PotstillError(f"OuterSettings.widths {self.widths}: expected even numbers above 0")
