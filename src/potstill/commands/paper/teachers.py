"""The files of ``--teachers``: one teacher for each dataset, found by its name."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from potstill.errors import PotstillError, name_option
from potstill.reports.paper.numbers import find_column
from potstill.teachers.importers import ARRAYS, SUFFIXES

SHOWN = 3  # names in an error message


@dataclass(frozen=True)
class TeacherFiles:
    """Files and run folders with teachers."""

    given: str
    """The folder or pattern that the user gave."""
    paths: Sequence[Path]

    @classmethod
    def of(cls, given: str) -> TeacherFiles:
        """Find the files and run folders with teachers in a folder, or those that match a pattern.

        Raises:
            PotstillError: there are none.
        """
        folder = Path(given).is_dir()
        paths = sorted(Path(given).iterdir() if folder else map(Path, glob.glob(given)))
        paths = [
            path for path in paths if path.suffix in (*SUFFIXES, ARRAYS) or (path / "teacher.safetensors").exists()
        ]
        if not paths:
            where = "the folder contains no teacher" if folder else "there is no such folder, and no teacher matches"
            raise PotstillError(f"{name_option('teachers', given)}: {where}")
        return cls(given, paths)

    def find(self, label: str, column: str | None) -> Path:
        """Find the teacher of a dataset.

        Args:
            label: the dataset's name in tables.
            column: the column of the paper that it belongs to.

        Raises:
            PotstillError: there is none, or more than one.
        """
        found = [path for path in self.paths if _has_name(path, label, column)]
        if len(found) > 1:
            named = " and ".join(path.name for path in found[:SHOWN])
            raise PotstillError(
                f"{name_option('teachers', self.given)}: {label} has {len(found)} teachers, {named}: give a pattern "
                "that matches one"
            )
        if not found:
            more = ", …" if len(self.paths) > SHOWN else ""
            names = ", ".join(path.name for path in self.paths[:SHOWN])
            raise PotstillError(
                f"{name_option('teachers', self.given)}: no teacher for {label}: expected a file or run folder with "
                f"this name in its own, found {names}{more}"
            )
        return found[0]


def _has_teacher(path: Path) -> bool:
    return path.suffix in (*SUFFIXES, ARRAYS) or (path / "teacher.safetensors").exists()


def _has_name(path: Path, label: str, column: str | None) -> bool:
    """Whether the name of a file or folder contains that of a dataset.

    >>> _has_name(Path("hopper-medium-replay-v2.pt"), "hopper-medium", "hopper-medium")
    False
    """
    return label in path.name if column is None else find_column(path.name) == column
