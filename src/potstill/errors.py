"""The error and the warning that users see. Each is one line: what is wrong, where, and what is expected."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


def make_printable(text: str) -> str:
    r"""Write text in one line without control characters: a name in a file may hold commands to a terminal.

    >>> make_printable("two\nlines, \x1b[31mred")
    'two lines, \\x1b[31mred'
    """
    line = " ".join(text.splitlines())
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


class PotstillError(Exception):
    """Invalid input or a missing extra. The command line prints it as one line and exits with code 2.

    >>> import potstill
    >>> try:
    ...     potstill.load("no-such-file.safetensors")
    ... except PotstillError as error:
    ...     print(error)
    no-such-file.safetensors: no such file
    """

    def __init__(self, message: str) -> None:
        super().__init__(make_printable(message))


class PotstillWarning(UserWarning):
    """Suspicious input that is used anyway. The command line prints it as one line.

    >>> warnings.filterwarnings("error", category=PotstillWarning)  # refuse such input
    >>> warnings.filterwarnings("default", category=PotstillWarning)
    """

    def __init__(self, message: str) -> None:
        super().__init__(make_printable(message))


class Diverged(PotstillError):
    """Training diverged: its metrics are no longer finite, or its values exceed the largest possible return."""


class UnknownNameError(PotstillError, KeyError):
    """A name that a mapping of named parts does not have. As a ``KeyError``, it lets ``in`` and ``get`` work."""

    __str__ = Exception.__str__  # that of KeyError adds quotes


def make_unknown_name_error(kind: str, name: str, known: Iterable[str]) -> UnknownNameError:
    """Return the error for a name that is not in ``known``. The message suggests the closest known name.

    >>> str(make_unknown_name_error("objective", "av-pbk", ["pbc", "av-pbc"]))
    "unknown objective 'av-pbk': did you mean 'av-pbc'? Known: av-pbc, pbc"
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f": did you mean '{near[0]}'?" if near else "."
    return UnknownNameError(f"unknown {kind} '{name}'{hint} Known: {', '.join(names) or 'none'}")


@contextmanager
def naming_source(source: object) -> Iterator[None]:
    """Put ``source``, such as the path of a file, before the message of a :class:`PotstillError`.

    >>> with naming_source("pairs.npz"):
    ...     raise PotstillError("no column 'actions'")
    Traceback (most recent call last):
    potstill.errors.PotstillError: pairs.npz: no column 'actions'
    """
    try:
        yield
    except PotstillError as error:
        raise PotstillError(f"{source}: {error}") from None


def repeat_warnings(source: object, texts: object) -> None:
    """Warn of what is wrong with ``source``, such as an artefact whose metadata contain the ``texts``."""
    for text in texts if isinstance(texts, list) else []:
        warnings.warn(f"{source}: {text}", PotstillWarning, stacklevel=4)


def describe_object(value: object) -> str:
    """Describe an object of a wrong type.

    >>> describe_object(3), describe_object(int)
    ('of type int', 'the class int, not an instance of it')
    """
    if isinstance(value, type):
        return f"the class {value.__name__}, not an instance of it"
    return f"of type {type(value).__name__}"


def make_missing_extra_error(package: str, extra: str) -> PotstillError:
    """Return the error for an optional dependency that is not installed, with the command that installs it."""
    return PotstillError(f"{package} is not installed: pip install 'potstill[{extra}]'")


def describe_first_line(error: BaseException) -> str:
    r"""The first line of an error's message that is not empty, or the name of its type.

    >>> describe_first_line(ValueError("no such host\ntraceback")), describe_first_line(TimeoutError())
    ('no such host', 'TimeoutError')
    """
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
