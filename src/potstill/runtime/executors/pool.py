"""Run calls in several processes of this machine."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

from potstill.runtime.executors.base import Executor, Pending


class PoolExecutor(Executor):
    """Runs calls in processes of this machine, by default one for each core.

    Each process is a separate pool: if it dies, only its own call is lost, and a new process replaces it. Processes are
    spawned instead of forked, because threads of JAX do not survive a fork.

    >>> with PoolExecutor(workers=1) as executor:
    ...     executor.submit(divmod, 7, 2).result()
    (3, 1)
    """

    def __init__(self, workers: int | None = None, address: str | None = None, scratch: Path | None = None) -> None:
        super().__init__(workers, address, scratch)
        self._pools: list[ProcessPoolExecutor | None] = [None] * self.limit
        self._calls: list[Future[object] | None] = [None] * self.limit
        self._before = set(multiprocessing.active_children())

    def submit(self, function: Callable[..., object], *arguments: object) -> Pending:
        """Start a call in a free process."""
        free = next(i for i, call in enumerate(self._calls) if call is None or call.done())
        call, pool = self._calls[free], self._pools[free]
        if pool is None or (call is not None and isinstance(call.exception(), BrokenProcessPool)):
            pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _prepare_worker)
        started = pool.submit(function, *arguments)
        self._pools[free], self._calls[free] = pool, started
        return started

    def close(self, stop: bool) -> None:
        """End the processes. With ``stop``, they get SIGTERM, and commands save a checkpoint."""
        if stop:
            for process in set(multiprocessing.active_children()) - self._before:
                process.terminate()
        for pool in self._pools:
            if pool is not None:
                pool.shutdown(wait=True, cancel_futures=True)


def _prepare_worker() -> None:
    """Ignore Ctrl-C, which the parent process handles, and exit when the parent process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    with contextlib.suppress(OSError):
        multiprocessing.connection.wait([] if parent is None else [parent.sentinel])
    os._exit(1)
