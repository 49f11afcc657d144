"""Checks of calls: a wrong argument of a public function, class or method raises a one-line error."""

from __future__ import annotations

import dataclasses
import errno
import functools
import inspect
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from inspect import BoundArguments, Parameter, Signature
from types import FunctionType
from typing import Any, TypeVar, cast, get_type_hints

import numpy as np

from potstill.errors import PotstillError, make_unknown_name_error
from potstill.runtime.arrays import as_array, check_numbers, find_shape, is_array, is_array_like
from potstill.runtime.validation import check_values

Target = TypeVar("Target", bound=Callable[..., object])
Hints = Callable[[], Mapping[str, object]]
OWN = ("self", "cls", "_cls")  # first parameters of methods
PLACED = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def check_arguments(target: Target) -> Target:
    """Decorate a public function or class so that a wrong argument raises a one-line error that names it.

    For an unknown argument, the error suggests the closest known one. Arguments must have the types of their
    annotations, and arrays the axes in their annotations. For a class, the fields and the arguments of public methods
    are checked, but not when JAX rebuilds an object (:mod:`potstill.runtime.pytrees`). Sequences for NumPy fields of a
    dataclass become arrays. A named tuple may have a ``__post_init__``, like a dataclass. The signature is unchanged.

    >>> @check_arguments
    ... def train(data: str, *, steps: int = 10) -> int:
    ...     return steps
    >>> train("hopper", stps=20)
    Traceback (most recent call last):
    potstill.errors.PotstillError: train: unknown argument 'stps': did you mean 'steps'? Known: data, steps
    >>> train("hopper", steps="20")
    Traceback (most recent call last):
    potstill.errors.PotstillError: train: steps is '20' (str): expected int
    """
    if not isinstance(target, type):
        return cast(Target, _check_function(target, target.__name__))
    maker = "__new__" if issubclass(target, tuple) else "__init__"  # a named tuple has no __init__ of its own
    setattr(target, maker, _check_fields(target, getattr(target, maker)))
    for name, member in list(vars(target).items()):
        if name == "__call__" or not name.startswith("_"):
            setattr(target, name, _check_member(member, f"{target.__name__}.{name}"))
    return target


def _check_member(member: Any, name: str) -> Any:
    """Make a method check its arguments; return every other member of a class unchanged."""
    if isinstance(member, classmethod | staticmethod):
        return type(member)(_check_function(member.__func__, name))
    return _check_function(member, name) if isinstance(member, FunctionType) else member


def _check_function(function: Callable[..., object], name: str) -> Callable[..., object]:
    hints = functools.cache(lambda: get_type_hints(function))  # resolved at the first call, when its module is complete
    return check_calls(function, name, "argument", inspect.signature(function), hints)


def check_calls(
    function: Callable[..., object], name: str, kind: str, signature: Signature, hints: Hints
) -> Callable[..., object]:
    """Return a function that checks its arguments and calls ``function``.

    Args:
        function: takes the arguments of ``signature``.
        name: its name in error messages.
        kind: the word for its parameters in error messages, such as ``"option"``.
        signature: names and kinds of its parameters.
        hints: returns the types of its parameters by name.
    """
    places, spread, options = _sort_parameters(signature)
    checked = functools.cache(lambda: {key: hint for key, hint in hints().items() if key not in (options, spread)})

    @functools.wraps(function)
    def call(*args: object, **named: object) -> object:
        check_values(f"{name}: ", {**dict(zip(places, args, strict=False)), **named}, checked())
        for item in args[len(places) :] if spread else ():
            check_values(f"{name}: ", {spread: item}, hints())
        failure: TypeError
        try:
            with refusing_paths(name):
                return function(*args, **named)
        except TypeError as error:  # raised by wrong arguments, or inside the function
            failure = error
        bind_arguments(signature, name, kind, args, named)
        raise failure

    return call


@contextmanager
def refusing_paths(name: str) -> Iterator[None]:
    """Convert errors about paths into one line: without permission, too long, or with null characters.

    Args:
        name: the function that was called with the path.
    """
    try:
        yield
    except PermissionError as error:
        if error.filename is None:
            raise
        raise PotstillError(f"{error.filename}: {error.strerror}") from None
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise PotstillError(f"{name}: {reprlib.repr(error.filename)}: the path is too long for this system") from None
    except ValueError as error:
        if "embedded null" not in str(error):
            raise
        raise PotstillError(f"{name}: a path contains a null character") from None


def _sort_parameters(signature: Signature) -> tuple[list[str], str, str]:
    """Return the names of positional parameters, of ``*args`` and of ``**options``; empty strings if there are none."""
    kinds: dict[Any, str] = {parameter.kind: name for name, parameter in signature.parameters.items()}
    places = [name for name, parameter in signature.parameters.items() if parameter.kind in PLACED]
    return places, kinds.get(Parameter.VAR_POSITIONAL, ""), kinds.get(Parameter.VAR_KEYWORD, "")


def bind_arguments(
    signature: Signature, name: str, kind: str, args: Iterable[object], options: Mapping[str, object]
) -> BoundArguments:
    """Assign the arguments of a call to the parameters of ``signature``.

    Args:
        signature: the signature of the function or class.
        name: its name in error messages.
        kind: the word for its parameters in error messages, such as ``"option"``.
        args: the positional arguments.
        options: the named arguments.

    Raises:
        PotstillError: an argument is missing, superfluous or unknown. The message suggests the closest known one.
    """
    known = [name for name in signature.parameters if name not in OWN]
    takes_any = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    for option in options:
        if option not in known and not takes_any:
            raise PotstillError(f"{name}: {make_unknown_name_error(kind, option, known)}")
    try:
        return signature.bind(*args, **options)
    except TypeError as error:
        raise PotstillError(f"{name}: {error}") from None


def _check_fields(kind: type, make: Callable[..., object]) -> Callable[..., object]:
    """Check the fields whenever an object is made by ``make``, the ``__init__`` or ``__new__`` of ``kind``."""
    signature, declares = inspect.signature(make), dataclasses.is_dataclass(kind) or issubclass(kind, tuple)
    places, converts = _sort_parameters(signature)[0][1:], dataclasses.is_dataclass(kind)
    hints = functools.cache(lambda: get_type_hints(kind if declares else make))

    @functools.wraps(make)
    def call(self: object, *args: object, **fields: object) -> object:
        owner = (self if isinstance(self, type) else type(self)).__name__
        given = {**dict(zip(places, args, strict=False)), **fields}
        if declares:
            given = {name: _check_array(f"{owner}.{name}", given[name], hints().get(name), converts) for name in given}
            args = (*(given[name] for name in places[: len(args)]), *args[len(places) :])
            fields = {name: given[name] for name in fields}
        check_values(f"{owner}.", given, hints())
        failure: TypeError
        try:
            made = make(self, *args, **fields)
            if isinstance(made, kind) and hasattr(made, "__post_init__"):
                made.__post_init__()
            return made
        except TypeError as error:
            failure = error
        bind_arguments(signature, owner, "field", (self, *args), fields)
        raise failure

    return call


def _check_array(label: str, value: object, hint: object, converts: bool) -> object:
    """Check the type of the numbers in an array field. Return the array, converted if it is a sequence."""
    shape = find_shape(hint)
    if shape is None or not is_array_like(value):
        return value
    if converts and shape.array_type is np.ndarray:
        value = as_array(label, value, shape)
    if not is_array(value):
        raise PotstillError(f"{label} is a {type(value).__name__}: expected an array")
    check_numbers(label, value, shape)
    return value
