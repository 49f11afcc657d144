"""Named parts: the ones that ship with potstill and the ones that other packages register."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar, cast

from potstill.errors import PotstillError, unknown

Part = TypeVar("Part")


class Registry(Mapping[str, Part], Generic[Part]):
    """A read-only mapping from names to parts of one kind, each imported when it is first asked for.

    Names come from two places: ``own``, and the entry points of ``group``. Another package adds a part by declaring
    an entry point in its ``pyproject.toml``:

        [project.entry-points."potstill.objectives"]
        huber = "my_package.objectives:huber"

    Listing names imports nothing, so the command line can offer them without JAX.

    Args:
        kind: what a part is called in error messages, such as ``"objective"``.
        group: the entry-point group of other packages' parts.
        own: the parts that ship with potstill, as ``"module:attribute"``.
    """

    def __init__(self, kind: str, group: str, own: Mapping[str, str]) -> None:
        self.kind, self.group = kind, group
        self._own = dict(own)

    def __iter__(self) -> Iterator[str]:
        return iter({**self._own, **self._foreign()})

    def __len__(self) -> int:
        return len({**self._own, **self._foreign()})

    def __getitem__(self, name: str) -> Part:
        """Import the part called ``name``.

        Raises:
            PotstillError: an unknown name, with the nearest known one; or a registered part that cannot be imported.
        """
        if name in self._own:
            module, _, attribute = self._own[name].partition(":")
            return cast(Part, getattr(import_module(module), attribute))
        foreign = self._foreign()
        if name not in foreign:
            raise unknown(self.kind, name, self)
        entry = foreign[name]
        try:
            return cast(Part, entry.load())
        except (ImportError, AttributeError) as error:
            raise PotstillError(
                f"{self.kind} '{name}', registered as {entry.value}, cannot be loaded: {error}"
            ) from None

    def __contains__(self, name: object) -> bool:
        return name in self._own or name in self._foreign()

    def _foreign(self) -> dict[str, EntryPoint]:
        return {entry.name: entry for entry in entry_points(group=self.group)}
