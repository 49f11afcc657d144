"""The datasets of a reproduction, and the columns of the paper that they belong to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from potstill.bundled import list_bundled_names
from potstill.commands.paper.teachers import TeacherFiles
from potstill.data.registry import load_dataset
from potstill.data.transitions import Transitions
from potstill.environments.making import strip_version
from potstill.errors import PotstillError, name_option
from potstill.reports.paper.numbers import COLUMNS, find_column
from potstill.runtime.progress import busy
from potstill.teachers.lookup import find_teacher


@dataclass(frozen=True)
class Source:
    """A dataset that a reproduction uses."""

    given: str
    """The name or path that the user gave."""
    label: str
    """Its name in tables and in the folders of cells."""
    column: str | None
    """The column of the paper, if it belongs to one."""
    env_id: str
    rows: int
    content_hash: str
    teacher: str | None = None
    """The path of its teacher. ``None``: the bundled one, one trained before, or a new one."""
    teacher_hash: str | None = None

    @property
    def family(self) -> str:
        """The environment in lower case, without its version."""
        return strip_version(self.env_id).lower()

    def load(self) -> Transitions:
        """Read the rows."""
        return load_dataset(self.given)


def name_datasets(scale: str, given: Sequence[object]) -> list[str]:
    """The names and paths of the datasets, before any is read.

    Raises:
        PotstillError: the scale needs data that are not given, or uses bundled data only.
    """
    names = [str(one) for one in given]
    if scale == "smoke" and set(names) - set(list_bundled_names()):
        other = next(name for name in names if name not in list_bundled_names())
        raise PotstillError(
            f"{name_option('datasets', other)}: {name_option('scale', 'smoke')} uses bundled data only "
            f"({', '.join(list_bundled_names())}); for other data use {name_option('scale', 'small')}"
        )
    if scale == "full" and not names:
        raise PotstillError(
            f"{name_option('scale', 'full')} needs the paper's datasets, which are not bundled: name files or "
            f"d4rl:NAME with {name_option('datasets')}, in any order ({', '.join(COLUMNS)})"
        )
    if len(set(names)) < len(names):
        raise PotstillError(f"{name_option('datasets')}: a dataset is named twice")
    return names or list_bundled_names()


def read_sources(names: Sequence[str], teachers: TeacherFiles | None = None) -> list[Source]:
    """Read each dataset once, so that all errors in them are found before anything is computed.

    Args:
        names: names and paths of datasets.
        teachers: the files that the teachers are taken from. ``None``: they are bundled, found or trained later.

    Returns:
        The datasets, those of the paper first and in its order.

    Raises:
        PotstillError: a dataset cannot be read or names no environment, or two belong to the same column; or a
            dataset has no teacher among the files, two, or one that does not match it.
    """
    found: list[Source] = []
    for name in names:
        with busy(f"reading {name}"):
            data = load_dataset(name)
        if data.env_id is None:
            raise PotstillError(f"{name}: the data name no environment, in which students could be evaluated")
        level = data.card.get("level")
        column = find_column(data.name, data.env_id, str(level)) or find_column(Path(name).stem)
        label = column or re.sub(r"[^A-Za-z0-9.]+", "-", data.name).strip("-")
        if label in [source.label for source in found]:
            raise PotstillError(f"{name_option('datasets')}: {name} is a second {label}: name one of them")
        source = Source(name, label, column, data.env_id, len(data), data.content_hash)
        if teachers is not None:
            path = teachers.find(label, column)
            known = find_teacher(path, name, data)  # refuses a teacher that does not match the data
            source = replace(source, teacher=str(path), teacher_hash=known.content_hash)
        found.append(source)
    order = {column: i for i, column in enumerate(COLUMNS)}
    return sorted(found, key=lambda source: order.get(source.column or "", len(order)))
