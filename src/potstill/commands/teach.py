"""``potstill teach``: train a teacher on a dataset by offline RL."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from potstill.config import TeachConfig
from potstill.data.registry import load_dataset
from potstill.errors import PotstillError
from potstill.evaluation import policy_returns
from potstill.progress import Tracker
from potstill.runs import RunFolder, check_free, check_same, to_json
from potstill.settings import configured
from potstill.statistics import summarise
from potstill.storage import file_hash
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.checkpoints import Progress, load_checkpoint, save_checkpoint
from potstill.teachers.registry import algorithm_named
from potstill.teachers.training import Learner, teacher_of
from potstill.types import Transitions


@configured(TeachConfig)
def teach(config: TeachConfig) -> Path:
    """Train a policy and its critics on ``config.dataset``; the environment is only asked for scores.

    The run folder gets ``teacher.safetensors`` and ``checkpoint.safetensors``, written anew at every
    evaluation, and a plot of the learning curve. An interrupted run goes on with ``resume=True`` and
    ends with the bytes of an uninterrupted one.

    Returns:
        The run folder.

    Raises:
        PotstillError: an unknown dataset or algorithm, rewards that are all equal, rows without the
            order that the algorithm needs, a run that cannot be resumed, or divergence.

    Example:
        >>> import potstill
        >>> run = potstill.teach("hopper-medium-replay", updates=50_000)  # doctest: +SKIP
    """
    algorithm_named(config.algorithm)
    resumed = config.resume and (Path(str(config.out)) / "config.json").exists()
    if resumed:
        check_same(Path(str(config.out)), config)
    else:
        check_free(config.out, force=config.force)
    data = load_dataset(config.dataset)
    if data.rewards.min() == data.rewards.max():
        raise PotstillError(
            f"{data.name}: all rewards equal {data.rewards[0]:.4g}, there is nothing to learn from them"
        )
    learner = Learner(algorithm_named(config.algorithm), data, config)
    folder = RunFolder(config.out, "teach", config, force=config.force, resume=resumed)
    progress = load_checkpoint(folder, learner) if resumed else Progress()
    _train(learner, folder, progress)
    result = {
        "teacher": {k: v for k, v in progress.history[-1].items() if k != "update"} if progress.history else None,
        "history": progress.history,
        "seconds": progress.seconds,
        "updates_per_second": config.updates / progress.seconds,
        "sha256": file_hash(folder.path / "teacher.safetensors"),
    }
    folder.finish(result)
    (folder.path / "checkpoint.safetensors").unlink()
    _show(folder.path, data, result)
    return folder.path


def _train(learner: Learner, folder: RunFolder, progress: Progress) -> None:
    """The loop over compiled chunks, with an evaluation and a checkpoint now and then."""
    config, data = learner.config, learner.data
    score = {"score": progress.history[-1]["mean"]} if progress.history else {}
    with Tracker(f"teach {data.name}", config.updates) as tracker:
        while learner.done < config.updates:
            figures, seconds = learner.advance()
            progress.seconds += seconds
            folder.log(update=learner.done, **figures, seconds=progress.seconds)
            if learner.done % config.evaluate_every == 0 or learner.done >= config.updates:
                teacher = teacher_of(learner.algorithm, learner.state, data, config, _metadata(learner))
                teacher.save(folder.path / "teacher.safetensors")
                if config.episodes and data.env_id:
                    entry = {"update": learner.done, **_evaluate(teacher, data, config.episodes)}
                    score = {"score": entry["mean"]}
                    progress.history.append(entry)
                    folder.log(**entry)
                save_checkpoint(folder, learner, progress)
            tracker.update(learner.done, **figures, **score)


def _evaluate(teacher: NetworkTeacher, data: Transitions, episodes: int) -> dict[str, Any]:
    assert data.env_id is not None
    return summarise(policy_returns(teacher.policy, data.env_id, episodes, seed=0), data.env_id)


def _metadata(learner: Learner) -> dict[str, Any]:
    """What made the teacher: the shared settings and those of its own algorithm."""
    config, data = learner.config, learner.data
    own = config.algorithm.replace("-", "_")
    shared = ("batch", "discount", "target_rate", "seed", own)
    return {
        "algorithm": config.algorithm,
        "updates": learner.done,
        "settings": {k: v for k, v in to_json(config).items() if k in shared},
        "dataset": data.name,
        "dataset_hash": data.content_hash,
        "env_id": data.env_id,
        "potstill": version("potstill"),
    }


def _show(path: Path, data: Transitions, result: dict[str, Any]) -> None:
    from potstill.reports.plots import plot_learning_curve

    print(f"{path / 'teacher.safetensors'}: {result['updates_per_second']:.0f} updates a second")
    if result["teacher"]:
        plot_learning_curve(path / "learning_curve.png", result["history"], data.name)
        print(f"normalised return {result['teacher']['mean']:.1f} ± {result['teacher']['std']:.1f} over episodes")
