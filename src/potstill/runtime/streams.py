"""The standard streams of a command. Errors of the output never end a run.

The reader of a pipe may close it, the disk may be full, the terminal may lack a character, or a stream may be closed
from the start. In the first two cases, the run continues without output; a full disk changes the exit code.
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
    """The methods of a stream that this module uses."""

    def write(self, text: str, /) -> object:
        """Write text."""
        ...

    def flush(self) -> object:
        """Write the buffered text."""
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
        """Write the buffered text."""
        self._try(self.stream.flush)

    # Explicit, because isinstance() with a protocol does not call __getattr__ since Python 3.12.
    def isatty(self) -> bool:
        """Whether the stream is a terminal."""
        return cast(TextIO, self.stream).isatty()

    def fileno(self) -> int:
        """Return the file descriptor."""
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
    """Replace the standard streams by streams that never raise; yield the output stream.

    A closed stream is replaced by one that discards its text. Its file descriptor is opened on the null device, too:
    otherwise the next file that is opened would get this descriptor, and libraries would write messages into the file.
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
