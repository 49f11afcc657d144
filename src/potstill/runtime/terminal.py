"""The terminal that text is written to."""

from __future__ import annotations

import contextlib
import os
from typing import Protocol, runtime_checkable


@runtime_checkable
class Output(Protocol):
    """A text file, as :func:`print` takes it."""

    def write(self, text: str, /) -> object:
        """Write text."""

    def flush(self) -> object:
        """Write what is buffered."""

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        ...

    def fileno(self) -> int:
        """The number of the open file."""
        ...


def terminal_width(file: Output) -> int | None:
    """The characters in a line of the terminal that ``file`` writes to; ``None`` if it is not a terminal.

    Rich takes 80 for every terminal without cursor movement.
    """
    if not file.isatty():
        return None
    given = os.environ.get("COLUMNS", "")
    with contextlib.suppress(OSError, ValueError):
        return max(int(given) if given.isdigit() else os.get_terminal_size(file.fileno()).columns, 20)
    return 80
