"""What a curve of returns over environment steps says: its mean, its lowest point, and when it reaches a level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from potstill.errors import PotstillError
from potstill.runtime.arguments import check_arguments


@check_arguments
def compute_area(steps: Sequence[int], returns: Sequence[float]) -> float:
    """Compute the area under a curve by the trapezoidal rule, divided by its length in steps: a mean return.

    Args:
        steps: environment steps [P] of the evaluations, increasing.
        returns: the mean return [P] of each.

    Raises:
        PotstillError: the lengths differ, there are fewer than two points, or the steps do not increase.

    Example:
        >>> compute_area([0, 10, 30], [0.0, 60.0, 60.0])
        50.0
    """
    x, y = np.asarray(steps, np.float64), np.asarray(returns, np.float64)
    if len(x) != len(y) or len(x) < 2 or (np.diff(x) <= 0).any():
        raise PotstillError(f"a curve of {len(x)} steps and {len(y)} returns: expected two or more, at growing steps")
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / (x[-1] - x[0]))


@check_arguments
def find_steps_to(level: float, steps: Sequence[int], returns: Sequence[float]) -> int | None:
    """Find the steps of the first evaluation at or above a level; ``None`` if there is none.

    Example:
        >>> find_steps_to(50.0, [0, 10, 20], [20.0, 55.0, 45.0]), find_steps_to(60.0, [0, 10], [20.0, 55.0])
        (10, None)
    """
    return next((step for step, value in zip(steps, returns, strict=True) if value >= level), None)


@check_arguments
def compute_lowest_share(returns: Sequence[float]) -> float | None:
    """Compute the lowest return as a share of the first one; ``None`` if the first one is not positive.

    Example:
        >>> compute_lowest_share([80.0, 60.0, 90.0]), compute_lowest_share([-200.0, -150.0])
        (0.75, None)
    """
    return None if returns[0] <= 0.0 else float(min(returns) / returns[0])
