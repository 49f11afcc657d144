"""The width of the terminal to which text is written."""

from __future__ import annotations

import contextlib
import os
from typing import Protocol, runtime_checkable


@runtime_checkable
class Output(Protocol):
    """A text file that :func:`print` accepts."""

    def write(self, text: str, /) -> object:
        """Write text."""

    def flush(self) -> object:
        """Write buffered text."""

    def isatty(self) -> bool:
        """Whether the file is a terminal."""
        ...

    def fileno(self) -> int:
        """Return the file descriptor."""
        ...


def find_terminal_width(file: Output) -> int | None:
    """Return the number of characters in a line of the terminal ``file``, or ``None`` if it is not a terminal.

    Rich itself assumes 80 for every terminal without cursor movement.
    """
    if not file.isatty():
        return None
    given = os.environ.get("COLUMNS", "")
    with contextlib.suppress(OSError, ValueError):
        return max(int(given) if given.isdigit() else os.get_terminal_size(file.fileno()).columns, 20)
    return 80
