"""Functions for all configs: call a command with options, record its settings, write and read command lines."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import os
import re
import shlex
import textwrap
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import ParamSpec, TypeVar, get_type_hints

from potstill.collection.levels import LEVELS
from potstill.config.parts import NamedPart, describe_part, read_part
from potstill.config.presets import add_preset
from potstill.distillation import INITIAL_STATES
from potstill.distillation.objectives import OBJECTIVES, WEIGHTINGS
from potstill.distillation.solvers import SOLVERS
from potstill.environments.observations.registry import ENCODERS
from potstill.errors import PotstillError, name_option
from potstill.exports.policies.registry import POLICY_FORMATS
from potstill.exports.registry import EXPORT_FORMATS
from potstill.runtime.arguments import check_calls
from potstill.runtime.executors import EXECUTORS
from potstill.runtime.files import JsonObject, StrPath, to_json
from potstill.runtime.trackers import TRACKERS
from potstill.runtime.validation import Dataclass
from potstill.students.recipe import RECIPES, Recipe
from potstill.teachers.registry import ALGORITHMS

P = ParamSpec("P")
Config = TypeVar("Config")
Result = TypeVar("Result")

PART_REGISTRIES: dict[str, Mapping[str, object]] = {
    "objective": OBJECTIVES,
    "solver": SOLVERS,
    "recipe": RECIPES,
    "algorithm": ALGORITHMS,
    "encoder": ENCODERS,
}
"""The options that select a part, and the registry of each."""

NAMED_IN_HELP: dict[str, Iterable[str]] = {
    **PART_REGISTRIES,
    "format": EXPORT_FORMATS,
    "executor": EXECUTORS,
    "track": TRACKERS,
    "weighting": WEIGHTINGS,
    "initial": INITIAL_STATES,
    "level": LEVELS,
    "policy formats": POLICY_FORMATS,
    "recipe fields": [f"--recipe.{field.name.replace('_', '-')}" for field in fields(Recipe)],
}
"""Names that replace ``{names}`` in the description of the option of this name, or the key in braces in any."""

PYTHON_TYPES = {
    "columns": str | Mapping[str, str | Sequence[str]] | None,
    **dict.fromkeys(("action_low", "action_high", "action_scale"), float | Sequence[float]),
}
"""The types in Python of inherited options."""

RENAMED_OPTIONS = {"starts": "initialisations"}
"""Options of version 0.1, and their names now."""

UNRECORDED = ("out", "force", "resume", "track")


def takes_options(config: Callable[P, Config]) -> Callable[[Callable[[Config], Result]], Callable[P, Result]]:
    """Decorate a function of one config so that it takes the config's fields as arguments.

    ``distill("hopper-medium-replay", size=64)`` calls ``distill`` with
    ``DistillConfig("hopper-medium-replay", size=64)``; a config object is passed on. The decorated function has the
    config's signature, with the types that Python accepts, and checks its arguments as
    :func:`~potstill.runtime.arguments.check_arguments` does. Its docstring describes each option.
    """

    def decorate(function: Callable[[Config], Result]) -> Callable[P, Result]:
        name, signature = function.__name__, make_python_signature(config)
        hints = {option: parameter.annotation for option, parameter in signature.parameters.items()}

        def run(*args: object, **options: object) -> object:
            return function(make_config(config, args, options))  # type: ignore[arg-type]

        checked = check_calls(run, name, "option", signature, lambda: hints)

        @functools.wraps(function)
        def call(*args: object, **options: object) -> Result:
            if len(args) == 1 and not options and isinstance(args[0], config):  # type: ignore[arg-type]
                return function(args[0])  # type: ignore[arg-type]
            for option in RENAMED_OPTIONS.keys() & options.keys():
                raise PotstillError(f"{name}: {option} is now {RENAMED_OPTIONS[option]}")
            return checked(*args, **options)  # type: ignore[return-value]

        returns = inspect.signature(function, eval_str=True).return_annotation
        call.__signature__ = signature.replace(return_annotation=returns)  # type: ignore[attr-defined]
        call.__doc__ = add_options(function.__doc__ or "", config)  # type: ignore[arg-type]
        return call

    return decorate


def make_python_signature(config: Callable[P, Config]) -> inspect.Signature:
    """Make the signature of a config with its Python types, in which objects may replace names."""
    signature = inspect.signature(config)
    types = {**vars(import_module(config.__module__)), "PathOption": StrPath}
    if signature.parameters.keys() & {"dataset", *PART_REGISTRIES}:
        types |= vars(import_module("potstill.config.option_types"))
    hints = {**get_type_hints(config, types), **PYTHON_TYPES}
    parameters = [parameter.replace(annotation=hints[name]) for name, parameter in signature.parameters.items()]
    return signature.replace(parameters=parameters)


def make_config(config: type[Config], args: Iterable[object], options: Mapping[str, object]) -> Config:
    """Build a config from the arguments of a call in Python.

    A recipe that is given by its name becomes an object, which differs from the name of the default.
    """
    plain = {name: _to_plain(value) for name, value in options.items()}
    recipe = plain.get("recipe")
    if isinstance(recipe, str) and recipe in RECIPES:
        plain["recipe"] = RECIPES[recipe]
    return config(*map(_to_plain, args), **add_preset(plain))


def _to_plain(value: object) -> object:
    """Convert path-like objects, such as runs, to paths, and lists to tuples, which can be hashed."""
    if type(value) in (list, tuple):
        return tuple(map(_to_plain, value))  # type: ignore[call-overload]
    return Path(value) if isinstance(value, os.PathLike) else value


def read_option_docs(config: type[object]) -> dict[str, str]:
    """Read the docstring below each field of a config class, in one line and in order, with the names filled in."""
    bases = [base for base in config.__mro__[:0:-1] if is_dataclass(base)]
    docs: dict[str, str] = {name: text for base in bases for name, text in read_option_docs(base).items()}
    body = ast.parse(textwrap.dedent(inspect.getsource(config))).body[0]
    statements = body.body if isinstance(body, ast.ClassDef) else []
    for field, text in itertools.pairwise(statements):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(text, ast.Expr):
            described = " ".join(str(ast.literal_eval(text.value)).split())
            docs[field.target.id] = _fill_in_names(described, field.target.id)
    return {field.name: docs[field.name] for field in fields(config) if field.name in docs}  # type: ignore[arg-type]


def _fill_in_names(described: str, option: str) -> str:
    """Replace keys in braces by the names that they stand for. They are looked up only where they are wanted."""
    key_of = {"names": option}
    return re.sub(r"\{([a-z ]+)\}", lambda found: ", ".join(NAMED_IN_HELP[key_of.get(found[1], found[1])]), described)


def add_options(docstring: str, config: type[object]) -> str:
    """Add a description of each option to a command's docstring, before its other sections."""
    entries = [
        textwrap.fill(f"{name}: {text}", 110, initial_indent=" " * 8, subsequent_indent=" " * 12)
        for name, text in read_option_docs(config).items()
    ]
    section = "\n".join(["Args:", *entries, "\n    "])
    before, returns, after = docstring.partition("Returns:\n")
    return f"{before}{section}{returns}{after}"


def parse_seconds(option: str, text: str) -> float:
    """Parse a duration. A number without a unit is in seconds.

    >>> [parse_seconds("budget", text) for text in ("60s", "90", "2m", "1.5h")]
    [60.0, 90.0, 120.0, 5400.0]
    """
    match = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*(s|m|h|)", text.strip())
    seconds = float(match[1]) * {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}[match[2]] if match else 0.0
    if not 0.0 < seconds < float("inf"):
        raise PotstillError(f"{name_option(option, text)}: expected a time above 0, such as 60s, 2m or 1.5h")
    return seconds


def check_resume(config: Dataclass) -> None:
    """Raise if a config has ``resume`` without ``out``."""
    if getattr(config, "resume", False) and getattr(config, "out", None) is None:
        raise PotstillError(f"{name_option('resume', True)} requires {name_option('out')}, the run folder to resume")


def name_parts(config: Config) -> Config:
    """Replace each part that is an object by its name and fields, if it has a name."""
    parts = {name: getattr(config, name, None) for name in PART_REGISTRIES}
    parts["recipe"] = getattr(parts["solver"], "recipe", parts["recipe"])  # a solver given as an object has its own
    named = {
        name: describe_part(name, part, PART_REGISTRIES[name], recipe=None)
        for name, part in parts.items()
        if part is not None
    }
    return replace(config, **named) if named else config  # type: ignore[type-var]


def record_settings(config: Dataclass) -> JsonObject:
    """The settings of a command as in ``config.json``."""
    named = name_parts(config)
    return {field.name: _record_value(getattr(named, field.name)) for field in fields(named)}


def _record_value(value: object) -> object:
    if isinstance(value, NamedPart):
        return value.to_json()
    if hasattr(value, "content_hash"):  # a dataset or a teacher that was given as an object
        return {"python": type(value).__name__, "sha256": value.content_hash}
    return to_json(value)


def command_line(name: str, config: Dataclass, without: Collection[str] = ()) -> str:
    """Write the command line of a config: positional arguments, then all options that differ from their defaults.

    Words are quoted for a shell. Options in ``without`` are left out.

    >>> from potstill.config import DistillConfig
    >>> command_line("distill", DistillConfig("hopper-medium-replay", size=64, out="runs/a"))
    'potstill distill hopper-medium-replay --size 64'
    """
    named = name_parts(config)
    written = [field for field in fields(named) if field.name not in without]
    return " ".join(["potstill", name, *(word for field in written for word in _list_words(named, field))])


def resume_command(name: str, config: Dataclass, out: StrPath) -> str:
    """The command that resumes the run in ``out``; in words, if settings were given as Python objects.

    >>> from potstill.config import TeachConfig
    >>> resume_command("teach", TeachConfig("my data.npz", seed=3), "runs/a")
    "potstill teach 'my data.npz' --seed 3 --out runs/a --resume"
    """
    named = name_parts(config)
    if any(_describe_python_object(getattr(named, field.name)) for field in fields(named)):
        return f"potstill.{name}(..., out={os.fspath(out)!r}, resume=True) and the same arguments"
    track = getattr(config, "track", None)
    words = [command_line(name, config), *(["--track", track] if track else []), "--out", shlex.quote(os.fspath(out))]
    return " ".join([*words, "--resume"])


def _list_words(config: Dataclass, field: Field[object]) -> list[str]:
    value, option = getattr(config, field.name), f"--{field.name.replace('_', '-')}"
    if isinstance(value, NamedPart):
        return value.list_words(field.name)
    given = _describe_python_object(value)
    values = [f"<{given}>"] if given else list(value) if isinstance(value, tuple) else [value]
    words = [shlex.quote(str(part)) for part in values]
    if field.default is MISSING:
        return words
    if value == _find_default(config, field) or field.name in UNRECORDED:
        return []
    if isinstance(value, bool):
        return [option if value else f"--no-{option.removeprefix('--')}"]
    return [" ".join([option, *words])]


def _find_default(config: Dataclass, field: Field[object]) -> object:
    """Find the default of a field, which may depend on other fields."""
    resolved: Mapping[str, object] = getattr(config, "resolved_defaults", {})
    return resolved.get(field.name, field.default)


def _describe_python_object(value: object) -> str:
    """Describe a value that can be given only in Python; return an empty string for other values."""
    if isinstance(value, dict):
        return str(value.get("python", "arrays"))
    return f"{type(value).__name__} {value.content_hash[:12]}" if hasattr(value, "content_hash") else ""


def read_settings(config: type[Config], saved: JsonObject, **changes: object) -> Config:
    """Rebuild a config from ``config.json``, with some settings changed.

    The config's ``from_record`` converts files of older versions to the current fields.
    """
    upgrade = getattr(config, "from_record", None)
    saved = upgrade(dict(saved)) if upgrade else saved
    settings: JsonObject = {}
    for field in fields(config):  # type: ignore[arg-type]
        if field.name in saved:
            value = saved[field.name]
            if isinstance(value, dict) and field.name not in PART_REGISTRIES:
                raise PotstillError(
                    f"{field.name} was given in Python as {value.get('python', 'an object')}: the run cannot be "
                    "repeated"
                )
            if isinstance(value, list) and (isinstance(field.default, tuple) or field.default is MISSING):
                value = tuple(value)  # JSON has no tuples
            settings[field.name] = read_part(value) if field.name in PART_REGISTRIES else value
        elif field.default is MISSING and field.name not in changes:
            raise PotstillError(f"config.json has no '{field.name}'")
    return config(**{**settings, **changes})
