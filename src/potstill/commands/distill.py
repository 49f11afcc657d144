"""``potstill distill``: distil a dataset into pairs, and measure the returns of students."""

from __future__ import annotations

import functools
import time
from dataclasses import replace
from pathlib import Path

import jax

from potstill.bundled import list_bundled_names
from potstill.commands.automatic_teacher import find_or_train_teacher
from potstill.commands.automatic_world import (
    check_choice,
    choose_states,
    choose_without_returns,
    find_reason,
    find_world,
    use_states_of_data,
)
from potstill.commands.distillation_job import Job
from potstill.commands.distillation_loop import iterate_pairs
from potstill.commands.distillation_privacy import Privacy, check_requirements, make_privacy
from potstill.commands.distillation_progress import Progress
from potstill.commands.distillation_tables import Tables
from potstill.commands.resolve import Problem, combine_recipe, resolve_problem
from potstill.commands.tracking import find_tracker
from potstill.config import DistillConfig
from potstill.config.presets import DIFFERENCES
from potstill.config.settings import record_settings, resume_command, takes_options
from potstill.data.registry import load_dataset
from potstill.data.split import select_training_rows
from potstill.data.transitions import Transitions
from potstill.distillation.selection import IterateSelection
from potstill.environments.references import Reference
from potstill.errors import PotstillError, name_option, repeat_warnings
from potstill.evaluation.scores import find_reference
from potstill.reports import report_distillation
from potstill.runtime import devices
from potstill.runtime.files import JsonObject
from potstill.runtime.interruption import resumable
from potstill.runtime.progress import busy
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_out
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.diagnosis import diagnose_teacher
from potstill.teachers.lookup import find_teacher
from potstill.worlds.base import World


@takes_options(DistillConfig)
def distill(config: DistillConfig) -> Run:
    """Distil a dataset into N pairs; then train students on them and measure their returns.

    ``dataset``, ``teacher``, ``objective``, ``solver`` and ``recipe`` may be names, paths or objects. Without a
    teacher, one is trained as ``potstill teach`` does, in the folder ``teacher`` of the run folder. A later
    distillation of the same data finds it there, by the hash of the data. If rewards do not distinguish policies, the
    teacher clones the data.

    By default, students are compared with the teacher in states that both visit in a world model of the data, if that
    model is accurate for at least 25 steps, and else in the data's states. The model is trained, saved and found again
    as the teacher is. ``states="data"`` needs none.

    The distillation itself never uses the environment. If there are more than a million rows, batches are drawn from
    a uniform sample of a million. The run folder gets ``distillate.safetensors`` (saved at every point of the curve),
    ``result.json``, ``curve.png`` and, if MuJoCo can render here, ``states.png``. ``resume=True`` continues an
    interrupted run, with the same final bytes as an uninterrupted one.

    With ``private_noise``, the pairs are differentially private for episodes, see
    :class:`~potstill.distillation.PrivateGradients`. The noise is not that of ``seed``, so two such runs differ.

    Returns:
        The run; ``potstill.load`` takes it, and ``run.result.student.mean`` is the students' mean score.

    Raises:
        PotstillError: a name is unknown, the teacher does not match the data, settings contradict each other, or
            there are more pairs than rows.

    Example:
        >>> import potstill
        >>> run = potstill.distill("hopper-medium-replay", size=64, steps=100)  # doctest: +SKIP
        >>> policy = potstill.load(run).train_student(seed=0)  # doctest: +SKIP
    """
    return run_distillation(config)


def run_distillation(config: DistillConfig, *, report: bool = True) -> Run:
    """Do what :func:`distill` does.

    Args:
        config: the settings.
        report: whether to draw plots and print the results at the end.
    """
    reason = getattr(config, "reason", None)
    config = combine_recipe(config)
    devices.use_devices(config.devices)
    problem, track = resolve_problem(config), find_tracker(config.track)
    check_requirements(config)
    if devices.is_leader():
        check_out(config.out, "distill", record_settings(config), force=config.force, resume=config.resume)
    with busy(f"reading {config.dataset if isinstance(config.dataset, str | Path) else 'the dataset'}"):
        data = load_dataset(config.dataset, download=config.download, **config.reading)
    rows = len(select_training_rows(len(data)))
    if config.size > rows:
        raise PotstillError(f"{name_option('size', config.size)}: {data.name} has only {rows} rows for initial pairs")
    if config.states is None and find_reason(config, data):
        problem = resolve_problem(use_states_of_data(config))
    check_choice(config, data)
    problem.check_actions(data)
    teacher, known = None, config.teacher is not None or str(config.dataset) in list_bundled_names()
    if known or (problem.needs_teacher and jax.process_count() > 1):
        teacher = find_teacher(config.teacher, config.dataset, data)
    if not devices.is_leader():
        return _run_worker(config, problem, data, teacher)
    world = None if config.world is None else find_world(config, data)  # refused before there is a run folder
    privacy = make_privacy(config, data)
    settings = record_settings(config)
    given = {"force": config.force, "resume": config.resume}
    with RunFolder(config.out, "distill", settings, track=track, **given) as folder:
        folder.check_inputs(dataset=data.content_hash, teacher=None if teacher is None else teacher.content_hash)
        print(f"{data.name}: {len(data):,} transitions, distilling {config.size} pairs into {folder.target}")
        if config.preset is not None:
            print(f"{name_option('preset', config.preset)}: as in the paper, except that", "; ".join(DIFFERENCES))
        if reason is not None:
            print(f"{name_option('states', 'data')}: the default with {reason}")
        with resumable(resume_command("distill", config, folder.target)):
            result, job = _distill_into(folder, config, problem, data, teacher, world, privacy)
        folder.finish(result)
        job.checkpoint.delete()
        if report:
            report_distillation(folder.path, result)
    return folder.run


def _distill_into(
    folder: RunFolder,
    config: DistillConfig,
    problem: Problem,
    data: Transitions,
    teacher: NetworkTeacher | None,
    world: World | None,
    privacy: Privacy | None,
) -> tuple[JsonObject, Job]:
    """Train the teacher and the world model if they are missing; distil, and evaluate the result."""
    if teacher is None and problem.needs_teacher:
        teacher = find_or_train_teacher(config, data, folder)
    by_default = config.states is None
    if config.states in (None, "auto"):
        config, world = choose_states(config, data, folder)
    config = choose_without_returns(config, data)
    problem = resolve_problem(config)
    problem = problem.resolve_defaults(data, teacher)
    if problem.needs_world and world is None:
        world = find_world(config, data, folder)
    reference = folder.compute_once("reference", lambda: find_reference(data, teacher, config.episodes)._asdict())
    job = Job(config, problem, data, teacher, folder, Reference(**reference), world, by_default)
    job.warnings = [] if teacher is None else examine_teacher(teacher, data)
    gradients = None
    if privacy is not None:
        assert teacher is not None  # check_requirements has seen to it
        privacy.print_statement(data, teacher)
        gradients, job.privacy = privacy.with_secret(folder).gradients, privacy.statement
    return job.evaluate(job.distil(functools.partial(iterate_pairs, world=world, private=gradients))), job


def examine_teacher(teacher: NetworkTeacher, data: Transitions) -> list[str]:
    """List the faults of a teacher: those in its file, and those found on these data, of which a warning is given."""
    known = teacher.metadata.get("warnings")
    known = known if isinstance(known, list) else []
    found = [text for text in diagnose_teacher(teacher, data) if text not in known]
    repeat_warnings(data.name, found)
    return [*known, *found]


def _run_worker(config: DistillConfig, problem: Problem, data: Transitions, teacher: NetworkTeacher | None) -> Run:
    """Take part in the outer steps. Only the leading process saves results."""
    world = None
    if config.states in (None, "auto"):
        config, world = choose_states(config, data)
    config = choose_without_returns(config, data)
    problem = resolve_problem(config)
    started, problem = time.perf_counter(), problem.resolve_defaults(data, teacher)
    tables = Tables.build(problem, data, teacher)
    schedule = replace(tables.make_schedule(config, problem, teacher), started=started)
    if problem.imagines and world is None:
        world = find_world(config, data)  # all processes have the same rollouts
    progress = Progress(schedule, IterateSelection(schedule, None))
    for _ in iterate_pairs(config, problem, tables, teacher, progress, world):
        pass
    devices.disconnect()
    return Run(Path(config.out or "runs"))
