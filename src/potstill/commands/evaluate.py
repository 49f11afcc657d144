"""``potstill evaluate``: train students on a distillate and evaluate them."""

from __future__ import annotations

from potstill.bundled import artefact_path
from potstill.commands.resolve import resolve_recipe
from potstill.commands.sources import Sources, describe_returns, find_sources
from potstill.config import EvaluateConfig
from potstill.config.settings import record_settings, takes_options
from potstill.data.registry import load_dataset
from potstill.distillate import Distillate, load
from potstill.errors import PotstillError, repeat_warnings
from potstill.evaluation.diagnosis import diagnose_students
from potstill.evaluation.imagined import score_imagined
from potstill.evaluation.scores import score_offline, score_students, train_for_evaluation
from potstill.evaluation.statistics import describe_data
from potstill.reports import report_evaluation
from potstill.reports.text import count_students
from potstill.runtime import devices
from potstill.runtime.files import JsonObject, StrPath
from potstill.runtime.progress import busy
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_free
from potstill.runtime.storage import file_hash
from potstill.students.ensemble import Students
from potstill.students.recipe import recipe_name
from potstill.teachers.lookup import find_teacher
from potstill.worlds.base import World, load_world


@takes_options(EvaluateConfig)
def evaluate(config: EvaluateConfig) -> Run:
    """Train students on a distillate; measure their returns, or compare them with the teacher.

    If the file names an environment, the students and their ensemble are rolled out in episodes with different seeds.
    With ``dataset``, they are also compared with the teacher on held-out states, by imitation error and Q-gap. Without
    an environment, dataset and teacher are those that the run folder of the distillate names.

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
    check_free(config.out, force=config.force)
    sources = load_sources(config, distillate)
    world = None if config.world is None else load_matching_world(config.world, distillate)
    folder = RunFolder(config.out, "evaluate", record_settings(config), force=config.force)
    result: JsonObject = {
        "recipe": distillate.metadata["recipe"] if config.recipe is None else recipe_name(recipe),
        "env_id": distillate.env_id,
        "pairs": len(distillate),
        "student": None,
        "ensemble": None,
    }
    with busy(f"training {count_students(config.students)}"):
        students, seconds = train_for_evaluation(distillate, config.students, config.seed, recipe)
    result["seconds"] = {"training": seconds}
    result |= score(config, distillate, students, sources, world)
    folder.finish(result | {"sha256": file_hash(artefact_path(config.distillate, "distillate"))})
    report_evaluation(result)
    repeat_warnings(config.distillate, result["warnings"])
    print(f"results in {folder.path}")
    return folder.run


def score(
    config: EvaluateConfig, distillate: Distillate, students: Students, sources: Sources | None, world: World | None
) -> JsonObject:
    """The scores of students: in the environment, against the teacher, and in a world model, as far as there are any.

    ``warnings`` lists what is wrong with the students.
    """
    result: JsonObject = {"reference": distillate.reference._asdict(), "warnings": []}
    if sources is None:
        result["data"] = describe_returns(config.distillate, distillate)
    else:
        result["data"] = describe_data(sources.data.episode_returns(), distillate.reference)
    episodes, seed = config.episodes, config.seed
    if distillate.env_id is not None:
        with busy(f"{episodes} episodes of {count_students(len(students))}"):
            result |= score_students(students, distillate.env_id, episodes, seed, distillate.reference)
    if sources is not None and sources.teacher is not None:
        with busy("comparing students with the teacher on held-out states"):
            result["offline"] = score_offline(students, sources.data, sources.teacher)
    if world is not None:
        with busy("episodes in the world model"):
            result["imagined"] = score_imagined(world, students, distillate.reference, episodes=episodes, seed=seed)
    if sources is not None:
        result["warnings"] = diagnose_students(students, sources.data, result)
    return result


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


def load_sources(config: EvaluateConfig, distillate: Distillate) -> Sources | None:
    """Load the dataset and the teacher to compare students with: those of the config, or those of the distillate.

    Those of the distillate are only used if students can neither be rolled out in an environment nor in a world model.
    """
    if config.dataset is None:
        playable = distillate.env_id is not None or config.world is not None
        return None if playable else find_sources(config.distillate, distillate)
    data = load_dataset(config.dataset, download=config.download, action_scale=config.action_scale)
    teacher = find_teacher(config.teacher, config.dataset, data)
    if distillate.states.shape[1] != data.state_size:
        size = distillate.states.shape[1]
        raise PotstillError(f"{data.name} has {data.state_size} state components, but the pairs have {size}")
    return Sources(data, teacher)
