"""The interface of formats, and of the export formats of distillates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from potstill.distillate import Distillate
from potstill.errors import PotstillError, make_missing_extra_error
from potstill.runtime.arguments import check_arguments

Content = TypeVar("Content")


@check_arguments
@dataclass(frozen=True)
class Format(Generic[Content]):
    """A file format: a function that writes it, its suffixes, and the library that it needs."""

    write: Callable[[Content, Path], None]
    """Write to a path that does not exist yet. Libraries are imported when it is called."""

    suffixes: tuple[str, ...] = ()
    """The suffixes of file names that select this format. Without suffixes, the user must name the format."""

    package: str | None = None
    """The optional library that ``write`` imports."""

    extra: str | None = None
    """The extra of potstill that installs ``package``."""

    def check_installed(self) -> None:
        """Raise if the optional library is missing."""
        if self.package is None or find_spec(self.package) is not None:
            return
        if self.extra is None:
            raise PotstillError(f"{self.package} is not installed: pip install {self.package}")
        raise make_missing_extra_error(self.package, self.extra)


@check_arguments
@dataclass(frozen=True)
class ExportFormat(Format[Distillate]):
    """A format of another library in which distillates can be written.

    Example:
        A custom format, a text table with the state and the action of one pair in each row:

        >>> import tempfile
        >>> from pathlib import Path
        >>> import numpy as np
        >>> import potstill
        >>> from potstill.exports import ExportFormat
        >>> def write(distillate, path):
        ...     np.savetxt(path, np.hstack([distillate.states, distillate.actions]))
        >>> text = ExportFormat(write, suffixes=(".txt",))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     text.write(potstill.load("hopper-medium-replay"), Path(folder, "pairs.txt"))
        ...     np.loadtxt(Path(folder, "pairs.txt")).shape
        (256, 14)
    """

    named_in: ClassVar[str] = "potstill.exports.EXPORT_FORMATS"

    steps_only: bool = False
    """Whether readers interpret rows as environment steps. Such a format cannot hold weights of pairs or actions
    outside the action bounds."""
