"""The algorithms by name, and where a teacher comes from: a file, or the one bundled with a dataset."""

from __future__ import annotations

from pathlib import Path

from potstill.bundled import BUNDLED, bundled_names
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError, unknown
from potstill.teachers.algorithms import bc, calql, edac, iql, rebrac
from potstill.teachers.base import NetworkTeacher, load_teacher
from potstill.teachers.importers import SUFFIXES, import_teacher
from potstill.teachers.training import Algorithm

ALGORITHMS = {module.ALGORITHM.name: module.ALGORITHM for module in (bc, rebrac, iql, calql, edac)}


def algorithm_named(name: str) -> Algorithm:
    """Look an algorithm up; an unknown name is a :class:`~potstill.errors.PotstillError`."""
    if name not in ALGORITHMS:
        raise unknown("algorithm", name, [*ALGORITHMS, "auto"])
    return ALGORITHMS[name]


def find_teacher(teacher: Path | str | None, dataset: Path | str, data: Transitions) -> NetworkTeacher:
    """Load or import ``teacher``, or load the bundled one if ``dataset`` is a bundled name, and check that it fits.

    Raises:
        PotstillError: none named and none bundled, or of other dimensions than the data.
    """
    path = Path(teacher) if teacher is not None else BUNDLED / f"{dataset}.teacher.safetensors"
    if teacher is None and str(dataset) not in bundled_names():
        raise PotstillError(
            f"{dataset} has no bundled teacher: make one with 'potstill teach {dataset}', then --teacher"
        )
    found = import_teacher(path, data=data) if path.suffix in SUFFIXES else load_teacher(path)
    states, actions = len(found.normaliser.mean), found.action_size
    if (states, actions) != (data.state_size, data.action_size):
        raise PotstillError(
            f"{path}: made for {states} states and {actions} actions, "
            f"{data.name} has {data.state_size} and {data.action_size}"
        )
    return found
