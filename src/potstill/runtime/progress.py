"""Progress of long loops: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_INTERVAL = 10.0  # seconds between two plain lines


class Tracker:
    """Report the progress of a loop of ``total`` steps, and the remaining time.

    It is a context manager. Call :meth:`update` with the number of finished steps and the metrics to show. On a
    terminal it draws a bar. Elsewhere it prints at most one line every ten seconds, and one at the end.

    Args:
        label: what the loop does.
        total: its number of steps. The attribute may change while the loop runs.
        done: the number of steps that an earlier run has finished. The estimate of the remaining time ignores them.
        quiet: print nothing.

    >>> with Tracker("distil", total=2) as tracker:
    ...     tracker.update(2, loss=0.5)
    distil 2/2 (100%) loss 0.5, 0 s left
    """

    def __init__(self, label: str, total: int, *, done: int = 0, quiet: bool = False) -> None:
        self.label, self.total, self.first, self.quiet = label, total, done, quiet
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
                TextColumn("{task.fields[metrics]}"),
                console=Console(),
            )
            self.live.start()
            self.task = self.live.add_task(self.label, total=self.total, completed=self.first, metrics="")
        return self

    def update(self, done: int, **metrics: float | int | str) -> None:
        """Report that ``done`` steps are finished, and show ``metrics`` beside the count."""
        text = " ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in metrics.items())
        if self.live is not None:
            self.live.update(self.task, completed=done, total=self.total, metrics=text)
            return
        now = time.perf_counter()
        left = (now - self.started) / max(done - self.first, 1) * (self.total - done)
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
