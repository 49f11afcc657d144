"""Progress with time left: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_INTERVAL = 10.0  # seconds between two plain lines


class Tracker:
    """Report how far a loop of ``total`` steps has come.

    A context manager; call :meth:`update` with the number of steps done and figures to show. On a
    terminal it draws a bar; otherwise it prints a line at most every ten seconds and one at the end.
    A resumed loop starts at ``done``, which the time left does not count; ``total`` may be mended on the way.

    >>> with Tracker("distil", total=2) as tracker:
    ...     tracker.update(2, loss=0.5)
    distil 2/2 (100%) loss 0.5, 0 s left
    """

    def __init__(self, label: str, total: int, *, done: int = 0, quiet: bool = False) -> None:
        self.label, self.total, self.begun, self.quiet = label, total, done, quiet
        self.live: Progress | None = None
        self.started = self.printed = time.perf_counter()
        self.line = ""

    def __enter__(self) -> Tracker:
        if sys.stdout.isatty() and not self.quiet:
            self.live = Progress(
                TextColumn("[bold]{task.description}"),
                BarColumn(),
                TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[figures]}"),
                console=Console(),
            )
            self.live.start()
            self.task = self.live.add_task(self.label, total=self.total, completed=self.begun, figures="")
        return self

    def update(self, done: int, **figures: float | int | str) -> None:
        """Say that ``done`` of ``total`` steps are finished; ``figures`` are shown beside the count."""
        text = " ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in figures.items())
        if self.live is not None:
            self.live.update(self.task, completed=done, total=self.total, figures=text)
            return
        now = time.perf_counter()
        left = (now - self.started) / max(done - self.begun, 1) * (self.total - done)
        share = f"{done:,}/{self.total:,} ({100 * done // max(self.total, 1)}%)"
        self.line = " ".join(filter(None, [self.label, share, text])) + f", {left:.0f} s left"
        if done >= self.total or now - self.printed >= PLAIN_INTERVAL:
            self._print_line()

    def _print_line(self) -> None:
        if self.line and not self.quiet:
            print(self.line, flush=True)
        self.line, self.printed = "", time.perf_counter()

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live is not None:
            self.live.stop()
        elif kind is None:
            self._print_line()
