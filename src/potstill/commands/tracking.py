"""The tracker that ``--track`` names, for the commands that log metrics."""

from __future__ import annotations

from potstill.runtime.trackers import TRACKERS
from potstill.runtime.trackers.base import MetricsTracker


def find_tracker(name: str | None) -> type[MetricsTracker] | None:
    """Find a tracker by its name; ``None`` without a name.

    Raises:
        PotstillError: the name is unknown, or the library of the tracker is missing.

    >>> find_tracker(None) is None
    True
    """
    if name is None:
        return None
    tracker = TRACKERS[name]
    tracker.check_installed()
    return tracker
