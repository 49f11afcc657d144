"""``potstill model``: learn a world model of a dataset, and report its prediction errors."""

from __future__ import annotations

import functools
import time

from potstill.bundled import list_bundled_names
from potstill.commands.tracking import find_tracker
from potstill.config import ModelConfig
from potstill.config.settings import record_settings, resume_command, takes_options
from potstill.data.registry import load_dataset
from potstill.data.transitions import Transitions
from potstill.environments.references import find_reference_returns
from potstill.evaluation.statistics import summarise
from potstill.runtime.checkpoints import CheckpointFile
from potstill.runtime.files import JsonObject
from potstill.runtime.interruption import deferred_interruption, resumable
from potstill.runtime.progress import Tracker
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_out
from potstill.teachers.lookup import find_teacher
from potstill.worlds.base import World, load_world
from potstill.worlds.returns import measure_imagined_returns
from potstill.worlds.settings import WorldSettings
from potstill.worlds.training import check_rows, train_world

CHECKPOINT = "world-checkpoint.safetensors"


@takes_options(ModelConfig)
def model(config: ModelConfig) -> Run:
    """Learn a world model of a dataset: next state, reward and termination.

    The run folder gets ``world.safetensors``, and ``result.json`` with the errors on held-out episodes, the horizon
    up to which the model is accurate, and the teacher's return in the model. ``potstill distill --states imagined
    --world`` and ``potstill evaluate --world`` take the run folder. ``resume=True`` continues an interrupted run, with
    the same final bytes as an uninterrupted one.

    Returns:
        The run; ``run.result.horizon`` is the horizon in steps.

    Raises:
        PotstillError: the dataset has too few rows for a model.

    Example:
        >>> import potstill
        >>> run = potstill.model("hopper-medium-replay", steps=500)  # doctest: +SKIP
        >>> run.result.errors.one_step  # doctest: +SKIP
    """
    settings, track = record_settings(config), find_tracker(config.track)
    check_out(config.out, "model", settings, force=config.force, resume=config.resume)
    data = load_dataset(config.dataset, download=config.download, **config.reading)
    check_rows(data)
    teacher = None
    if config.teacher is not None or str(config.dataset) in list_bundled_names():
        teacher = find_teacher(config.teacher, config.dataset, data)
    given = {"force": config.force, "resume": config.resume}
    with RunFolder(config.out, "model", settings, track=track, **given) as folder:
        folder.check_inputs(dataset=data.content_hash, teacher=None if teacher is None else teacher.content_hash)
        started = time.perf_counter()
        with resumable(resume_command("model", config, folder.target)):
            world = learn_world(data, config.settings, folder)
        result: JsonObject = {
            "dataset": data.name,
            "env_id": data.env_id,
            "horizon": world.horizon,
            "errors": world.metadata["errors"],
            "limits": world.metadata["limits"],
            "seconds": {"training": time.perf_counter() - started},
        }
        if teacher is not None and config.episodes:
            policy, reference = teacher.policy, find_reference_returns(data.env_id, data.card)
            play = functools.partial(measure_imagined_returns, world, policy, config.episodes, seed=config.seed)
            result["teacher"] = folder.compute_once("teacher", lambda: summarise(play()[None], reference))
        folder.finish(result)
        if "teacher" in result:
            print(f"the teacher's score in the model: {result['teacher']['mean']:.1f}")
        print(f"results in {folder.path}")
    return folder.run


def learn_world(data: Transitions, settings: WorldSettings, folder: RunFolder) -> World:
    """Train a world model, save it in the run folder, and print its errors.

    An interrupted training is resumed; a model that the run has saved is loaded.

    Args:
        data: the dataset.
        settings: of the model.
        folder: the run folder.

    Raises:
        Interrupted: a signal asked to stop.
    """
    path = folder.path / "world.safetensors"
    if path.exists():
        return load_world(path)
    checkpoint = CheckpointFile(folder.path / CHECKPOINT)
    with Tracker("model", settings.steps) as tracker, deferred_interruption() as interruption:

        def report(step: int, loss: float) -> None:
            tracker.update(step, loss=loss)
            folder.log(model_step=step, model_loss=loss)
            if interruption.requested:
                raise interruption.make_exception(f"stopped after step {step}")

        done = (checkpoint.load() or ({}, {"done": 0}))[1]["done"]
        folder.keep_metrics(lambda line: line.get("model_step", 0) <= done)
        world = train_world(data, settings, report, checkpoint=checkpoint)
    world.save(path)
    checkpoint.delete()
    print(describe_world(world), flush=True)
    return world


def describe_world(world: World) -> str:
    """Describe the errors of a model and its terminations in one sentence."""
    errors = world.metadata["errors"]
    steps = ", ".join(f"{error:.2g} after {n}" for n, error in errors["open_loop"].items() if n in ("1", "10", "50"))
    verdict = f"accurate for {world.horizon} steps" if world.horizon else "not accurate for a single step"
    if not steps:
        verdict = "no held-out episode has two steps, so its accuracy is unknown"
    share = 100 * errors["one_step"]
    unexplained = f"{share:.2g}" if share < 99.5 else f"{share:.0f}"
    return (
        f"world model: {unexplained} % of the variance of a step is unexplained on held-out rows; "
        f"error of the state in standard deviations: {steps or 'not measured'}; {verdict}; {describe_ends(world)}"
    )


def describe_ends(world: World) -> str:
    """Describe in which states episodes terminate."""
    if not world.terminates:
        return "episodes never terminate"
    if not world.metadata["limits"]:
        return "a network decides where episodes terminate"
    signs = {"lower": "<", "upper": ">"}
    limits = (f"state[{x['component']}] {signs[x['side']]} {x['value']:.4g}" for x in world.metadata["limits"])
    return f"episodes terminate where {' or '.join(limits)}"
