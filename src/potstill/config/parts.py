"""Parts named on the command line: a name and fields, such as ``--solver unroll --solver.window 20``.

A command's setting for a part is a name, a :class:`NamedPart` (a name with fields), or the object itself. This module
does not import JAX; :func:`resolve_part` imports the module of a part when it makes the object.
"""

from __future__ import annotations

import dataclasses
import difflib
import shlex
import types
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, Union, get_args, get_origin, get_type_hints

from potstill.errors import PotstillError, make_unknown_name_error

FieldValue: TypeAlias = "str | int | float | bool | list[FieldValue] | tuple[FieldValue, ...] | None"

TRUTH_VALUES = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class NamedPart:
    """The name of a part, with the fields that differ from its defaults.

    >>> NamedPart("unroll", {"window": 20}).list_words("solver")
    ['--solver unroll', '--solver.window 20']
    """

    name: str
    fields: Mapping[str, FieldValue] = dataclasses.field(default_factory=dict)
    """Values: text from the command line, or Python values."""

    def __hash__(self) -> int:
        return hash((self.name, *sorted((name, str(value)) for name, value in self.fields.items())))

    def list_words(self, option: str) -> list[str]:
        """List the command-line options for this part."""
        chosen = [f"--{option} {shlex.quote(self.name)}"] if self.name else []
        return chosen + [f"--{option}.{name.replace('_', '-')} {spell(value)}" for name, value in self.fields.items()]

    def to_json(self) -> dict[str, FieldValue]:
        """The part in the layout of ``config.json``."""
        return {"name": self.name, **self.fields}


def spell(value: FieldValue) -> str:
    """Write a field's value in the syntax of the command line, quoted for a shell."""
    if isinstance(value, list | tuple):
        return " ".join(map(spell, value))
    return str(value).lower() if isinstance(value, bool) or value is None else shlex.quote(str(value))


def read_part(stored: object) -> object:
    """Read a name or a :class:`NamedPart` from ``config.json``.

    Raises:
        PotstillError: the part was given as a Python object without a name, or the name is not text.
    """
    if not isinstance(stored, dict):
        return stored
    if "name" not in stored:
        raise PotstillError(f"{stored.get('python', stored)} was given in Python: only parts with a name can be rerun")
    if not isinstance(stored["name"], str):
        raise PotstillError(f"{stored}: expected the name of a part under 'name'")
    return NamedPart(stored["name"], {name: value for name, value in stored.items() if name != "name"})


def split_part_options(
    arguments: Iterable[str], registries: Mapping[str, Mapping[str, object]]
) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Separate ``--OPTION.FIELD VALUE`` words from the other words of a command line.

    A field without a value becomes ``true``. A word after a boolean field is its value only if it is a truth value,
    such as ``true`` or ``no``. Several numbers are joined by spaces.

    Args:
        arguments: the words.
        registries: the parts of each option, by name.

    >>> from potstill.students.recipe import RECIPES
    >>> split_part_options(["--recipe.layers", "5", "--size=9", "--recipe.residual", "x"], {"recipe": RECIPES})
    (['--size=9', 'x'], {'recipe': {'layers': '5', 'residual': 'true'}})
    """
    rest: list[str] = []
    found: dict[str, dict[str, str]] = {}
    into: list[str] | None = None  # the words of the field that is being read
    for word in arguments:
        option, dot, field = word.removeprefix("--").partition("=")[0].partition(".")
        if word.startswith("--") and dot and option in registries:
            field = field.replace("-", "_")
            value = word.partition("=")[2]
            found.setdefault(option, {})[field] = value
            into = None if "=" in word else [option, field]
        elif into is not None and _continues(word, found[into[0]][into[1]], registries[into[0]], into[1]):
            option, field = into
            found[option][field] = f"{found[option][field]} {word}".strip()
        else:
            into = None
            rest.append(word)
    return rest, {option: {name: text or "true" for name, text in fields.items()} for option, fields in found.items()}


def _continues(word: str, value: str, registry: Mapping[str, object], field: str) -> bool:
    """Whether a word belongs to the value of a field. ``value`` is the part of the value that has been read."""
    if not _is_number(word) and (word.startswith("-") or value):
        return False
    return word.lower() in TRUTH_VALUES or not _is_boolean(registry, field)


def _is_boolean(registry: Mapping[str, object], field: str) -> bool:
    """Whether any part of a registry has a boolean field of this name."""
    for name in registry:
        try:
            part = registry[name]
        except PotstillError:  # a part of another package that cannot be imported
            continue
        kind = part if isinstance(part, type) else type(part)
        fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
        if any(known.name == field and known.type in (bool, "bool") for known in fields):
            return True
    return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def resolve_part(kind: str, part: object, registry: Mapping[str, object], **given: object) -> object:
    """Make the object that a setting describes.

    Args:
        kind: the option's name, for error messages.
        part: a name, a :class:`NamedPart`, or an object, which is returned as it is.
        registry: classes by name, which are called with ``given`` and the part's fields; or functions and objects,
            which are returned as they are or, if they are dataclasses, with the part's fields replaced.
        given: further arguments that every class of the registry takes.

    Raises:
        PotstillError: an unknown name or field, a value that cannot be read, or values that the class rejects.
    """
    if isinstance(part, str):
        part = NamedPart(part)
    if not isinstance(part, NamedPart):
        return part
    if part.name not in registry:
        raise make_unknown_name_error(kind, part.name, registry)
    found = registry[part.name]
    fields = parse_fields(kind, part, found, given)
    if isinstance(found, type):
        return found(**given, **fields)
    return dataclasses.replace(found, **fields) if fields else found  # type: ignore[type-var]


def parse_fields(kind: str, part: NamedPart, found: object, given: Collection[str] = ()) -> dict[str, FieldValue]:
    """Convert the fields of a part from text, by the type hints of its class or object ``found``."""
    cls = found if isinstance(found, type) else type(found)
    if part.fields and not (dataclasses.is_dataclass(cls) and {x.name for x in dataclasses.fields(cls)} - {*given}):
        raise PotstillError(f"--{kind}.{next(iter(part.fields))}: {kind} '{part.name}' has no fields")
    return {name: parse_field(kind, part.name, cls, name, value, given) for name, value in part.fields.items()}


def parse_field(
    kind: str, part: str, cls: type, name: str, value: FieldValue, given: Collection[str] = ()
) -> FieldValue:
    """Convert one field of a part from text by its type hint. Names in ``given`` are not accepted as fields."""
    hints = get_type_hints(cls)
    known = [field.name for field in dataclasses.fields(cls) if field.name not in given]
    if name not in known:
        raise _make_unknown_field_error(kind, part, name.replace("_", "-"), [x.replace("_", "-") for x in known])
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list) else value
    try:
        return parse_text(value, hints[name])
    except ValueError:
        option = f"--{kind}.{name.replace('_', '-')}"
        raise PotstillError(f"{option} {value}: expected {_describe_type(hints[name])}") from None


def _make_unknown_field_error(kind: str, part: str, name: str, known: Collection[str]) -> PotstillError:
    """Return the error for an unknown field, by the option that was written. ``part`` may be a default."""
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.4)
    hint = f": did you mean --{kind}.{near[0]}?" if near else "."
    of = f" of {kind} '{part}'" if part else ""
    return PotstillError(f"--{kind}.{name}: unknown field{of}{hint} Known: {', '.join(sorted(known))}")


def parse_text(text: str, hint: object) -> FieldValue:
    """Convert text to a type hint.

    >>> parse_text("20", int | None), parse_text("none", int | None), parse_text("64 128", tuple[int, ...])
    (20, None, (64, 128))

    Raises:
        ValueError: the text is not a value of this type.
    """
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        if type(None) in get_args(hint) and text.lower() == "none":
            return None
        return parse_text(text, next(part for part in get_args(hint) if part is not type(None)))
    if origin is tuple:
        return tuple(parse_text(word, get_args(hint)[0]) for word in text.replace(",", " ").split())
    if hint is bool:
        if text.lower() not in TRUTH_VALUES:
            raise ValueError(text)
        return TRUTH_VALUES[text.lower()]
    if hint is int or hint is float:
        convert: Callable[[str], int | float] = int if hint is int else float
        return convert(text)
    return text


def _describe_type(hint: object) -> str:
    from potstill.runtime.validation import describe_type

    return describe_type(hint)


def describe_part(kind: str, part: object, registry: Mapping[str, object], **hidden: object) -> object:
    """Describe a part for a record of the settings: a name, a :class:`NamedPart`, or ``{"python": ...}``.

    Args:
        kind: the option's name, for error messages.
        part: a name, a :class:`NamedPart`, or an object.
        registry: classes, functions or objects by name, among which the part or its class may be.
        hidden: fields that are recorded elsewhere, such as a solver's recipe.
    """
    if isinstance(part, NamedPart) and (part.name in registry or not part.name):  # converts text to values
        default = registry[part.name or next(iter(registry))]
        fields = parse_fields(kind, part, default)
        if part.name:
            fields = {name: value for name, value in fields.items() if value != getattr(default, name, None)}
        return NamedPart(part.name, fields) if fields else part.name
    if isinstance(part, str | NamedPart | dict):
        return part
    found: list[tuple[int, str, dict[str, FieldValue]]] = []
    for name in registry:
        try:
            known = registry[name]
        except PotstillError:  # a part of another package that cannot be imported
            continue
        if known is part:
            return name
        if dataclasses.is_dataclass(part) and not isinstance(part, type) and type(part) in (known, type(known)):
            defaults = known if type(part) is type(known) else None
            differing = {
                field.name: getattr(part, field.name)
                for field in dataclasses.fields(part)
                if field.name not in hidden
                and getattr(part, field.name) != (getattr(defaults, field.name) if defaults else field.default)
            }
            found.append((len(differing), name, differing))
    if found:
        _, name, fields = min(found, key=lambda entry: entry[0])
        return NamedPart(name, fields) if fields else name
    module, label = getattr(part, "__module__", "?"), getattr(part, "__qualname__", type(part).__qualname__)
    return {"python": f"{module}:{label}"}
