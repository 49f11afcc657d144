"""Interruption of long loops: a signal lets the current step finish, so that the loop can save its state.

A loop runs in :func:`deferred_interruption`. After each step it checks ``requested``; if that is set, it saves its
state and raises :meth:`Interruption.make_exception` with the command that resumes the run.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TypeAlias

NAMES = (
    "SIGINT",
    "SIGTERM",
    "SIGHUP",
    "SIGUSR1",
    "SIGXCPU",
)  # the last three: a closed terminal, batch systems, quotas
SIGNALS = tuple(signal.Signals[name] for name in NAMES if hasattr(signal, name))
NOTICE = b"\npotstill: stopping after this step; a second signal stops immediately\n"
Handler: TypeAlias = Callable[[int, FrameType | None], object] | int | None


class Interrupted(KeyboardInterrupt):
    """A signal ended a command. The message states which files were kept and how to resume.

    It derives from :class:`KeyboardInterrupt`, so ``except Exception`` does not catch it.

    >>> Interrupted("resume with --resume", signal.SIGTERM).exit_code
    143
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.message, self.number = message, number
        self.resume = ""
        """The command that resumes the run, see :func:`resumable`."""

    def __str__(self) -> str:
        return f"{self.message}; resume with: {self.resume}" if self.resume else self.message

    @property
    def exit_code(self) -> int:
        """The exit code of a program that this signal ended: 128 plus the number of the signal."""
        return 128 + self.number


class Interruption:
    """A request to stop a loop, made by a signal."""

    def __init__(self) -> None:
        self.number: int | None = None
        """The number of the signal, or ``None``."""

    @property
    def requested(self) -> bool:
        """Whether the loop should save its state and stop."""
        return self.number is not None

    def make_exception(self, message: str) -> Interrupted:
        """Return the exception to raise once the state is saved."""
        return Interrupted(message, self.number or signal.SIGINT)


@contextmanager
def deferred_interruption() -> Iterator[Interruption]:
    """Defer Ctrl-C, SIGTERM and the other ``SIGNALS``: the first sets ``requested``, the second raises an exception.

    Only the main thread of a process receives signals. In other threads, the context does nothing.

    >>> with deferred_interruption() as interruption:
    ...     os.kill(os.getpid(), signal.SIGTERM)
    ...     interruption.requested
    True
    """
    interruption = Interruption()

    def receive(number: int, frame: FrameType | None) -> None:
        if interruption.requested:
            raise Interrupted("stopped immediately; everything reported as finished is kept", number)
        interruption.number = number
        with suppress(OSError):  # the terminal may be gone
            os.write(2, NOTICE)  # print is not safe in a signal handler, which may interrupt another print

    with handling(receive):
        yield interruption


@contextmanager
def resumable(command: str) -> Iterator[None]:
    """Add the command that resumes the run to an interruption. If contexts are nested, the outermost one counts.

    >>> try:
    ...     with resumable("potstill teach x --out t --resume"):
    ...         raise Interrupted("stopped")
    ... except Interrupted as stopped:
    ...     print(stopped)
    stopped; resume with: potstill teach x --out t --resume
    """
    try:
        yield
    except Interrupted as stopped:
        stopped.resume = command
        raise


@contextmanager
def handling(handler: Handler, *numbers: signal.Signals) -> Iterator[None]:
    """Replace the handlers of signals (default: all of ``SIGNALS``) by ``handler`` within the context.

    Signals that the process ignores, as under ``nohup`` or in background jobs, remain ignored. In threads other than
    the main thread, the context does nothing.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        handled = [number for number in numbers or SIGNALS if signal.getsignal(number) not in (signal.SIG_IGN, None)]
        before = {number: signal.signal(number, handler) for number in handled}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def raise_interrupted(number: int, frame: FrameType | None) -> None:
    """Handle a signal outside long loops: end the command by an exception, so that context managers clean up."""
    raise Interrupted("interrupted; everything reported as finished is kept", number)


def drop_signals() -> None:
    """Ignore all signals from now on, while the process exits: exit functions of libraries would print tracebacks."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
