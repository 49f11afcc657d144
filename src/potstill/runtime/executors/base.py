"""The interface of executors, and the executor that runs calls in this process."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, runtime_checkable

from potstill.errors import PotstillError, name_option


@runtime_checkable
class Pending(Protocol):
    """The result of a call that may still run, such as :class:`concurrent.futures.Future`."""

    def done(self) -> bool:
        """Whether the call has ended, so that :meth:`result` does not wait."""

    def result(self) -> Any:
        """Wait for the call; return its value, or raise the exception that ended it."""


class Executor(ABC):
    """A context manager that runs calls, which are submitted while it is open.

    A call is a module-level function with arguments that can be sent to another process. It returns a JSON object.
    If an exception closes the executor, calls that still run get SIGTERM or are cancelled.

    Args:
        workers: the number of calls that run at a time. Default: the number of cores.
        address: the address that the executor connects to. Most executors have none.
        scratch: a folder that does not exist yet, for files of the executor. It must be visible to all workers.

    Raises:
        PotstillError: an argument has no effect, or a package is missing.
    """

    takes_address: ClassVar[bool] = False
    """Whether the executor connects to an address."""
    limit: int
    """The number of calls that run at a time."""

    def __init__(self, workers: int | None = None, address: str | None = None, scratch: Path | None = None) -> None:
        if address is not None and not self.takes_address:
            raise PotstillError(f"{name_option('address', address)}: this executor has no address; leave it out")
        self.limit = workers or count_cores()

    def __enter__(self) -> Executor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(stop=kind is not None)

    @abstractmethod
    def submit(self, function: Callable[..., object], *arguments: object) -> Pending:
        """Start a call. At most :attr:`limit` calls may be pending."""

    @abstractmethod
    def close(self, stop: bool) -> None:
        """Release all resources. If ``stop``, end the calls that still run; otherwise there are none."""


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Call:
    """A call that runs when its result is requested."""

    def __init__(self, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
        self.function, self.arguments = function, arguments

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        return self.function(*self.arguments)


class SerialExecutor(Executor):
    """Runs one call after the other in this process.

    >>> with SerialExecutor() as executor:
    ...     executor.submit(divmod, 7, 2).result()
    (3, 1)
    """

    def __init__(self, workers: int | None = None, address: str | None = None, scratch: Path | None = None) -> None:
        if workers not in (None, 1):
            raise PotstillError(
                f"{name_option('workers', workers)}: the serial executor runs one call at a time; use "
                f"{name_option('executor', 'pool')}"
            )
        super().__init__(1, address, scratch)

    def submit(self, function: Callable[..., object], *arguments: object) -> Pending:
        """Return a call that runs when its result is requested."""
        return _Call(function, arguments)

    def close(self, stop: bool) -> None:
        """Do nothing: there are no resources."""
