"""Limits on the memory for the arrays of a file, so that a small file that declares huge arrays is refused."""

from __future__ import annotations

from pathlib import Path

from potstill.errors import PotstillError
from potstill.runtime.files import check_regular

FREE = 1 << 28  # bytes of arrays that are allowed for any file
RATIO = 100  # further bytes per byte of the file: real data compress by a factor of 2 to 20


class Allowance:
    """The bytes that the arrays of one file may use in total.

    Args:
        path: the file.

    Raises:
        PotstillError: there is no such file, or it is not a regular one.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.taken, self.heaps_checked = path, 0, False
        self.limit = FREE + RATIO * check_regular(path)

    def take(self, count: int, what: str) -> None:
        """Count the bytes of another array before it is allocated.

        Args:
            count: its number of bytes.
            what: the array, for the message.

        Raises:
            PotstillError: the arrays so far are too large for the file.
        """
        self.taken += count
        if self.taken > self.limit:
            raise PotstillError(
                f"{self.path}: {what} would take {format_bytes(self.taken)}, more than {RATIO} times the file, which "
                "is damaged, or made to fill the memory"
            )


def format_bytes(count: int) -> str:
    """Format a number of bytes with a unit.

    >>> format_bytes(4_100_000_000), format_bytes(12)
    ('4.1 GB', '12 B')
    """
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"
