"""``potstill evaluate``: train students on a distillate and evaluate them."""

from __future__ import annotations

import dataclasses
import functools

from potstill.bundled import find_artefact_path
from potstill.commands.comparison import compare_students
from potstill.commands.encoders import resolve_encoder
from potstill.commands.evaluation_video import plan_video
from potstill.commands.policy_evaluation import evaluate_policy, find_policy_file
from potstill.commands.resolve import resolve_recipe
from potstill.commands.sources import Sources, describe_returns, find_sources
from potstill.config import EvaluateConfig
from potstill.config.settings import record_settings, resume_command, takes_options
from potstill.data.log import NO_ENVIRONMENT
from potstill.data.registry import load_dataset
from potstill.data.units import are_same_bounds, find_environment_bounds
from potstill.distillate import Distillate, load
from potstill.environments.making import find_plain_id
from potstill.environments.observations.rule import ObservationRule
from potstill.errors import PotstillError, name_option, naming_source, repeat_warnings
from potstill.evaluation.diagnosis import diagnose_students
from potstill.evaluation.scores import score_students, train_for_evaluation
from potstill.evaluation.statistics import describe_data
from potstill.reports import report_evaluation
from potstill.reports.text import count_students
from potstill.runtime import devices
from potstill.runtime.files import JsonObject, StrPath, hash_file
from potstill.runtime.interruption import resumable
from potstill.runtime.progress import busy
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_out
from potstill.students.ensemble import Students
from potstill.students.recipe import Recipe, find_recipe_name
from potstill.tasks.mixture import TaskView, has_task_input, read_sources, select_task
from potstill.teachers.lookup import find_teacher
from potstill.worlds.base import World, load_world


@takes_options(EvaluateConfig)
def evaluate(config: EvaluateConfig) -> Run:
    """Train students on a distillate; measure their returns, or compare them with the teacher.

    If the file names an environment, the students and their ensemble are rolled out in episodes with different seeds.
    With ``dataset``, they are also compared with the teacher on held-out states, by imitation error and Q-gap. Without
    an environment, dataset and teacher are those that the run folder of the distillate names. ``resume=True`` continues
    an interrupted run and keeps the parts that it has measured. ``video="hopper.mp4"`` also records ten seconds of the
    first student, to the right of the teacher if it is known.

    A policy, such as that of ``potstill finetune``, is rolled out instead: ``run.result.policy.mean`` is its score.

    Returns:
        The run; ``run.result.student.mean`` is the students' mean score.

    Raises:
        PotstillError: the file is not a distillate, the recipe is unknown, there is no environment, dataset or world
            model, or the environment of a video cannot be drawn.

    Example:
        >>> import potstill
        >>> run = potstill.evaluate("runs/demo", students=3)  # doctest: +SKIP
    """
    return run_evaluation(config)


def run_evaluation(config: EvaluateConfig) -> Run:
    """Do what :func:`evaluate` does, with its settings as one object."""
    given = config.distillate
    policy = find_policy_file(given)
    if policy is not None:
        return evaluate_policy(config, policy)
    pairs, source = (given, "the distillate") if isinstance(given, Distillate) else (load(given), str(given))
    distillate, inputs = choose_task(pairs, config.task, source)
    distillate = choose_environment(distillate, config.env_id, source, config.encoder)
    recipe = distillate.recipe if config.recipe is None else resolve_recipe(config.recipe, distillate.recipe)
    devices.use_devices(config.devices)
    settings = record_settings(config)
    check_out(config.out, "evaluate", settings, force=config.force, resume=config.resume)
    sources = load_sources(config, distillate)
    world = None if config.world is None else load_matching_world(config.world, distillate)
    video = plan_video(config, distillate, sources)
    path = source if isinstance(given, Distillate) else find_artefact_path(given, "distillate")
    artefact = pairs.content_hash if isinstance(given, Distillate) else hash_file(path)
    teacher = None if sources is None else sources.teacher
    with RunFolder(config.out, "evaluate", settings, force=config.force, resume=config.resume) as folder:
        folder.check_inputs(
            distillate=artefact,
            dataset=None if sources is None else sources.data.content_hash,
            teacher=None if teacher is None else teacher.content_hash,
        )
        with resumable(resume_command("evaluate", config, folder.target)):
            students, seconds = _train(config, pairs, recipe)
            students = students if inputs is None else students.fix_inputs(inputs)
            result = describe_students(config, distillate, recipe, seconds)
            result |= score(config, folder, distillate, students, sources, world)
        folder.finish(result | {"sha256": artefact})
        report_evaluation(result)
        repeat_warnings(path, result["warnings"])
        print(f"results in {folder.path}")
        if video is not None:
            video.record(students)  # last: a failure loses nothing else
    return folder.run


def choose_environment(distillate: Distillate, env_id: str | None, source: str, encoder: object = None) -> Distillate:
    """Return the distillate with the environment and the encoder that the user names, or with its own.

    Args:
        distillate: the distillate.
        env_id: Gymnasium id, ``none`` for no environment, or ``None`` for that of the file.
        source: name of the distillate in error messages.
        encoder: the encoder of images, or ``None`` for that of the file.

    Raises:
        PotstillError: the environment has other sizes, action bounds or observations, the file names a module to
            import, or the images of the data were encoded by another encoder.
    """
    rule = choose_rule(distillate, encoder, source)
    chosen = distillate.env_id if env_id is None else None if env_id == NO_ENVIRONMENT else env_id
    if env_id is None and chosen is not None:
        with naming_source(source):
            chosen = find_plain_id(chosen)
    elif chosen is not None:
        sizes = distillate.states.shape[1], distillate.actions.shape[1]
        bounds = find_environment_bounds(chosen, *sizes, source=source, rule=rule)
        if not are_same_bounds(bounds, distillate.action_bounds):
            raise PotstillError(f"{source}: its action bounds differ from those of {chosen}")
    if chosen == distillate.env_id and encoder is None:
        return distillate
    changed = dataclasses.replace(distillate, metadata={**distillate.metadata, "env_id": chosen})
    vars(changed)["rule"] = rule  # the cache of a property: a Python function is not in the metadata
    return changed


def choose_rule(distillate: Distillate, encoder: object, source: str) -> ObservationRule | None:
    """Return the rule of observations of a distillate, with the encoder that the user gives, if any.

    Raises:
        PotstillError: no image was encoded, or another encoder has encoded them.
    """
    with naming_source(source):
        rule = distillate.rule
        if encoder is None:
            return rule
        if rule is None:
            raise PotstillError("an encoder is given, but the states are no features of images")
        return rule.with_encoder(resolve_encoder(encoder))


def choose_task(distillate: Distillate, task: int | None, source: str) -> TaskView:
    """Return a mixture as the task that the user selects; any other distillate as it is.

    Raises:
        PotstillError: a task is needed and not given, is given for a distillate that is not a mixture, or is unknown.
    """
    with naming_source(source):
        names = [str(entry.get("name")) for entry in read_sources(distillate)]
    if task is None and not has_task_input(distillate):
        return TaskView(distillate, None)
    if not names:
        raise PotstillError(f"{name_option('task', task)} has no effect: {source} is not a mixture of potstill merge")
    if task is None or task >= len(names):
        known = ", ".join(f"{i} ({name})" for i, name in enumerate(names))
        if task is None:
            raise PotstillError(
                f"{source}: students of this mixture are told the task: name it with {name_option('task')}: {known}"
            )
        raise PotstillError(f"{name_option('task', task)}: {source} has only these tasks: {known}")
    return select_task(distillate, task)


def _train(config: EvaluateConfig, pairs: Distillate, recipe: Recipe) -> tuple[Students, float]:
    with busy(f"training {count_students(config.students)}"):
        return train_for_evaluation(pairs, config.students, config.seed, recipe)


def describe_students(config: EvaluateConfig, distillate: Distillate, recipe: Recipe, seconds: float) -> JsonObject:
    """Describe what the students were trained on, before they are scored."""
    task = {} if config.task is None else {"task": config.task}
    return {
        "recipe": distillate.metadata["recipe"] if config.recipe is None else find_recipe_name(recipe),
        "env_id": distillate.env_id,
        "pairs": len(distillate),
        **task,
        "student": None,
        "ensemble": None,
        "seconds": {"training": seconds},
    }


def score(
    config: EvaluateConfig,
    folder: RunFolder,
    distillate: Distillate,
    students: Students,
    sources: Sources | None,
    world: World | None,
) -> JsonObject:
    """Score students in the environment, against the teacher, and in a world model, where these are given.

    ``warnings`` lists faults of the students.
    """
    reference, episodes, seed = distillate.reference, config.episodes, config.seed
    result: JsonObject = {"reference": reference._asdict(), "warnings": []}
    if sources is None:
        result["data"] = describe_returns(config.distillate, distillate)
    else:
        result["data"] = describe_data(sources.data, reference)
    if distillate.env_id is not None:
        settings = distillate.env_id, episodes, seed, reference, distillate.rule
        play = functools.partial(score_students, students, *settings)
        with busy(f"{episodes} episodes of {count_students(len(students))}"):
            result |= folder.compute_once("students", play)
    result |= compare_students(students, sources, world, reference, folder, busy, episodes=episodes, seed=seed)
    if sources is not None:
        result["warnings"] = diagnose_students(students, sources.data, result)
    return result


def load_matching_world(path: StrPath, distillate: Distillate) -> World:
    """Load a world model, and check that its state and action sizes are those of the pairs."""
    world = load_world(path)
    sizes = len(world.normaliser.mean), len(world.action_bounds)
    wanted = distillate.states.shape[1], distillate.actions.shape[1]
    if distillate.action_bounds.discrete:
        raise PotstillError(f"{name_option('world', str(path))}: world models of discrete actions are not supported")
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
        if distillate.env_id is not None or config.world is not None:
            return None
        if isinstance(config.distillate, Distillate):
            raise PotstillError("the distillate does not name an environment: give dataset and teacher, or env_id")
        return find_sources(config.distillate, distillate)
    data = load_dataset(config.dataset, download=config.download, **config.reading)
    teacher = find_teacher(config.teacher, config.dataset, data)
    kinds = [
        "discrete" if bounds.discrete else "continuous" for bounds in (data.action_bounds, distillate.action_bounds)
    ]
    if kinds[0] != kinds[1]:
        raise PotstillError(f"the actions of {data.name} are {kinds[0]}, but those of the pairs are {kinds[1]}")
    if distillate.states.shape[1] != data.state_size:
        size = distillate.states.shape[1]
        raise PotstillError(f"{data.name} has {data.state_size} state components, but the pairs have {size}")
    return Sources(data, teacher)
