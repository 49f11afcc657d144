"""Remaining work, and an estimate of the time that it takes."""

from __future__ import annotations

from collections import deque

RECENT = 20  # number of measurements of each kind of work in an estimate


class Work:
    """Work of several kinds, such as updates and episodes: the remaining amounts and the measured times.

    >>> work = Work()
    >>> work.measure("update", 100, seconds=2.0)
    >>> work.left = {"update": 500, "episode": 0}
    >>> work.estimate_seconds_left()
    10.0
    """

    def __init__(self) -> None:
        self.left: dict[str, int | float] = {}
        """Remaining units of each kind."""
        self.spare: dict[str, int | float] = {}
        """Those among them that are not done if a loop ends as early as it can."""
        self._measured: dict[str, deque[tuple[float, float]]] = {}

    def measure(self, kind: str, units: int | float, seconds: float) -> None:
        """Record that ``units`` of a kind took ``seconds``, without compilation."""
        self._measured.setdefault(kind, deque(maxlen=RECENT)).append((units, seconds))

    def knows(self, kind: str) -> bool:
        """Whether the time of a unit of ``kind`` is known."""
        return kind in self._measured

    def estimate_seconds_left(self, *, least: bool = False) -> float | None:
        """Estimate the seconds of the remaining work; ``None`` if one of its kinds has not been measured yet.

        ``least``: without the work that may be spared.
        """
        total = 0.0
        for kind, remaining in self.left.items():
            units = remaining - self.spare.get(kind, 0) * least
            if units > 0:
                measured = self._measured.get(kind)
                if not measured:
                    return None
                total += units * sum(s for _, s in measured) / max(sum(u for u, _ in measured), 1e-9)
        return total
