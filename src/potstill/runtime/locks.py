"""Locks on folders: two runs never write to the same one."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import weakref
from pathlib import Path

from potstill.errors import PotstillError, name_option
from potstill.runtime.files import parse_json

MARKER = ".potstill"
"""A file in every run folder. It is locked while a run writes to the folder."""


class FolderLock:
    """An exclusive lock on an existing folder, until :meth:`release` or the end of the process, even if it is killed.

    The lock is on the file ``.potstill`` in the folder, which is made if it is missing. On systems and file systems
    without locks, nothing is locked.

    Args:
        folder: the folder.

    Raises:
        PotstillError: another run holds the lock, or the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        path = folder / MARKER
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
            self.file = os.open(path, flags, 0o666)
        except OSError as error:
            raise PotstillError(f"cannot write {path}: {error.strerror or error}") from None
        if not stat.S_ISREG(os.fstat(self.file).st_mode):
            os.close(self.file)
            raise PotstillError(f"{path} is not a regular file: delete it")
        self.release = weakref.finalize(self, os.close, self.file)
        """Release the lock. This also happens when the object is deleted or the process ends."""
        if not _lock(self.file):
            holder = self.read().get("process", "unknown")
            self.release()
            raise PotstillError(
                f"{folder} is in use by another run (process {holder}): choose another {name_option('out')}"
            )

    def read(self) -> dict[str, object]:
        """Return the content of the file ``.potstill``."""
        return _parse(os.pread(self.file, os.fstat(self.file).st_size, 0))

    def record(self, **content: object) -> None:
        """Add entries to the file ``.potstill``. An error, such as a full disk, is ignored."""
        text = json.dumps({**self.read(), **content}).encode()
        with contextlib.suppress(OSError):
            os.pwrite(self.file, text, 0)
            os.ftruncate(self.file, len(text))


def read_marker(folder: Path) -> dict[str, object]:
    """Return the content of a folder's file ``.potstill``, or an empty dictionary if it is missing or incomplete."""
    path = folder / MARKER
    try:
        return _parse(path.read_bytes()) if path.is_file() else {}
    except OSError:
        return {}


def _parse(content: bytes) -> dict[str, object]:
    try:
        found = parse_json(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _lock(file: int) -> bool:
    """Lock an open file; return whether this succeeded, because no other run has locked it."""
    try:
        import fcntl
    except ImportError:  # not on this system
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # not on this file system
        return True
    return True
