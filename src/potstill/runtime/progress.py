"""Progress of long work: a line on a terminal that is updated, or plain lines, at least one every few seconds.

Work that takes time runs in :func:`busy` or, if its steps can be counted, in a :class:`Tracker`. Both can be nested. If
nothing has been displayed for four seconds, a thread prints a line. Files, pipes and terminals without cursor movement
(``TERM=dumb``) get plain lines.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.text import Text

from potstill.runtime.terminal import Output, find_terminal_width
from potstill.runtime.work import Work

SILENCE = 4.0  # seconds without a line after which one is printed
WIDE = 100  # characters in a line; on narrower terminals, no bar is drawn
SHORTEST = 12  # characters of a label that is cut so that the rest of its line fits


class Activity:
    """Work that takes time, as a context manager. It is displayed until the context ends.

    Args:
        text: what is being done.
        stream: where plain lines are printed. Default: standard output.
    """

    def __init__(self, text: str, stream: Output | None = None) -> None:
        self.text, self.stream = text, stream
        self.steps: tuple[int, int] | None = None
        """The finished steps and their total number, if they are counted."""
        self.started = time.perf_counter()

    @property
    def count(self) -> str:
        """The text, with the number of finished steps if they are counted."""
        return self.text if self.steps is None else f"{self.text} {self.steps[0]:,}/{self.steps[1]:,}"

    def describe(self) -> str:
        """Return the text to display now."""
        return f"{self.count}, {time.perf_counter() - self.started:.0f} s so far"

    def __enter__(self) -> Activity:
        self.started = time.perf_counter()
        _DISPLAY.push(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        _DISPLAY.remove(self)


def busy(text: str, stream: Output | None = None) -> Activity:
    """Display ``text`` and the time so far while work without countable steps is done in this context.

    >>> with busy("training 10 students"):
    ...     pass
    """
    return Activity(text, stream)


class Tracker(Activity):
    """A context manager that reports the progress of a loop of ``total`` steps, and the remaining time.

    Call :meth:`update` with the number of finished steps and the metrics to show. On a terminal, the tracker draws a
    line and updates it. Elsewhere, it prints a line every few seconds, and one at the end.

    The remaining time is estimated from the time between the latest updates. The first step usually contains a
    compilation and is not used. For a loop with other work between steps, see :meth:`phase`.

    Args:
        label: what the loop does.
        total: its number of steps. The attribute may change while the loop runs.
        done: the number of steps that an earlier run has finished. The estimate of the remaining time ignores them.
        quiet: print nothing.
        limit: whether ``total`` is only the largest possible number of steps.
        then: the work after the loop. It is displayed but not included in the estimate.
        work: other work that the estimate includes. If it is given, the time of steps is measured by their phases.
        covers: whether nested trackers are displayed only within this line, which is printed on the current output.

    >>> with Tracker("distil", total=2) as tracker:
    ...     tracker.update(2, loss=0.5)
    distil 2/2 (100%), 0 s left, loss 0.5
    """

    def __init__(
        self,
        label: str,
        total: int,
        *,
        done: int = 0,
        quiet: bool = False,
        limit: bool = False,
        then: str = "",
        work: Work | None = None,
        covers: bool = False,
    ) -> None:
        super().__init__(label, sys.stdout if covers else None)
        self.covers, self.covered = covers, False
        self.total, self.done, self.quiet, self.limit, self.then = total, done, quiet, limit, then
        self.work, self.times_steps = work or Work(), work is None
        self.metrics = ""
        self.paused = 0.0
        """Seconds in phases since the last update."""
        self.changed = self.started
        """Time of the last update or of the end of the last phase."""
        self._since: float | None = None
        self._live: Progress | None = None
        self._printed = ""

    def __enter__(self) -> Tracker:
        if not self.quiet:
            self.covered = _DISPLAY.find_cover() is not None
            super().__enter__()
            console = Console(width=find_terminal_width(sys.stdout))
            if console.is_terminal and not console.is_dumb_terminal and not self.covered:
                bar = [BarColumn(20)] if console.width >= WIDE else []
                self._live = Progress(_Line(self, console.width), *bar, console=console)
                self._live.start()
                self._task = self._live.add_task(self.text, total=self.total, completed=self.done)
        return self

    def update(self, done: int, **metrics: float | int | str) -> None:
        """Report that ``done`` steps are finished, and show ``metrics`` beside the count."""
        now = time.perf_counter()
        if self._since is not None and done > self.done:
            self.work.measure("step", done - self.done, now - self._since - self.paused)
        self.done, self._since, self.changed, self.paused = done, now, now, 0.0
        self.metrics = " ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in metrics.items())
        if self._live is not None:
            self._live.update(self._task, completed=done, total=self.total)
        elif done >= self.total:
            self._print()

    @contextlib.contextmanager
    def phase(self, text: str, *, cold: bool = False, **units: int | float) -> Iterator[Activity]:
        """Display work between two steps, such as an evaluation. Its time is not counted as time of a step.

        The context is the activity, whose ``steps`` may be counted.

        Args:
            text: what is being done.
            cold: whether the work contains a compilation, so that its time is not measured.
            units: the amount of each kind of :attr:`work` that is done. The time is measured if there is one kind.
        """
        started = time.perf_counter()
        with busy(text) as activity:
            yield activity
        now = time.perf_counter()
        for kind, count in units.items():
            self.work.left[kind] = max(self.work.left.get(kind, 0) - count, 0)
            if len(units) == 1 and not cold:
                self.work.measure(kind, count, now - started)
        self.paused, self.changed = self.paused + now - started, now

    @property
    def count(self) -> str:
        """The text with the number of finished steps."""
        return f"{self.text} {self.done:,}/{self.total:,}"

    def describe(self) -> str:
        """Return the count, the remaining time, and the activities inside this one or, between them, the metrics."""
        share = f"{self.count} ({100 * self.done // max(self.total, 1)}%)"
        doing = ", ".join(_DISPLAY.list_texts_inside(self))
        shown = doing or self.metrics  # those of the last step are not those of an evaluation
        left = self._format_time_left() or ("" if doing else f"{time.perf_counter() - self.started:.0f} s so far")
        return ", ".join(filter(None, [share, left, self.then and f"then {self.then}", shown]))

    def _format_time_left(self) -> str:
        self.work.left["step"] = max(self.total - self.done, 0) if self.times_steps else 0
        left = self.work.estimate_seconds_left()
        if left is None:
            return ""
        passed, least = time.perf_counter() - self.changed, self.work.estimate_seconds_left(least=True)
        left, sooner = max(left - passed, 0.0), f"{max((least or 0.0) - passed, 0.0):.0f}"
        if self.work.spare and sooner != f"{left:.0f}":
            return f"{sooner} to {left:.0f} s left"
        return f"{'at most ' if self.limit and left else ''}{left:.0f} s left"

    def _print(self) -> None:
        line = self.describe()
        if not self.quiet and not self.covered and line != self._printed:
            self._printed = line
            _DISPLAY.print(line, self.text, self.stream)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
        elif kind is None and self.done < self.total:
            self._print()
        if not self.quiet:
            super().__exit__(kind, value, trace)

    @property
    def is_live(self) -> bool:
        """Whether a terminal displays and updates the line."""
        return self._live is not None


def fit_line(line: str, label: str, width: int | None) -> str:
    """Cut a line that begins with a label at a width, if there is one: first the label, so that the numbers remain.

    >>> fit_line("teach a-long-name-of-a-dataset 10/20, 9 s left", "teach a-long-name-of-a-dataset", 40)
    'teach a-long-name-of... 10/20, 9 s left'
    """
    if width is None or len(line) < width:
        return line
    kept = max(len(label) - (len(line) - width + 1) - 3, SHORTEST)
    if kept + 3 < len(label) and line.startswith(label):
        line = f"{label[:kept]}...{line[len(label) :]}"
    return line[: width - 1]


class _Line(ProgressColumn):
    """The text of a tracker, cut at the width of the terminal."""

    def __init__(self, tracker: Tracker, width: int) -> None:
        super().__init__()
        self.tracker, self.width = tracker, width

    def render(self, task: Task) -> Text:
        line = fit_line(self.tracker.describe(), self.tracker.text, self.width)
        return Text(line, no_wrap=True, overflow="ellipsis")


class _Display:
    """All current activities, outermost first, and the thread that prints a line after a silence."""

    def __init__(self) -> None:
        self.activities: list[Activity] = []
        self.lock = threading.RLock()
        self.printed = time.monotonic()
        self.wake = threading.Event()

    def push(self, activity: Activity) -> None:
        """Start to display an activity."""
        with self.lock:
            first = not self.activities
            self.activities.append(activity)
            if first:
                self.printed, self.wake = time.monotonic(), threading.Event()
                threading.Thread(target=self._watch, args=(self.wake,), daemon=True).start()

    def remove(self, activity: Activity) -> None:
        """Stop displaying an activity."""
        with self.lock:
            if activity in self.activities:
                self.activities.remove(activity)
            if not self.activities:
                self.wake.set()

    def list_texts_inside(self, activity: Activity) -> list[str]:
        """Return the texts of the activities inside ``activity``."""
        with self.lock:
            place = self.activities.index(activity) + 1 if activity in self.activities else len(self.activities)
            inner = self.activities[place:]
            return [one.count if isinstance(one, Tracker) else one.describe() for one in inner]

    def find_cover(self) -> Tracker | None:
        """Find the tracker that displays all nested trackers in its own line, if there is one."""
        with self.lock:
            return next((one for one in self.activities if isinstance(one, Tracker) and one.covers), None)

    def print(self, line: str, label: str, stream: Output | None = None) -> None:
        """Print a plain line that begins with a label, cut at the width of the terminal if there is one."""
        with self.lock:
            file = stream or sys.stdout
            width = find_terminal_width(file)
            print(fit_line(line, label, width), file=file, flush=True)
            self.printed = time.monotonic()

    def _watch(self, wake: threading.Event) -> None:
        """After each silence, print the innermost activity with counted steps, or else the innermost one."""
        while not wake.wait(max(self.printed + SILENCE - time.monotonic(), 0.1)):
            with self.lock:
                if wake.is_set() or not self.activities or time.monotonic() < self.printed + SILENCE:
                    continue
                counted = [one for one in self.activities if isinstance(one, Tracker)]
                shown = self.find_cover() or (counted[-1] if counted else self.activities[-1])
                if not any(one.is_live for one in counted):
                    with contextlib.suppress(OSError, ValueError):  # a closed pipe or file; the main thread reports it
                        self.print(shown.describe(), shown.text, shown.stream)


_DISPLAY = _Display()
