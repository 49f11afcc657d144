"""Runs: the objects that commands return, which read the files of a run folder."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from potstill.errors import PotstillError, make_unknown_name_error
from potstill.runtime.arguments import check_arguments
from potstill.runtime.files import JsonMapping, JsonObject, StrPath, read_json, read_json_lines, to_json
from potstill.runtime.folder_state import check_unchanged
from potstill.runtime.html import format_value, make_html_table

MAX_HEADLINES = 6  # means that are shown in the repr of a run

_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxdict, _SHORT.maxstring, _SHORT.maxother = 3, 12, 60, 60


class Record(Mapping[str, Any]):
    """A read-only JSON object whose keys are also attributes.

    Nested objects are records too. ``record.to_dict()`` gives plain dictionaries.

    >>> record = Record({"student": {"mean": 79.2}})
    >>> record.student.mean, record["student"]["mean"]
    (79.2, 79.2)

    Raises:
        AttributeError: for an unknown key; the message suggests the closest known one.
    """

    __slots__ = ("_content",)

    def __init__(self, content: JsonMapping) -> None:
        self._content = content

    def __getitem__(self, key: str) -> Any:
        return _as_records(self._content[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __getattr__(self, name: str) -> Any:
        if name == "_content" or name.startswith("__"):  # copy and pickle look names up before the content is set
            raise AttributeError(name)
        if name not in self._content:
            raise AttributeError(str(make_unknown_name_error("key", name, self._content)))
        return self[name]

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *(key for key in self._content if key.isidentifier())]

    def __repr__(self) -> str:
        return f"Record({_SHORT.repr(self.to_dict())})"

    def _repr_html_(self) -> str:
        return make_html_table("", {key: _SHORT.repr(to_json(value)) for key, value in self._content.items()})

    def to_dict(self) -> JsonObject:
        """Return the same content as plain dictionaries and lists."""
        content: JsonObject = to_json(self._content)
        return content


def _as_records(value: Any) -> Any:
    if isinstance(value, dict):
        return Record(value)
    return [_as_records(item) for item in value] if isinstance(value, list) else value


@check_arguments
class Run:
    """The run folder of a command, with its settings, metrics and result as Python objects.

    A run is path-like: ``open(run / "curve.png", "rb")``, ``Path(run)`` and ``potstill.load(run)`` work. Each access to
    an attribute reads the file again, so the values are always those on disk.

    Args:
        path: the run folder. ``Run("runs/demo")`` opens an earlier run.

    Example:
        >>> import tempfile
        >>> import potstill
        >>> from potstill.runtime.run_folder import RunFolder
        >>> with tempfile.TemporaryDirectory() as path:
        ...     RunFolder(path, "evaluate", {"students": 2}).finish({"student": {"mean": 79.2, "std": 3.1}})
        ...     run = potstill.Run(path)
        ...     run.command, run.config["students"], run.result.student.mean
        ('evaluate', 2, 79.2)
    """

    def __init__(self, path: StrPath) -> None:
        self.path = Path(path)

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def __truediv__(self, name: StrPath) -> Path:
        """Return the path of a file in the run folder."""
        return self.path / name

    def __eq__(self, other: object) -> bool:
        return self.path == other.path if isinstance(other, Run) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.path)

    @property
    def command(self) -> str:
        """The name of the command that made the run."""
        return str(self.config.get("command"))

    @property
    def config(self) -> JsonObject:
        """The resolved settings of the command, from ``config.json``.

        Raises:
            PotstillError: the folder is not a run folder.
        """
        return read_json(self._check("config.json"))

    @property
    def result(self) -> Record:
        """The content of ``result.json``: ``run.result.student.mean`` or ``run.result["student"]["mean"]``.

        Scores that were not measured are ``None``, such as ``run.result.student`` after ``episodes=0``.

        Raises:
            PotstillError: the run is not finished, or the file was changed.
        """
        return Record(read_json(self._check("result.json")))

    @property
    def metrics(self) -> list[JsonObject]:
        """The lines of ``metrics.jsonl`` in order; empty if the command logs no metrics."""
        path = self._check("metrics.jsonl")
        return read_json_lines(path) if os.path.lexists(path) else []

    def _check(self, name: str) -> Path:
        """Return the path of a file. Raise if the file was changed after the run."""
        path = self.path / name
        check_unchanged(path)
        return path

    def __repr__(self) -> str:
        command, result = self._read()
        if result is None:
            return f"Run({str(self.path)!r}, {command}, not finished)"
        found = list((find_headlines(result) or _find_scalars(result)).items())[:MAX_HEADLINES]
        return f"Run({', '.join([repr(str(self.path)), command, *(f'{name} {text}' for name, text in found)])})"

    def _repr_html_(self) -> str:
        command, result = self._read()
        rows = {"status": "not finished"} if result is None else {**_find_scalars(result), **find_headlines(result)}
        return make_html_table(f"{command}: {self.path}", rows)

    def _read(self) -> tuple[str, JsonMapping | None]:
        """Return the command, and the result if there is one. Never raise, because notebooks display any object."""
        try:
            command = self.command
        except PotstillError:
            return "not a run folder", None
        try:
            return command, self.result
        except PotstillError:
            return command, None


def find_headlines(result: JsonMapping, prefix: str = "") -> dict[str, str]:
    """Find all means in a result; return them with their standard deviations, keyed by their path in the result.

    >>> find_headlines({"student": {"mean": 79.168, "std": 24.887}, "offline": {"q_gap": {"mean": 0.01, "std": 0.0}}})
    {'student': '79.17 ± 24.89', 'offline q_gap': '0.01 ± 0'}

    The keys of a report's means begin with the path of the run.
    """
    found: dict[str, str] = {}
    for name, value in result.items():
        if not isinstance(value, Mapping):
            continue
        if isinstance(value.get("mean"), int | float) and isinstance(value.get("std"), int | float):
            found[prefix + name] = f"{value['mean']:.4g} ± {value['std']:.4g}"
        else:
            found |= find_headlines(value, "" if name == "runs" else f"{prefix}{name} ")
    return found


def _find_scalars(result: JsonMapping) -> dict[str, str]:
    """Find the top-level values of a result that are numbers or short strings."""
    return {
        name: format_value(value)
        for name, value in result.items()
        if isinstance(value, str | int | float) and name != "sha256" and len(str(value)) <= 60
    }
