"""``potstill teach``: train a teacher on a dataset by offline RL."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from potstill.config import TeachConfig
from potstill.config.parts import NamedPart, resolve_part
from potstill.config.settings import read_settings, record_settings, takes_options
from potstill.data.blocks import extremes
from potstill.data.registry import load_dataset
from potstill.data.selection import sample_episodes
from potstill.data.transitions import Transitions
from potstill.environments.references import reference_returns
from potstill.errors import Diverged, PotstillError, unknown_name
from potstill.evaluation.scores import policy_returns
from potstill.evaluation.statistics import return_label, summarise
from potstill.runtime.files import JsonObject, read_json, write_atomically, write_json
from potstill.runtime.progress import Tracker
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_out
from potstill.runtime.storage import file_hash
from potstill.teachers.algorithms.base import Algorithm
from potstill.teachers.base import load_teacher
from potstill.teachers.checkpoints import Evaluation, Progress, load_checkpoint, save_checkpoint
from potstill.teachers.evaluation.diagnostics import OfflineScores
from potstill.teachers.evaluation.selection import candidates, estimate_values, explain_selection, select
from potstill.teachers.registry import ALGORITHMS
from potstill.teachers.rows import check_order
from potstill.teachers.training import Learner

CHECKPOINT = "checkpoint.safetensors"
SCORED_ROWS = 300_000  # rows of a mapped dataset, in whole episodes, on which offline scores are computed


@takes_options(TeachConfig)
def teach(config: TeachConfig) -> Run:
    """Train a policy and its critics on ``config.dataset``. The environment is only used for scores.

    The run folder gets ``teacher.safetensors`` and ``checkpoint.safetensors``, both rewritten at every evaluation, and
    a plot of the learning curve. ``resume=True`` continues an interrupted run; its final files are byte-identical to
    those of an uninterrupted run. ``algorithm="auto"`` trains IQL, and ReBRAC at three penalties, each in a subfolder,
    and selects the teacher with the best offline estimate. For other settings of an algorithm, pass an object such as
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
    return _teach_one(config, resolve_algorithm(config.algorithm))


def resolve_algorithm(given: object) -> Algorithm:
    """Resolve the setting of an algorithm: a name, a name with fields, or an object.

    Raises:
        PotstillError: an unknown name or field, or an object that is not an algorithm.

    Example:
        >>> resolve_algorithm("iql").expectile
        0.7
    """
    if isinstance(given, str) and given not in ALGORITHMS:
        raise unknown_name("algorithm", given, [*ALGORITHMS, "auto"])
    if isinstance(given, NamedPart) and given.name == "auto":
        raise PotstillError(f"--algorithm.{next(iter(given.fields)).replace('_', '-')}: algorithm 'auto' has no fields")
    found = resolve_part("algorithm", given, ALGORITHMS)
    if not isinstance(found, Algorithm):
        raise PotstillError(f"--algorithm is {given!r}: expected a name or an object such as Rebrac()")
    return found


def _teach_one(config: TeachConfig, algorithm: Algorithm, data: Transitions | None = None) -> Run:
    """Train with one algorithm, on ``data`` if they are already loaded."""
    config = dataclasses.replace(config, algorithm=algorithm)
    resumed = _check_out(config)
    data = load_rewarded(config) if data is None else data
    learner = Learner(algorithm, data, config.training)
    folder = RunFolder(config.out, "teach", record_settings(config), force=config.force, resume=resumed)
    scores = OfflineScores(sample_episodes(data, SCORED_ROWS), config.training) if config.fitted_updates else None
    progress = _load_progress(folder, learner, scores) if resumed else Progress()
    _train(config, learner, scores, folder, progress)
    kept = progress.history[-1] if config.patience is None else progress.best()
    result = {
        "teacher": kept if "mean" in kept else None,
        "reference": reference_returns(data.env_id, data.card)._asdict(),
        "updates": kept["update"],
        "stopped": None if learner.finished else learner.done,
        "history": progress.history,
        "seconds": progress.seconds,
        "updates_per_second": learner.done / progress.seconds,
        "sha256": file_hash(folder.path / "teacher.safetensors"),
    }
    folder.finish(result)
    (folder.path / CHECKPOINT).unlink()
    _show(folder.path, data, result)
    return folder.run


def _teach_candidates(config: TeachConfig) -> Run:
    """Train every candidate in a subfolder, then select one by its offline estimate."""
    resumed = _check_out(config)
    data = load_rewarded(config)
    check_order(data, "auto")
    folder = RunFolder(config.out, "teach", record_settings(config), force=config.force, resume=resumed)
    failed = {}
    for name, algorithm in candidates().items():
        if (folder.path / name / "result.json").exists():
            continue
        try:
            _teach_one(dataclasses.replace(config, out=folder.path / name, resume=True), algorithm, data)
        except Diverged as error:
            failed[name] = str(error)
            print(f"{name} is excluded: {error}")
    runs = {name: folder.path / name for name in candidates() if name not in failed}
    if not runs:
        raise PotstillError(f"{data.name}: every candidate diverged, the first with: {next(iter(failed.values()))}")
    teachers = {name: load_teacher(run / "teacher.safetensors") for name, run in runs.items()}
    values = estimate_values(teachers, sample_episodes(data, SCORED_ROWS), config.training)
    best = runs[select(values)]
    write_atomically(folder.path / "teacher.safetensors", (best / "teacher.safetensors").read_bytes())
    why = explain_selection(values)
    ranking = [{"candidate": name, "worth": value} for name, value in values.items()]
    result = read_json(best / "result.json")
    folder.finish({**result, "chosen": best.name, "why": why, "ranking": ranking, "failed": failed})
    print(why)
    return folder.run


def _check_out(config: TeachConfig) -> bool:
    """Check that ``--out`` can be used; return whether it contains a run to continue."""
    path = None if config.out is None else Path(config.out) / "config.json"
    if config.resume and path is not None and path.exists():
        saved = read_json(path)
        if TeachConfig.from_record(saved) != saved:  # written by version 0.1
            write_json(path, {"command": "teach", **record_settings(read_settings(TeachConfig, saved))})
    return check_out(config.out, record_settings(config), force=config.force, resume=config.resume)


def _load_progress(folder: RunFolder, learner: Learner, scores: OfflineScores | None) -> Progress:
    """Load the checkpoint, if there is one, and drop the metrics of later updates."""
    path = folder.path / CHECKPOINT
    progress = load_checkpoint(path, learner, scores) if path.exists() else Progress()
    folder.keep_metrics(lambda line: line["update"] <= learner.done)
    return progress


def load_rewarded(config: TeachConfig) -> Transitions:
    """Load the dataset; reject constant rewards."""
    data = load_dataset(config.dataset, download=config.download, action_scale=config.action_scale)
    low, high = extremes(data.rewards)
    if low == high:
        raise PotstillError(f"{data.name}: all rewards are {data.rewards[0]:.4g}, so a teacher cannot learn from them")
    return data


def _train(
    config: TeachConfig, learner: Learner, scores: OfflineScores | None, folder: RunFolder, progress: Progress
) -> None:
    """Train chunk by chunk, with an evaluation and a checkpoint at the end of each period."""
    shown = _shown(progress.history[-1]) if progress.history else {}
    every = config.evaluate_every
    with Tracker(f"teach {learner.data.name}", config.updates, done=learner.done) as tracker:
        while not learner.finished and not progress.stalled(config.patience):
            period = learner.done // every
            metrics, seconds = learner.advance()
            progress.seconds += seconds
            folder.log(update=learner.done, **metrics, seconds=progress.seconds)
            if learner.finished or learner.done // every > period:
                entry = _evaluate(config, learner, scores, folder, progress)
                shown = _shown(entry)
                save_checkpoint(folder.path / CHECKPOINT, learner, scores, progress)
            tracker.update(learner.done, **metrics, **shown)


def _evaluate(
    config: TeachConfig, learner: Learner, scores: OfflineScores | None, folder: RunFolder, progress: Progress
) -> Evaluation:
    """Evaluate the current teacher and save it. With ``patience``, save it only if it is the best so far."""
    data, teacher = learner.data, learner.teacher()
    entry: Evaluation = {"update": learner.done}
    if scores:
        entry.update(scores(teacher, config.fitted_updates))
    if config.episodes and data.env_id:
        returns = policy_returns(teacher.policy, data.env_id, config.episodes, seed=0)
        entry.update(summarise(returns, reference_returns(data.env_id, data.card)))
    progress.history.append(entry)
    folder.log(**entry)
    if config.patience is None or progress.best() is entry:
        teacher.save(folder.path / "teacher.safetensors")
    return entry


def _shown(entry: Evaluation) -> dict[str, float]:
    labels = {"fitted_value": "fitted_value", "worth": "pessimistic_value", "mean": "score"}
    return {label: entry[name] for name, label in labels.items() if name in entry}


def _show(path: Path, data: Transitions, result: JsonObject) -> None:
    from potstill.reports.plots import plot_learning_curve

    if result["history"][0].keys() & {"mean", "fitted_value"}:
        plot_learning_curve(path / "learning_curve.png", result["history"], data.name, return_label(result))
    print(f"{path / 'teacher.safetensors'}: {result['updates_per_second']:.0f} updates a second")
    if result["stopped"]:
        print(
            f"stopped after {result['stopped']:,} updates: "
            f"the pessimistic value estimate was highest at {result['updates']:,}"
        )
    last = next(entry for entry in result["history"] if entry["update"] == result["updates"])
    if "fitted_value" in last:
        print(
            f"offline estimates: discounted return {last['fitted_value']:.4g} from the initial states (the data's "
            f"policy: {last['data_value']:.4g}, the teacher's own critics: {last['claimed_value']:.4g}); "
            f"squared distance to the data's actions {last['action_distance']:.3g}"
        )
    if result["teacher"]:
        print(f"{return_label(result)} {result['teacher']['mean']:.1f} ± {result['teacher']['std']:.1f} over episodes")
