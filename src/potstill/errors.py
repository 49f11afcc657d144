"""The one error users meet: a single line that says what is wrong, where, and what would be right."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PotstillError(Exception):
    """Bad input or a missing extra. The command line prints it as one line and exits with code 2."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # a name with a line break in it is still one line


class PotstillWarning(UserWarning):
    """Something suspicious that is used all the same. The command line prints it as one line."""


class Diverged(PotstillError):
    """A training diverged: its metrics are no longer finite, or its values exceed the largest possible return."""


def unknown(kind: str, name: str, known: Iterable[str]) -> PotstillError:
    """Return the error for a name that is not among ``known``, with the nearest right one.

    >>> str(unknown("objective", "av-pbk", ["pbc", "av-pbc"]))
    "unknown objective 'av-pbk': did you mean 'av-pbc'? Known: av-pbc, pbc"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return PotstillError(f"unknown {kind} '{name}': {hint}Known: {', '.join(names)}")


def missing_extra(package: str, extra: str) -> PotstillError:
    """Return the error for an optional dependency that is not installed, with the line that mends it."""
    return PotstillError(f"{package} is not installed: pip install 'potstill[{extra}]'")
