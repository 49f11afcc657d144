"""Settings of a teacher's training that all algorithms share. This module does not import JAX."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

from potstill.runtime.arguments import check_arguments
from potstill.runtime.validation import Dataclass, check_fractions, check_ranges


@check_arguments
@dataclass(frozen=True)
class Training:
    """How a teacher is trained, with any algorithm.

    Raises:
        PotstillError: a field has a wrong type or is out of range.

    Example:
        >>> Training(updates=50_000, discount=0.95).batch
        256
    """

    _: KW_ONLY

    updates: int = 100_000
    """Gradient updates of the critics."""

    batch: int = 256
    """Transitions in an update."""

    discount: float = 0.99
    """γ, inside (0, 1)."""

    target_rate: float | None = None
    """τ of the target networks' soft update, inside (0, 1]. ``None``: the algorithm's own default."""

    evaluate_every: int = 10_000
    """Updates between two evaluations. Evaluations are at most one call of the algorithm's update late."""

    seed: int = 0
    """Seeds the initial networks, the batches and the noise."""

    def __post_init__(self) -> None:
        check_training(self)


def check_training(settings: Dataclass) -> None:
    """Raise unless those fields of ``settings`` that :class:`Training` has lie in their ranges."""
    lows = {"updates": 2, "batch": 1, "evaluate_every": 2, "seed": 0}
    check_ranges(settings, **{name: low for name, low in lows.items() if hasattr(settings, name)})
    check_fractions(settings, "discount")
    check_fractions(settings, "target_rate", one=True)


@check_arguments
@dataclass(frozen=True)
class UpdateSettings:
    """Settings of an update besides those of the algorithm. Equal settings share a compiled program.

    Raises:
        PotstillError: a field has a wrong type or is out of range.

    Example:
        >>> UpdateSettings(batch=256, discount=0.99, target_rate=0.005).discount
        0.99
    """

    batch: int
    """Transitions in an update."""

    discount: float
    """γ."""

    target_rate: float
    """τ of the target networks' soft update."""

    def __post_init__(self) -> None:
        check_training(self)
