"""The interface of trackers, and the numbers that they get from a line of metrics and from a result."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar, TypeGuard

from potstill.errors import describe_first_line, require_package, warn
from potstill.runtime.files import JsonMapping, JsonObject, to_json

COUNTERS = {"step": "distil", "update": "teach", "model_step": "model", "steps": "finetune"}
"""The counters of lines of metrics, and the group of the numbers in such a line."""


class MetricsTracker(ABC):
    """Takes the metrics of one run.

    Args:
        folder: the run folder.
        name: the name of the run.
        command: the command that makes it.
        settings: its settings, as JSON values.
    """

    package: ClassVar[str]
    """The library that the tracker imports."""
    extra: ClassVar[str]
    """The extra of potstill that installs it."""

    @abstractmethod
    def __init__(self, folder: Path, name: str, command: str, settings: JsonObject) -> None: ...

    @abstractmethod
    def log(self, group: str, step: int, numbers: Mapping[str, float]) -> None:
        """Take the numbers of a group, such as ``distil``, at a step. The steps of a group need not increase."""

    @abstractmethod
    def close(self) -> None:
        """End the run."""

    @classmethod
    def check_installed(cls) -> None:
        """Raise if the library is missing."""
        require_package(cls.package, cls.extra)


class Feed:
    """Feeds a tracker with lines of metrics. If the tracker fails, a warning says so, and the run goes on without it.

    Args:
        start: starts the tracker. It is called before the first line.
        name: the name of the tracker in the warning.
    """

    def __init__(self, start: Callable[[], MetricsTracker], name: str) -> None:
        self.start, self.name = start, name
        self.tracker: MetricsTracker | None = None
        self.failed = False

    def add_line(self, line: JsonMapping) -> None:
        """Pass on a line of ``metrics.jsonl``."""
        self._pass_on(*split_line(line))

    def add_result(self, result: object) -> None:
        """Pass on the mean scores of a result."""
        self._pass_on("result", 0, find_means(to_json(result)))

    def _pass_on(self, group: str, step: int, numbers: Mapping[str, float]) -> None:
        if self.failed or not numbers:
            return
        try:
            self.tracker = self.tracker or self.start()
            self.tracker.log(group, step, numbers)
        except Exception as error:  # of the library, the disk or the network
            self._drop_tracker(error)

    def close(self) -> None:
        """End the tracker's run."""
        if self.tracker is not None and not self.failed:
            try:
                self.tracker.close()
            except Exception as error:
                self._drop_tracker(error)

    def _drop_tracker(self, error: Exception) -> None:
        self.failed = True
        why = f"{type(error).__name__}: {describe_first_line(error)}"
        warn(f"{self.name} gets no more metrics, but metrics.jsonl has all of them ({why})")


def split_line(line: JsonMapping) -> tuple[str, int, dict[str, float]]:
    """Split a line of metrics into its group, its step and its finite numbers.

    >>> split_line({"step": 3, "loss": 0.5, "returns": [1.0]})
    ('distil', 3, {'loss': 0.5})
    >>> split_line({"curve": {"step": 40, "held_out_loss": 0.1, "student": 80.0}})
    ('curve', 40, {'held_out_loss': 0.1, 'student': 80.0})
    """
    group = ""
    if len(line) == 1 and isinstance(inner := next(iter(line.values())), Mapping):
        group, line = next(iter(line)), inner
    counter = next((name for name in COUNTERS if name in line), None)
    step = 0 if counter is None else int(line[counter])
    numbers = {name: float(value) for name, value in line.items() if name != counter and _is_finite(value)}
    return group or COUNTERS.get(str(counter), "other"), step, numbers


def _is_finite(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def find_means(result: JsonMapping, prefix: str = "") -> dict[str, float]:
    """Find the means of a result, keyed by their path in it.

    >>> find_means({"student": {"mean": 79.0, "std": 3.0}, "offline": {"q_gap": {"mean": 0.5}}, "pairs": 256})
    {'student': 79.0, 'offline q_gap': 0.5}
    """
    found: dict[str, float] = {}
    for name, value in result.items():
        if isinstance(value, Mapping):
            mean = value.get("mean")
            found |= {prefix + name: float(mean)} if _is_finite(mean) else find_means(value, f"{prefix}{name} ")
    return found
