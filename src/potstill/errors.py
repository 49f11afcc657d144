"""The error and the warning that users see. Each is one line: what is wrong, where, and what is expected."""

from __future__ import annotations

import difflib
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib.util import find_spec
from types import FrameType

MOST_NAMES = 60  # that a message lists


def make_printable(text: str) -> str:
    r"""Return text as one line without control characters, because names in files may contain terminal escape codes.

    >>> make_printable("two\nlines, \x1b[31mred")
    'two lines, \\x1b[31mred'
    """
    line = " ".join(text.splitlines())
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


class PotstillError(Exception):
    """Invalid input, a missing extra or diverged training. The message is one printable line.

    The command line prints the message and exits with code 2.

    Args:
        message: what is wrong, where, and what is expected. Line breaks become spaces; control characters are escaped.

    Example:
        >>> import potstill
        >>> try:
        ...     potstill.Recipe(width=0)
        ... except potstill.PotstillError as error:
        ...     print(error)
        Recipe.width 0: expected at least 1
    """

    def __init__(self, message: str) -> None:
        super().__init__(make_printable(message))


class PotstillWarning(UserWarning):
    """Suspicious input that is used anyway. The message is one printable line, which the command line prints.

    Args:
        message: what is suspicious, where, and what was assumed. Line breaks become spaces; control characters are
            escaped.

    Example:
        To refuse suspicious input in a script, turn the warning into an error:

        >>> import warnings
        >>> import numpy as np
        >>> import potstill
        >>> x = np.linspace(-1.0, 1.0, 2000)
        >>> rows = {"observations": x[:, None], "actions": x[:, None], "rewards": x, "terminals": np.zeros(2000, bool)}
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("error", potstill.PotstillWarning)
        ...     potstill.load_dataset(rows)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        potstill.errors.PotstillWarning: arrays: nothing marks time-outs, ...
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
    near = difflib.get_close_matches(str(name), names, n=1, cutoff=0.4)
    hint = f": did you mean '{near[0]}'?" if near else "."
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return UnknownNameError(f"unknown {kind} '{name}'{hint} Known: {', '.join(names[:MOST_NAMES]) or 'none'}{more}")


_as_options = ContextVar("as_options", default=False)


@contextmanager
def naming_options(spelled: bool = True) -> Iterator[None]:
    """Let :func:`name_option` write options of the command line. Only the command line, and its workers, do this."""
    before = _as_options.set(spelled)
    try:
        yield
    finally:
        _as_options.reset(before)


def are_options_named() -> bool:
    """Whether messages name options of the command line, instead of arguments of Python functions."""
    return _as_options.get()


def name_option(name: str, *values: object) -> str:
    """Name an argument in a message, as the reader writes it: in Python, or on the command line.

    The text must not be saved in an artefact, whose bytes and readers do not depend on where it was made.

    Args:
        name: the argument of the public functions. A dot precedes the field of a part, as in ``recipe.layers``.
        values: its value; several are the items of a list. ``True`` is a switch.

    >>> name_option("action_low"), name_option("action_low", 0.0, -5.5), name_option("actions", "discrete")
    ('action_low=', 'action_low=[0, -5.5]', "actions='discrete'")
    >>> with naming_options():
    ...     name_option("action_low"), name_option("action_low", 0.0, -5.5), name_option("resume", True)
    ('--action-low', '--action-low 0 -5.5', '--resume')
    """
    shown = [f"{value:.6g}" if isinstance(value, float) else value for value in values]
    if _as_options.get():
        return " ".join([f"--{name.replace('_', '-')}", *(str(value) for value in shown if value is not True)])
    texts = [str(part) if isinstance(whole, float) else repr(part) for part, whole in zip(shown, values, strict=True)]
    if not texts:
        return name if "." in name else f"{name}="
    return f"{name}={texts[0] if len(texts) == 1 else '[' + ', '.join(texts) + ']'}"


@contextmanager
def naming_source(source: object) -> Iterator[None]:
    """Prefix the message of a :class:`PotstillError` with ``source``, such as the path of a file.

    >>> with naming_source("pairs.npz"):
    ...     raise PotstillError("no column 'actions'")
    Traceback (most recent call last):
    potstill.errors.PotstillError: pairs.npz: no column 'actions'
    """
    try:
        yield
    except PotstillError as error:
        raise PotstillError(f"{source}: {error}") from None


def warn(text: str) -> None:
    """Issue a :class:`PotstillWarning` at the line of the user's code that called potstill."""
    frame: FrameType | None = sys._getframe(1)
    level = outermost = 2
    while frame is not None:
        if str(frame.f_globals.get("__name__")).partition(".")[0] == __package__:
            outermost = level + 1  # decorators of other packages may lie between two frames of potstill
        level, frame = level + 1, frame.f_back
    warnings.warn(text, PotstillWarning, stacklevel=outermost)


def repeat_warnings(source: object, texts: object) -> None:
    """Repeat the warnings ``texts`` that are saved in an artefact, such as those about its teacher."""
    for text in texts if isinstance(texts, list) else []:
        warn(f"{source}: {text}")


def describe_object(value: object) -> str:
    """Describe the type of an object in an error message.

    >>> describe_object(3), describe_object(int)
    ('of type int', 'the class int, not an instance of it')
    """
    if isinstance(value, type):
        return f"the class {value.__name__}, not an instance of it"
    return f"of type {type(value).__name__}"


def require_package(package: str, extra: str) -> None:
    """Check that an optional dependency is installed, without importing it.

    Args:
        package: its name. That of its module has underscores for hyphens.
        extra: the extra of potstill that installs it.

    Raises:
        PotstillError: it is not installed. The message contains the command that installs it.

    >>> require_package("numpy", "arrow")
    """
    if find_spec(package.replace("-", "_")) is None:
        raise make_missing_extra_error(package, extra)


def make_missing_extra_error(package: str, extra: str) -> PotstillError:
    """Return the error for an optional dependency that is not installed, with the command that installs it."""
    return PotstillError(f"{package} is not installed: pip install 'potstill[{extra}]'")


def describe_first_line(error: BaseException) -> str:
    r"""Return the first non-empty line of an error's message, or the name of its type.

    >>> describe_first_line(ValueError("no such host\ntraceback")), describe_first_line(TimeoutError())
    ('no such host', 'TimeoutError')
    """
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
