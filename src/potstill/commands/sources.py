"""The dataset and the teacher that a distillate was made with, as its run folder names them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from potstill.bundled import find_artefact_path, list_bundled_names
from potstill.commands.automatic_teacher import find_automatic
from potstill.config import DistillConfig
from potstill.config.settings import read_settings
from potstill.data.registry import load_dataset
from potstill.data.transitions import Transitions
from potstill.distillate import Distillate
from potstill.errors import PotstillError, name_option
from potstill.evaluation.statistics import describe_data
from potstill.runtime.files import JsonObject, StrPath
from potstill.runtime.run import Run
from potstill.tasks.mixture import read_sources
from potstill.teachers.base import NetworkTeacher, load_teacher
from potstill.teachers.lookup import FOLDER, find_teacher


class Sources(NamedTuple):
    """What a distillate was made with."""

    data: Transitions
    teacher: NetworkTeacher | None
    """``None`` if the objective has no teacher."""


def find_sources(path: StrPath, distillate: Distillate) -> Sources:
    """Load the dataset and the teacher of a distillate.

    Args:
        path: the distillate's file, its run folder, or the name of a bundled dataset.
        distillate: the distillate.

    Raises:
        PotstillError: there is no run folder, or its dataset or its teacher cannot be read or has changed.
    """
    try:
        sources, config = _load_sources(path, distillate)
    except PotstillError as error:
        raise PotstillError(
            f"{path} does not name an environment: give {name_option('dataset')} and {name_option('teacher')}, because "
            f"those that it was made with are not found ({error})"
        ) from None
    _check_unchanged(path, distillate, sources, config.dataset)
    return sources


def find_made_from(path: StrPath, distillate: Distillate) -> Sources:
    """:func:`find_sources` for commands that have no other source; bundled data need no run folder.

    Raises:
        PotstillError: the dataset or the teacher is not found, or has changed; or the distillate is a mixture.
    """
    if names := [str(source.get("name")) for source in read_sources(distillate)]:
        raise PotstillError(
            f"{path} is a mixture of {len(names)} distillates, and has no dataset of its own: name one of them instead "
            f"({', '.join(names)})"
        )
    known = distillate.metadata["dataset"]
    if isinstance(known, dict) and known.get("name") in list_bundled_names():
        name = str(known["name"])
        data = load_dataset(name)
        if data.content_hash == known.get("sha256") and distillate.metadata.get("teacher") is None:
            return Sources(data, None)
        if data.content_hash == known.get("sha256") and _is_bundled_teacher(name, distillate):
            return Sources(data, load_teacher(name))
    try:
        sources, config = _load_sources(path, distillate)
    except PotstillError as error:
        raise PotstillError(f"{path}: the dataset and the teacher of these pairs are not found ({error})") from None
    _check_unchanged(path, distillate, sources, config.dataset)
    return sources


def _is_bundled_teacher(name: str, distillate: Distillate) -> bool:
    known = distillate.metadata["teacher"]
    return isinstance(known, dict) and known.get("sha256") == load_teacher(name).content_hash


def _load_sources(path: StrPath, distillate: Distillate) -> tuple[Sources, DistillConfig]:
    config, folder = _read_settings(path), find_artefact_path(path, "distillate").parent
    data = load_dataset(config.dataset, **config.reading)
    return Sources(data, _find_teacher(config, folder, data, distillate)), config


def _check_unchanged(path: StrPath, distillate: Distillate, sources: Sources, name: object) -> None:
    known = distillate.metadata["dataset"]
    found = sources.data.content_hash
    if isinstance(known, dict) and found != known.get("sha256", found):  # private pairs do not hold the hash
        raise PotstillError(f"{path}: the dataset {name} has changed since the distillation")


def _read_settings(path: StrPath) -> DistillConfig:
    """Read the settings of the distillation in whose run folder a file is."""
    saved = Run(find_artefact_path(path, "distillate").parent).config
    if saved.get("command") != "distill":
        raise PotstillError(f"{path} is not in a run folder of potstill distill")
    return read_settings(DistillConfig, saved)


def _find_teacher(
    config: DistillConfig, folder: Path, data: Transitions, distillate: Distillate
) -> NetworkTeacher | None:
    """Load the teacher of a distillate: the named or bundled one, or the automatic one, here or of an earlier run."""
    known, own = distillate.metadata.get("teacher"), None
    if known is None:
        return None
    if config.teacher is None and str(config.dataset) not in list_bundled_names():
        own = folder / FOLDER if (folder / FOLDER).is_dir() else find_automatic(config, data, folder)
    teacher = find_teacher(config.teacher, config.dataset, data) if own is None else load_teacher(own)
    if isinstance(known, dict) and teacher.content_hash != known.get("sha256", teacher.content_hash):
        raise PotstillError("the teacher has changed since the distillation")
    return teacher


def describe_returns(path: StrPath | Distillate, distillate: Distillate) -> JsonObject | None:
    """The returns of the episodes that a distillate was made from, if its run folder has them or they are bundled."""
    known = distillate.metadata["dataset"]
    if isinstance(known, dict) and known.get("name") in list_bundled_names():
        data = load_dataset(str(known["name"]))
        if data.content_hash == known.get("sha256"):
            return describe_data(data, distillate.reference)
    if isinstance(path, Distillate):
        return None
    run = Run(find_artefact_path(path, "distillate").parent)
    try:
        found = run.result.to_dict().get("data")
    except PotstillError:  # not in a finished run folder
        return None
    return found if isinstance(found, dict) else None
