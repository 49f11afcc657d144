"""``potstill teach``: train a teacher on a dataset by offline RL."""

from __future__ import annotations

import dataclasses
from importlib.metadata import version
from pathlib import Path
from typing import Any

from potstill.config import TeachConfig
from potstill.config.settings import configured
from potstill.data.blocks import extremes
from potstill.data.registry import load_dataset
from potstill.data.selection import episode_sample
from potstill.data.transitions import Transitions
from potstill.environments.registry import reference_returns
from potstill.errors import Diverged, PotstillError
from potstill.evaluation.scores import policy_returns
from potstill.evaluation.statistics import return_label, summarise
from potstill.runtime.progress import Tracker
from potstill.runtime.run_folder import RunFolder, check_out, read_json, to_json, write_atomically
from potstill.runtime.storage import file_hash
from potstill.teachers.base import load_teacher
from potstill.teachers.checkpoints import Progress, load_checkpoint, save_checkpoint
from potstill.teachers.evaluation.diagnostics import OfflineScores
from potstill.teachers.evaluation.selection import candidates, chosen, rank, reason
from potstill.teachers.registry import algorithm_named
from potstill.teachers.rows import need_order
from potstill.teachers.training import Learner, teacher_of

SCORED_ROWS = 300_000  # of a mapped dataset, in whole episodes: what offline scores are computed on


@configured(TeachConfig)
def teach(config: TeachConfig) -> Path:
    """Train a policy and its critics on ``config.dataset``; the environment is only asked for scores.

    The run folder gets ``teacher.safetensors`` and ``checkpoint.safetensors``, written anew at every
    evaluation, and a plot of the learning curve. An interrupted run goes on with ``resume=True`` and
    ends with the bytes of an uninterrupted one. ``algorithm="auto"`` trains IQL and ReBRAC at three
    penalties, each in a folder inside the run, and keeps the one that the data alone say is best.

    Batches of a mapped dataset (:func:`~potstill.convert`) are read from disk; its offline scores are
    those of a fixed random sample of whole episodes, 300,000 rows.

    Returns:
        The run folder.

    Raises:
        PotstillError: an unknown dataset or algorithm, rewards that are all equal, rows without the
            order that the algorithm needs, a run that cannot be resumed, or divergence.

    Example:
        >>> import potstill
        >>> run = potstill.teach("hopper-medium-replay", updates=100_000)  # doctest: +SKIP
    """
    return _teach_best(config) if config.algorithm == "auto" else _teach_one(config)


def _teach_one(config: TeachConfig, data: Transitions | None = None) -> Path:
    """Train by one algorithm, on ``data`` if they are loaded already."""
    algorithm = algorithm_named(config.algorithm)
    resumed = check_out(config.out, config, force=config.force, resume=config.resume)
    data = rewarded(config) if data is None else data
    learner = Learner(algorithm, data, config)
    folder = RunFolder(config.out, "teach", config, force=config.force, resume=resumed)
    scores = OfflineScores(episode_sample(data, SCORED_ROWS), config) if config.fitted_updates else None
    progress = load_checkpoint(folder, learner, scores) if resumed else Progress()
    _train(learner, scores, folder, progress)
    kept = progress.history[-1] if config.patience is None else progress.best()
    result = {
        "teacher": kept if "mean" in kept else None,
        "reference": reference_returns(data.env_id, data.card)._asdict(),
        "updates": kept["update"],
        "stopped": learner.done if learner.done < config.updates else None,
        "history": progress.history,
        "seconds": progress.seconds,
        "updates_per_second": learner.done / progress.seconds,
        "sha256": file_hash(folder.path / "teacher.safetensors"),
    }
    folder.finish(result)
    (folder.path / "checkpoint.safetensors").unlink()
    _show(folder.path, data, result)
    return folder.path


def _teach_best(config: TeachConfig) -> Path:
    """Train every candidate in a folder of its own inside the run, then keep the one the data prefer."""
    resumed = check_out(config.out, config, force=config.force, resume=config.resume)
    data = rewarded(config)
    need_order(data, "auto")
    folder = RunFolder(config.out, "teach", config, force=config.force, resume=resumed)
    failed = {}
    for name, candidate in candidates(config).items():
        if (folder.path / name / "result.json").exists():
            continue
        try:
            _teach_one(dataclasses.replace(candidate, out=folder.path / name, resume=True), data)
        except Diverged as error:
            failed[name] = str(error)
            print(f"{name} is out: {error}")
    runs = {name: folder.path / name for name in candidates(config) if name not in failed}
    if not runs:
        raise PotstillError(f"{data.name}: every candidate diverged; the first: {next(iter(failed.values()))}")
    teachers = {name: load_teacher(run / "teacher.safetensors") for name, run in runs.items()}
    ranking = rank(teachers, episode_sample(data, SCORED_ROWS), config)
    worths = {entry["candidate"]: entry["worth"] for entry in ranking}
    best = runs[chosen(worths)]
    write_atomically(folder.path / "teacher.safetensors", (best / "teacher.safetensors").read_bytes())
    found = read_json(best / "result.json")
    folder.finish({**found, "chosen": best.name, "why": reason(worths), "ranking": ranking, "failed": failed})
    print(reason(worths))
    return folder.path


def rewarded(config: TeachConfig) -> Transitions:
    """Load a dataset whose rewards say something."""
    data = load_dataset(config.dataset, download=config.download, action_scale=config.action_scale)
    low, high = extremes(data.rewards)
    if low == high:
        raise PotstillError(
            f"{data.name}: all rewards equal {data.rewards[0]:.4g}, there is nothing to learn from them"
        )
    return data


def _train(learner: Learner, scores: OfflineScores | None, folder: RunFolder, progress: Progress) -> None:
    """The loop over compiled chunks, with an evaluation and a checkpoint now and then."""
    config = learner.config
    shown: dict[str, float] = _shown(progress.history[-1]) if progress.history else {}
    with Tracker(f"teach {learner.data.name}", config.updates, done=learner.done) as tracker:
        while learner.done < config.updates and not progress.stale(config.patience):
            before = learner.done
            figures, seconds = learner.advance()
            progress.seconds += seconds
            folder.log(update=learner.done, **figures, seconds=progress.seconds)
            passed = learner.done // config.evaluate_every > before // config.evaluate_every
            if passed or learner.done >= config.updates:
                entry = _evaluate(learner, scores, folder, progress)
                shown = _shown(entry)
                save_checkpoint(folder, learner, scores, progress)
            tracker.update(learner.done, **figures, **shown)


def _evaluate(learner: Learner, scores: OfflineScores | None, folder: RunFolder, progress: Progress) -> dict[str, Any]:
    """Score the teacher as it is now, and keep it: always, or with patience only if it is the best so far."""
    config, data = learner.config, learner.data
    teacher = teacher_of(learner.algorithm, learner.state, data, config, _metadata(learner))
    entry: dict[str, Any] = {"update": learner.done}
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


def _shown(entry: dict[str, Any]) -> dict[str, float]:
    names = {"fitted_value": "fitted_value", "worth": "worth", "mean": "score"}
    return {label: entry[name] for name, label in names.items() if name in entry}


def _metadata(learner: Learner) -> dict[str, Any]:
    """What made the teacher: the shared settings and those of its own algorithm."""
    config, data = learner.config, learner.data
    own = config.algorithm.replace("-", "_")
    shared = ("batch", "discount", "seed", own)
    return {
        "algorithm": config.algorithm,
        "updates": learner.done,
        "settings": {
            **{k: v for k, v in to_json(config).items() if k in shared},
            "target_rate": config.settings.target_rate,
        },
        "dataset": data.name,
        "dataset_hash": data.content_hash,
        "env_id": data.env_id,
        "potstill": version("potstill"),
    }


def _show(path: Path, data: Transitions, result: dict[str, Any]) -> None:
    from potstill.reports.plots import plot_learning_curve

    if result["history"][0].keys() & {"mean", "fitted_value"}:
        plot_learning_curve(path / "learning_curve.png", result["history"], data.name, return_label(result))
    print(f"{path / 'teacher.safetensors'}: {result['updates_per_second']:.0f} updates a second")
    if result["stopped"]:
        print(f"stopped after {result['stopped']:,} updates: its worth was best at {result['updates']:,}")
    last = next(entry for entry in result["history"] if entry["update"] == result["updates"])
    if "fitted_value" in last:
        print(
            f"by the data alone: discounted return {last['fitted_value']:.4g} from the start (the data's policy: "
            f"{last['data_value']:.4g}, its own critics: {last['claimed_value']:.4g}); "
            f"squared distance to the data's actions {last['action_distance']:.3g}"
        )
    if result["teacher"]:
        print(f"{return_label(result)} {result['teacher']['mean']:.1f} ± {result['teacher']['std']:.1f} over episodes")
