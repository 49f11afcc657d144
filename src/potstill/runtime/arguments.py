"""Checks of calls: a wrong argument of a public function or class raises a one-line error, like a wrong setting."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from inspect import BoundArguments, Signature
from typing import Any, TypeVar, cast, get_type_hints

from potstill.errors import PotstillError, unknown_name
from potstill.runtime.validation import check_type

Target = TypeVar("Target", bound=Callable[..., object])
OWN = ("self", "cls", "_cls")  # first parameters of methods


def check_arguments(target: Target) -> Target:
    """Decorate a public function or class so that a wrong argument raises a one-line error that names it.

    For an unknown argument, the error suggests the closest known one. The arguments of a function must also have the
    types of their annotations. The fields of a class are checked by its own ``__post_init__``. The signature does not
    change.

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
        return cast(Target, _check_calls(target))
    maker = "__new__" if issubclass(target, tuple) else "__init__"  # a named tuple has no __init__ of its own
    setattr(target, maker, _check_fields(getattr(target, maker)))
    return target


def bind_arguments(
    signature: Signature, name: str, kind: str, args: tuple[object, ...], options: Mapping[str, object]
) -> BoundArguments:
    """Assign the arguments of a call to the parameters of ``signature``.

    Args:
        signature: that of the function or class.
        name: its name, for error messages.
        kind: what its parameters are called there, such as ``"option"``.
        args: the positional arguments.
        options: the named arguments.

    Raises:
        PotstillError: an argument is missing, superfluous or unknown. The message suggests the closest known one.
    """
    known = [name for name in signature.parameters if name not in OWN]
    takes_any = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in signature.parameters.values())
    for option in options:
        if option not in known and not takes_any:
            raise PotstillError(f"{name}: {unknown_name(kind, option, known)}")
    try:
        return signature.bind(*args, **options)
    except TypeError as error:
        raise PotstillError(f"{name}: {error}") from None


def _check_calls(function: Callable[..., object]) -> Callable[..., object]:
    """Check names and types whenever a function is called."""
    signature, name = inspect.signature(function), function.__name__

    @functools.cache  # resolved at the first call, when the function's module has defined all names
    def hints() -> dict[str, object]:
        return get_type_hints(function)

    @functools.wraps(function)
    def call(*args: object, **options: object) -> object:
        bound = bind_arguments(signature, name, "argument", args, options)
        for parameter, value in bound.arguments.items():
            kind = signature.parameters[parameter].kind
            if parameter in hints() and kind is not inspect.Parameter.VAR_KEYWORD:
                for item in value if kind is inspect.Parameter.VAR_POSITIONAL else (value,):
                    check_type(f"{name}: {parameter}", item, hints()[parameter])
        return function(*args, **options)

    return call


def _check_fields(make: Callable[..., Any]) -> Callable[..., Any]:
    """Check names whenever an object is made by ``make``, the ``__init__`` or ``__new__`` of its class."""
    signature = inspect.signature(make)

    @functools.wraps(make)
    def call(self: object, *args: object, **fields: object) -> object:
        try:
            return make(self, *args, **fields)
        except TypeError as error:  # names are checked only after a failure, because objects are made often
            failure = error
        kind = self if isinstance(self, type) else type(self)
        bind_arguments(signature, kind.__name__, "field", (self, *args), fields)
        raise failure

    return call
