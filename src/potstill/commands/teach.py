"""``potstill teach``: train a teacher on a dataset by offline RL."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from potstill.commands.teaching_job import CHECKPOINT, Stopping, TeachingJob
from potstill.commands.tracking import find_tracker
from potstill.config import TeachConfig
from potstill.config.parts import NamedPart, resolve_part
from potstill.config.settings import read_settings, record_settings, resume_command, takes_options
from potstill.data.registry import load_dataset
from potstill.data.selection import sample_episodes
from potstill.data.transitions import Transitions
from potstill.environments.references import find_reference_returns
from potstill.errors import Diverged, PotstillError, make_unknown_name_error, name_option, repeat_warnings
from potstill.evaluation.imagined import TeacherJudge
from potstill.evaluation.statistics import describe_data, find_return_label
from potstill.runtime import storage
from potstill.runtime.files import JsonObject, hash_file, read_json, write_atomically, write_json
from potstill.runtime.interruption import resumable
from potstill.runtime.progress import busy
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_out
from potstill.teachers.algorithms.base import Algorithm
from potstill.teachers.base import load_teacher
from potstill.teachers.checkpoints import IMAGINED, Progress, load_checkpoint
from potstill.teachers.evaluation.diagnostics import OfflineScores
from potstill.teachers.evaluation.selection import choose_candidate, estimate_values, make_candidates, rank_candidates
from potstill.teachers.registry import ALGORITHMS
from potstill.teachers.rows import check_order, has_returns, rewards_differ
from potstill.teachers.settings import Training
from potstill.teachers.training import Learner
from potstill.worlds.base import load_world
from potstill.worlds.settings import LEAST_HORIZON

SCORED_ROWS = 300_000  # rows of a mapped dataset, in whole episodes, on which offline scores are computed


@takes_options(TeachConfig)
def teach(config: TeachConfig) -> Run:
    """Train a policy and its critics on ``config.dataset``. The environment is only used for scores.

    The run folder gets ``teacher.safetensors`` and ``checkpoint.safetensors``, both rewritten at every evaluation, and
    a plot of the learning curve. Training stops by itself, see ``updates``. Ctrl-C or SIGTERM saves a checkpoint, and
    ``resume=True`` continues with the same final bytes as an uninterrupted run. ``algorithm="auto"`` trains IQL, and
    ReBRAC at three penalties, each in a subfolder, and selects the teacher with the best offline estimate, or with the
    highest return in ``config.world``. For other settings of an algorithm, pass an object such as
    ``Rebrac(actor_penalty=0.1)``.

    Batches of a mapped dataset (:func:`~potstill.convert`) are read from disk. Its offline scores are computed on a
    fixed random sample of whole episodes, with at most 300,000 rows.

    Returns:
        The run; its ``teacher.safetensors`` is the trained teacher.

    Raises:
        PotstillError: an unknown dataset or algorithm, constant rewards, rows without the order that the
            algorithm requires, a run that cannot be resumed, or divergence.

    Example:
        >>> import potstill
        >>> from potstill.teachers import Rebrac
        >>> run = potstill.teach("hopper-medium-replay", algorithm=Rebrac(actor_penalty=0.1))  # doctest: +SKIP
    """
    if config.algorithm == "auto":
        return _teach_candidates(config)
    return teach_one(config, resolve_algorithm(config.algorithm))


def resolve_algorithm(given: object) -> Algorithm[Any]:
    """Resolve the setting of an algorithm: a name, a name with fields, or an object.

    Raises:
        PotstillError: an unknown name or field, or an object that is not an algorithm.

    Example:
        >>> resolve_algorithm("iql").expectile
        0.7
    """
    if isinstance(given, str) and given not in ALGORITHMS:
        raise make_unknown_name_error("algorithm", given, [*ALGORITHMS, "auto"])
    if isinstance(given, NamedPart) and given.name == "auto":
        raise PotstillError(f"{name_option('algorithm.' + next(iter(given.fields)))}: algorithm 'auto' has no fields")
    found = resolve_part("algorithm", given, ALGORITHMS)
    if not isinstance(found, Algorithm):
        raise PotstillError(f"algorithm is {given!r}: expected a name or an object such as Rebrac()")
    return found


def teach_one(config: TeachConfig, algorithm: Algorithm[Any], data: Transitions | None = None, label: str = "") -> Run:
    """Train with one algorithm.

    Args:
        config: the settings.
        algorithm: the algorithm, instead of the one that they name.
        data: the dataset, if it is already loaded.
        label: the text beside the progress bar.
    """
    config = dataclasses.replace(config, algorithm=algorithm)
    resumed, track = _check_out(config), find_tracker(config.track)
    data = load_rewarded(config) if data is None else data
    stopping = Stopping.of(algorithm, config.updates, config.patience, estimated=config.estimates)
    training = config.make_training(stopping.updates)
    with busy(f"preparing {data.name}"):
        learner, judge = Learner(algorithm, data, training), load_judge(config, data)
        scores = OfflineScores(sample_episodes(data, SCORED_ROWS), training) if config.fitted_updates else None
    given = {"force": config.force, "resume": resumed}
    with RunFolder(config.out, "teach", record_settings(config), track=track, **given) as folder:
        progress = _load_progress(folder, learner, scores) if resumed else Progress()
        job = TeachingJob(config, learner, scores, folder, stopping, progress, judge)
        with resumable(resume_command("teach", config, folder.target)):
            job.train(label or f"teach {data.name}")
        result = _summarise(job, data)
        folder.finish(result)
        (folder.path / CHECKPOINT).unlink()
        repeat_warnings(folder.path / "teacher.safetensors", result["warnings"])
        _show(job, data, result)
    return folder.run


def _summarise(job: TeachingJob, data: Transitions) -> JsonObject:
    """The result of a training that has ended."""
    path, kept, progress, learner = job.folder.path / "teacher.safetensors", job.kept, job.progress, job.learner
    reference = find_reference_returns(data.env_id, data.card)
    found = storage.load(path, "teacher")[1].get("warnings", [])
    return {
        "teacher": kept if "mean" in kept else None,
        "data": describe_data(data, reference),
        "reference": reference._asdict(),
        "updates": kept["update"],
        "stopped": None if learner.finished else learner.done,
        "restarted": learner.restarted,
        "warnings": found,
        "history": progress.history,
        "seconds": progress.seconds,
        "updates_per_second": learner.done / progress.seconds,
        "dataset_hash": data.content_hash,
        "sha256": hash_file(path),
    }


def _teach_candidates(config: TeachConfig) -> Run:
    """Train every candidate in a subfolder, then select one by its offline estimate."""
    resumed, track = _check_out(config), find_tracker(config.track)
    data = load_rewarded(config)
    check_order(data, "auto")
    load_judge(config, data)  # refuses a poor model before a folder is made
    candidates = make_candidates(discrete=data.action_bounds.discrete)
    given = {"force": config.force, "resume": resumed}
    with RunFolder(config.out, "teach", record_settings(config), track=track, **given) as folder:
        failed: dict[str, str] = {}
        with resumable(resume_command("teach", config, folder.target)):
            _train_candidates(config, data, folder, candidates, failed)
        runs = {name: folder.path / name for name in candidates if name not in failed}
        if not runs:
            raise PotstillError(f"{data.name}: every candidate diverged, the first with: {next(iter(failed.values()))}")
        teachers = {name: load_teacher(run / "teacher.safetensors") for name, run in runs.items()}
        with busy(f"comparing {len(teachers)} teachers by fitted Q-evaluation"):
            values = estimate_values(
                teachers, sample_episodes(data, SCORED_ROWS), config.make_training(Training.updates)
            )
        kept = {name: find_kept(read_json(run / "result.json")) for name, run in runs.items()}
        imagined = {name: entry[IMAGINED] for name, entry in kept.items() if IMAGINED in entry}
        chosen, why = choose_candidate(values, imagined)
        best = runs[chosen]
        write_atomically(folder.path / "teacher.safetensors", (best / "teacher.safetensors").read_bytes())
        ranking = rank_candidates(values, imagined)
        result = read_json(best / "result.json")
        folder.finish({**result, "chosen": best.name, "why": why, "ranking": ranking, "failed": failed})
        print(why)
    return folder.run


def _train_candidates(
    config: TeachConfig,
    data: Transitions,
    folder: RunFolder,
    candidates: Mapping[str, Algorithm[Any]],
    failed: dict[str, str],
) -> None:
    """Train all candidates that are not finished; add those that diverge to ``failed``."""
    for number, (name, algorithm) in enumerate(candidates.items(), start=1):
        if (folder.path / name / "result.json").exists():
            continue
        label = f"{name} ({number} of {len(candidates)})"
        try:
            teach_one(dataclasses.replace(config, out=folder.path / name, resume=True), algorithm, data, label)
        except Diverged as error:
            failed[name] = str(error)
            print(f"{name} is excluded: {error}")


def _check_out(config: TeachConfig) -> bool:
    """Check that ``--out`` can be used; return whether it contains a run to continue."""
    path = None if config.out is None else Path(config.out) / "config.json"
    if config.resume and path is not None and path.exists():
        saved = read_json(path)
        if TeachConfig.from_record(saved) != saved:  # written by version 0.1
            write_json(path, {"command": "teach", **record_settings(read_settings(TeachConfig, saved))})
    return check_out(config.out, "teach", record_settings(config), force=config.force, resume=config.resume)


def _load_progress(folder: RunFolder, learner: Learner, scores: OfflineScores | None) -> Progress:
    """Load the checkpoint, if there is one, and drop the metrics of later updates."""
    path = folder.path / CHECKPOINT
    progress = load_checkpoint(path, learner, scores) if path.exists() else Progress()
    folder.keep_metrics(lambda line: line["update"] <= learner.done)
    return progress


def load_rewarded(config: TeachConfig) -> Transitions:
    """Load the dataset; reject rewards from which the algorithm cannot learn.

    Equal rewards distinguish policies only if episodes terminate. Behavioural cloning needs no rewards.
    """
    with busy(f"reading {config.dataset if isinstance(config.dataset, str | Path) else 'the dataset'}"):
        data = load_dataset(config.dataset, download=config.download, **config.reading)
    clones = getattr(config.algorithm, "name", config.algorithm) == "bc"
    if not clones and not rewards_differ(data) and not data.terminations.any():
        raise PotstillError(
            f"{data.name}: all rewards are {data.rewards[0]:.4g} and no episode terminates, so a teacher cannot learn "
            f"from them; {name_option('algorithm', 'bc')} clones the data's actions"
        )
    return data


def load_judge(config: TeachConfig, data: Transitions) -> TeacherJudge | None:
    """Load the world model of the config, if it has one.

    Raises:
        PotstillError: the model is of another dataset, or is not accurate for long enough to compare teachers.
    """
    if config.world is None:
        return None
    world = load_world(config.world)
    world.check_dataset(data.content_hash, data.name)
    if not has_returns(data):
        raise PotstillError(
            f"{name_option('world', str(config.world))}: returns cannot compare teachers of {data.name}"
        )
    if world.horizon < LEAST_HORIZON:
        raise PotstillError(
            f"{name_option('world', str(config.world))}: the model is accurate for {world.horizon} steps; comparing "
            f"teachers requires {LEAST_HORIZON}: train without it, or train a better model (potstill model --steps)"
        )
    return TeacherJudge(world, find_reference_returns(data.env_id, data.card), config.seed)


def _name_criterion(job: TeachingJob, data: Transitions) -> str:
    if job.judge:
        return "the return in the world model was highest"
    return "the pessimistic value estimate was highest" if has_returns(data) else "the actions were nearest"


def find_kept(result: JsonObject) -> JsonObject:
    """Find the evaluation of the teacher that a training kept, in its result."""
    found: JsonObject = next(entry for entry in result["history"] if entry["update"] == result["updates"])
    return found


def _show(job: TeachingJob, data: Transitions, result: JsonObject) -> None:
    from potstill.reports.plots import plot_learning_curve
    from potstill.reports.tables import print_data

    path = job.folder.path
    if len(result["history"]) > 1 and result["history"][0].keys() & {"mean", "fitted_value"}:
        plot_learning_curve(path / "learning_curve.png", result["history"], data.name, find_return_label(result))
    print(f"{path / 'teacher.safetensors'}: {result['updates_per_second']:.0f} updates a second")
    if result["stopped"]:
        print(f"stopped after {result['stopped']:,} updates: {_name_criterion(job, data)} at {result['updates']:,}")
    last = find_kept(result)
    if job.judge:
        print(job.judge.describe(last[IMAGINED], find_return_label(result)))
    if "fitted_value" in last:
        print(
            f"offline estimates: discounted return {last['fitted_value']:.4g} from the initial states (the data's "
            f"policy: {last['data_value']:.4g}, the teacher's own critics: {last['claimed_value']:.4g}); "
            f"squared distance to the data's actions {last['action_distance']:.3g}"
        )
    if result["teacher"]:
        score = result["teacher"]
        print(f"{find_return_label(result)} {score['mean']:.1f} ± {score['std']:.1f} over episodes")
    print_data(result)
