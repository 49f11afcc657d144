"""The teacher of ``potstill distill`` if none is given: one that was trained on the same data before, or a new one."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from pathlib import Path

from potstill.commands.teach import resolve_algorithm, teach_one
from potstill.config import DistillConfig, TeachConfig
from potstill.config.settings import record_settings
from potstill.data.transitions import Transitions
from potstill.errors import PotstillError, name_option
from potstill.runtime.files import JsonObject, read_json, to_json
from potstill.runtime.run_folder import RunFolder, list_artefact_folders, list_places_beside
from potstill.teachers.base import NetworkTeacher, load_teacher
from potstill.teachers.lookup import FOLDER
from potstill.teachers.rows import find_order_breaks, has_returns

DETERMINING = (
    "algorithm",
    "updates",
    "batch",
    "discount",
    "target_rate",
    "evaluate_every",
    "fitted_updates",
    "patience",
    "seed",
)
"""Settings of ``potstill teach`` that, with the data, determine the teacher."""


def find_or_train_teacher(config: DistillConfig, data: Transitions, folder: RunFolder) -> NetworkTeacher:
    """Find the teacher that ``potstill teach`` trains on these data by default, or train it in ``folder``.

    A finished run is used if it has the same data, by their hash, and the same settings. Its teacher is then the one
    that training would give. The run folders in ``runs`` and beside ``folder`` are searched, and the teachers in them.

    Args:
        config: the settings of the distillation; those of reading the data and ``episodes`` apply to the teacher.
        data: the dataset.
        folder: the run folder of the distillation.

    Raises:
        PotstillError: the teacher cannot be trained, such as by divergence.
    """
    found = find_automatic(config, data, folder.path)
    if found is None:
        own = folder.path / FOLDER
        settings = make_automatic_settings(config, data, own)
        then = f"; {name_option('budget', config.budget)} begins after that" if config.budget is not None else ""
        print(f"no teacher is given: training one with {describe_choice(settings, data)} in {own}{then}", flush=True)
        found = teach_one(settings, resolve_algorithm(settings.algorithm), data).path
    else:
        print(f"teacher: {found}, trained on these data before", flush=True)
    return load_teacher(found)


def find_automatic(config: DistillConfig, data: Transitions, folder: Path) -> Path | None:
    """The run folder of the automatic teacher of a distillation, if it is trained.

    Args:
        config: the settings of the distillation.
        data: the dataset.
        folder: the run folder of the distillation.
    """
    settings = make_automatic_settings(config, data, folder / FOLDER)
    return find_trained(settings, data, list_places_beside(folder))


def make_automatic_settings(config: DistillConfig, data: Transitions, out: Path) -> TeachConfig:
    """Make the settings of the automatic teacher: all defaults, and the first algorithm that can learn from data."""
    shared = {field.name for field in dataclasses.fields(TeachConfig)} & {
        field.name for field in dataclasses.fields(DistillConfig)
    }
    reading = {name: getattr(config, name) for name in shared - {"seed", "batch", "out", "force", "resume"}}
    continuous = not data.action_bounds.discrete
    algorithm = "bc" if not has_returns(data) else "rebrac" if continuous and not find_order_breaks(data)[1] else "iql"
    return TeachConfig(**reading, algorithm=algorithm, out=out, resume=True)


def describe_choice(settings: TeachConfig, data: Transitions) -> str:
    """The algorithm of the automatic teacher, and the reason if it is not the default one."""
    reasons = {
        "bc": " (behavioural cloning, because the rewards do not distinguish policies)",
        "iql": " (because the actions are discrete)"
        if data.action_bounds.discrete
        else " (because the rows are not in the order of their episodes)",
    }
    return f"{settings.algorithm}{reasons.get(str(settings.algorithm), '')}"


def find_trained(settings: TeachConfig, data: Transitions, places: Iterable[Path]) -> Path | None:
    """The run folder of a finished teacher with these settings and data; the newest, if there are several.

    Args:
        settings: the settings of ``potstill teach``.
        data: the dataset.
        places: folders that contain run folders.
    """
    wanted = {name: to_json(record_settings(settings))[name] for name in DETERMINING}
    return find_newest(places, "teacher", "result.json", lambda run: _is_trained(run, wanted, data))


def find_newest(places: Iterable[Path], kind: str, file: str, suits: Callable[[Path], bool]) -> Path | None:
    """Find the run folder with an artefact that suits; the one whose ``file`` is the newest, if there are several.

    Args:
        places: folders that contain run folders.
        kind: of the artefact.
        file: a file in a run folder, which every run folder that suits has.
        suits: whether the artefact in a run folder is wanted.
    """
    runs = {run.resolve(): run for run in list_artefact_folders(places, kind)}
    found = [run for run in runs.values() if suits(run)]
    return max(found, key=lambda run: (run / file).stat().st_mtime, default=None)


def _is_trained(run: Path, wanted: JsonObject, data: Transitions) -> bool:
    """Whether a finished run of ``potstill teach`` has these settings and data."""
    try:
        saved, result = read_json(run / "config.json"), read_json(run / "result.json")
        same = saved.get("command") == "teach" and all(saved.get(name) == value for name, value in wanted.items())
        if not same or result.get("dataset_hash") != data.content_hash:
            return False
        return load_teacher(run).policy.action_bounds == data.action_bounds
    except PotstillError:  # unfinished or damaged
        return False
