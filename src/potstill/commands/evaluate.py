"""``potstill evaluate``: train students on a distillate and evaluate them."""

from __future__ import annotations

import functools
from pathlib import Path

from potstill.bundled import artefact_path
from potstill.commands.resolve import resolve_recipe
from potstill.config import EvaluateConfig
from potstill.config.settings import record_settings, resume_command, takes_options
from potstill.data.registry import load_dataset
from potstill.data.transitions import Transitions
from potstill.distillate import Distillate, load
from potstill.errors import PotstillError
from potstill.evaluation.imagined import score_imagined
from potstill.evaluation.scores import score_offline, score_students, train_for_evaluation
from potstill.reports import print_imagined, print_offline, print_scores
from potstill.runtime import devices
from potstill.runtime.files import JsonObject, StrPath
from potstill.runtime.interruption import resumable
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_out
from potstill.runtime.storage import file_hash
from potstill.students.recipe import Recipe, recipe_name
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.lookup import find_teacher
from potstill.worlds.base import World, load_world


@takes_options(EvaluateConfig)
def evaluate(config: EvaluateConfig) -> Run:
    """Train students on a distillate; measure their returns, or compare them with the teacher.

    If the file names an environment, the students and their ensemble are rolled out in episodes with different seeds.
    With ``dataset`` (required if there is no environment), they are also compared with the teacher on held-out states,
    by imitation error and Q-gap. ``resume=True`` continues an interrupted run and keeps the parts that it has measured.

    Returns:
        The run; ``run.result.student.mean`` is the students' mean score.

    Raises:
        PotstillError: the file is not a distillate, the recipe is unknown, or there is no environment, dataset or
            world model.

    Example:
        >>> import potstill
        >>> run = potstill.evaluate("runs/demo", students=3)  # doctest: +SKIP
    """
    distillate = load(config.distillate)
    recipe = distillate.recipe if config.recipe is None else resolve_recipe(config.recipe, distillate.recipe)
    devices.use_devices(config.devices)
    if distillate.env_id is None and config.dataset is None and config.world is None:
        raise PotstillError(
            f"{config.distillate} does not name an environment: give --dataset and --teacher for a comparison"
        )
    settings = record_settings(config)
    check_out(config.out, "evaluate", settings, force=config.force, resume=config.resume)
    compared = load_comparison(config, distillate)
    world = None if config.world is None else load_matching_world(config.world, distillate)
    artefact = file_hash(artefact_path(config.distillate, "distillate"))
    with RunFolder(config.out, "evaluate", settings, force=config.force, resume=config.resume) as folder:
        folder.check_inputs(
            distillate=artefact,
            dataset=None if compared is None else compared[0].content_hash,
            teacher=None if compared is None else compared[1].content_hash,
        )
        with resumable(resume_command("evaluate", config, folder.target)):
            result = _measure(config, folder, distillate, recipe, compared, world)
        folder.finish(result | {"sha256": artefact})
        _show(folder.path, result)
    return folder.run


def _measure(
    config: EvaluateConfig,
    folder: RunFolder,
    distillate: Distillate,
    recipe: Recipe,
    compared: tuple[Transitions, NetworkTeacher] | None,
    world: World | None,
) -> JsonObject:
    """Train the students and measure all their scores. Each score is measured once in the run."""
    students, seconds = train_for_evaluation(distillate, config.students, config.seed, recipe)
    env_id, reference = distillate.env_id, distillate.reference
    episodes, seed = config.episodes, config.seed
    result: JsonObject = {
        "recipe": distillate.metadata["recipe"] if config.recipe is None else recipe_name(recipe),
        "env_id": env_id,
        "pairs": len(distillate),
        "student": None,
        "ensemble": None,
        "seconds": {"training": seconds},
    }
    if env_id is not None:
        result["reference"] = reference._asdict()
        score = functools.partial(score_students, students, env_id, episodes, seed, reference)
        result |= folder.once("students", score)
    if compared is not None:
        result["offline"] = folder.once("offline", functools.partial(score_offline, students, *compared))
    if world is not None:
        imagine = functools.partial(score_imagined, world, students, reference, episodes=episodes, seed=seed)
        result["imagined"] = folder.once("imagined", imagine)
    return result


def _show(path: Path, result: JsonObject) -> None:
    if result["student"]:
        print_scores(result)
    for name, show in (("offline", print_offline), ("imagined", print_imagined)):
        if name in result:
            show(result[name])
    print(f"results in {path}")


def load_matching_world(path: StrPath, distillate: Distillate) -> World:
    """Load a world model, and check that its state and action sizes are those of the pairs."""
    world = load_world(path)
    sizes = len(world.normaliser.mean), len(world.action_bounds)
    wanted = distillate.states.shape[1], distillate.actions.shape[1]
    if sizes != wanted:
        raise PotstillError(
            f"{path} has {sizes[0]} state and {sizes[1]} action components, "
            f"but the pairs have {wanted[0]} and {wanted[1]}"
        )
    return world


def load_comparison(config: EvaluateConfig, distillate: Distillate) -> tuple[Transitions, NetworkTeacher] | None:
    """Load the dataset and the teacher to compare students with, if the config names a dataset."""
    if config.dataset is None:
        return None
    data = load_dataset(config.dataset, download=config.download, **config.reading)
    teacher = find_teacher(config.teacher, config.dataset, data)
    if distillate.states.shape[1] != data.state_size:
        size = distillate.states.shape[1]
        raise PotstillError(f"{data.name} has {data.state_size} state components, but the pairs have {size}")
    return data, teacher
