"""The standard streams of a command: output errors never end a run.

A reader may close the pipe, the disk may be full, the terminal may lack a character, or a stream may be closed from
the start. The run goes on without output in the first two cases; a full disk changes the exit code.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO, cast, runtime_checkable


@runtime_checkable
class TextStream(Protocol):
    """What this module needs of a stream."""

    def write(self, text: str, /) -> object:
        """Write text."""
        ...

    def flush(self) -> object:
        """Write what is buffered."""
        ...


class SafeStream:
    """A text stream that never raises. Characters that its encoding lacks are replaced.

    After an error nothing more is written; the error is kept in :attr:`failure`.

    >>> import io
    >>> stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    >>> SafeStream(stream).write("79.2 ± 24.9")
    11
    >>> stream.seek(0), stream.read()
    (0, '79.2 ? 24.9')
    """

    def __init__(self, stream: TextStream) -> None:
        self.stream = stream
        self.failure: Exception | None = None

    def write(self, text: str) -> int:
        """Write text, and return its length."""
        self._try(self._write, text)
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        self._try(self.stream.flush)

    # Not left to __getattr__: since Python 3.12, isinstance() with a protocol does not call it.
    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return cast(TextIO, self.stream).isatty()

    def fileno(self) -> int:
        """The file descriptor."""
        return cast(TextIO, self.stream).fileno()

    def _write(self, text: str) -> None:
        try:
            self.stream.write(text)
        except UnicodeEncodeError as error:
            self.stream.write(text.encode(error.encoding, "replace").decode(error.encoding))

    def _try(self, action: Callable[..., object], *arguments: str) -> None:
        if self.failure is None:
            try:
                action(*arguments)
            except (OSError, ValueError) as error:  # ValueError: the stream was closed
                self.failure = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextmanager
def safe_streams() -> Iterator[SafeStream]:
    """Replace the standard streams by streams that never raise; yield that of the output.

    A closed stream becomes one that drops what it is given. Its file descriptor is taken, too: otherwise the next file
    that is opened would get it, and messages of libraries would be written into that file.
    """
    _open_descriptors()
    before = sys.stdout, sys.stderr
    with contextlib.ExitStack() as stack:
        sink = stack.enter_context(open(os.devnull, "w"))
        output, errors = (SafeStream(sink if stream is None else stream) for stream in before)
        sys.stdout, sys.stderr = cast(TextIO, output), cast(TextIO, errors)
        try:
            yield output
        finally:
            sys.stdout, sys.stderr = before
            for stream in (output, errors):
                stream.flush()
                if stream.failure is not None:
                    _drop_buffer(stream.stream)


def _open_descriptors() -> None:
    """Open those of the descriptors 0, 1 and 2 that are closed."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # gets the lowest free number


def _drop_buffer(stream: Any) -> None:
    """Discard buffered output; otherwise Python reports an error at exit."""
    with contextlib.suppress(OSError, ValueError):
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, stream.fileno())
        os.close(sink)
