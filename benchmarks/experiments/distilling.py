"""Run ``potstill distill`` for a cell, and extract the fields of its result that records contain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import potstill
from benchmarks.experiments.parts import distill_options
from benchmarks.files import Workspace
from benchmarks.grid import Cell, Record
from potstill.runtime.files import read_json

# Options of `potstill distill` at toy size; `--toy` replaces an experiment's own options by them.
TOY: dict[str, Any] = {
    "size": 8,
    "steps": 2,
    "batch": 16,
    "students": 2,
    "episodes": 1,
    "curve_points": 1,
}


def distil(
    cell: Cell,
    options: Mapping[str, Any],
    workspace: Workspace,
    dataset: Path | None = None,
    teacher: str | Path | None = None,
) -> Record:
    """Run ``potstill.distill`` for a cell and return its ``result.json`` with ``command``, the equivalent command.

    Args:
        cell: the file, its teacher and the seed.
        options: arguments of :func:`~benchmarks.experiments.parts.distill_options`.
        workspace: the paths of the data. At toy size, :data:`TOY` replaces the options.
        dataset: the dataset, instead of the cell's file.
        teacher: the file whose teacher is used, instead of the cell's; or the path of a teacher.
    """
    chosen = distill_options({**options, **TOY}, toy=True) if workspace.toy else distill_options(options)
    data = dataset or workspace.find_dataset(cell.file)
    weights = teacher if isinstance(teacher, Path) else workspace.find_teacher(teacher or cell.file)
    run = potstill.distill(
        data,
        teacher=weights,
        seed=cell.seed,
        out=workspace.find_folder(cell.file, cell.method, cell.seed, *(value for _, value in cell.axes)),
        force=True,
        **chosen,
    )
    command = str(potstill.load(run).metadata["command"])
    return {**read_json(Path(run) / "result.json"), "command": strip_folders(command)}


def strip_folders(command: str) -> str:
    """Replace the paths in a command by file names.

    >>> strip_folders("potstill distill /data/hopper.hdf5 --size 64")
    'potstill distill hopper.hdf5 --size 64'
    """
    return " ".join(Path(word).name if "/" in word else word for word in command.split())


def shorten_summary(entry: Mapping[str, Any], returns: bool = True) -> Record:
    """Select mean, standard deviation and, if ``returns``, all normalised returns [policies, episodes] of a summary."""
    fields = ("mean", "std", *(("returns",) if returns else ()))
    return {name: entry[name] for name in fields}


def select_student_scores(result: Mapping[str, Any]) -> Record:
    """Select the scores of single students and of the ensemble."""
    return {kind: shorten_summary(result[kind]) for kind in ("student", "ensemble")}
