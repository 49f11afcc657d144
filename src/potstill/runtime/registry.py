"""Registries of named parts: those of potstill, and those that other packages register."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from potstill.errors import PotstillError, make_unknown_name_error, warn

Entry = TypeVar("Entry")


class Registry(Mapping[str, Entry], Generic[Entry]):
    """A read-only mapping from names to parts of one kind, each imported on first access.

    Names come from two places: ``builtin``, and the entry points of ``group``. Another package adds a part by declaring
    an entry point in its ``pyproject.toml``:

        [project.entry-points."potstill.objectives"]
        huber = "my_package.objectives:huber"

    Listing names imports nothing, so the command line can offer them without JAX.

    Args:
        kind: the word for a part in error messages, such as ``"objective"``.
        group: the entry-point group of other packages' parts.
        builtin: the parts that ship with potstill, as ``"module:attribute"``.
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self.kind, self.group = kind, group
        self._builtin = dict(builtin)

    def __iter__(self) -> Iterator[str]:
        yield from self._builtin  # first, because finding entry points takes some milliseconds
        yield from self._find_external()

    def __len__(self) -> int:
        return len(self._builtin) + len(self._find_external())

    def __getitem__(self, name: str) -> Entry:
        """Import the part called ``name``.

        Raises:
            PotstillError: the name is unknown (the message suggests the closest one), or the part cannot be imported.
        """
        if name in self._builtin:
            module, _, attribute = self._builtin[name].partition(":")
            return cast(Entry, getattr(import_module(module), attribute))
        external = self._find_external()
        if name not in external:
            raise make_unknown_name_error(self.kind, name, self)
        entry = external[name]
        try:
            return cast(Entry, entry.load())
        except Exception as error:  # the code of another package may raise any exception
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise PotstillError(
                f"{self.kind} '{name}', registered as {entry.value}, cannot be loaded: {reason}"
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._builtin or name in self._find_external()

    def _find_external(self) -> dict[str, EntryPoint]:
        """Find the entry points of other packages. Those with the name of a built-in part cause a warning."""
        found = {entry.name: entry for entry in entry_points(group=self.group)}
        for name in found.keys() & self._builtin.keys():
            text = (
                f"{self.kind} '{name}', registered as {found.pop(name).value}, is not used: potstill has one of that "
                "name; rename yours"
            )
            warn(text)
        return found
