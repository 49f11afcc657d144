"""``potstill teach``: train a teacher on a dataset by offline RL."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

from potstill.config import TeachConfig
from potstill.data.registry import load_dataset
from potstill.errors import PotstillError, unknown
from potstill.evaluation import policy_returns
from potstill.progress import Tracker
from potstill.runs import RunFolder, check_free, to_json
from potstill.settings import configured
from potstill.statistics import summarise
from potstill.storage import file_hash
from potstill.teachers import rebrac
from potstill.teachers.base import NetworkTeacher
from potstill.types import Transitions

ALGORITHMS = {"rebrac": rebrac}
CHUNK = 500  # updates in one compiled call, between two lines of progress


@configured(TeachConfig)
def teach(config: TeachConfig) -> Path:
    """Train a policy and its critics on ``config.dataset``; the environment is only asked for scores.

    The run folder gets ``teacher.safetensors``, written anew at every evaluation, and a plot of the
    learning curve. An interruption keeps the last one written.

    Returns:
        The run folder.

    Raises:
        PotstillError: an unknown dataset or algorithm, rewards that are all equal, or divergence.

    Example:
        >>> import potstill
        >>> run = potstill.teach("hopper-medium-replay", updates=50_000)  # doctest: +SKIP
    """
    if config.algorithm not in ALGORITHMS:
        raise unknown("algorithm", config.algorithm, ALGORITHMS)
    check_free(config.out, force=config.force)
    data = load_dataset(config.dataset)
    if data.rewards.min() == data.rewards.max():
        raise PotstillError(
            f"{data.name}: all rewards equal {data.rewards[0]:.4g}, there is nothing to learn from them"
        )
    folder = RunFolder(config.out, "teach", config, force=config.force)
    history: list[dict[str, Any]] = []
    with Tracker(f"teach {data.name}", config.updates) as tracker:
        seconds = _train(config, data, folder, tracker, history)
    result = {
        "teacher": {k: v for k, v in history[-1].items() if k != "update"} if history else None,
        "history": history,
        "seconds": seconds,
        "updates_per_second": config.updates / seconds,
        "sha256": file_hash(folder.path / "teacher.safetensors"),
    }
    folder.finish(result)
    _show(folder.path, data, result)
    return folder.path


def _train(
    config: TeachConfig, data: Transitions, folder: RunFolder, tracker: Tracker, history: list[dict[str, Any]]
) -> float:
    """The loop over compiled chunks; returns the seconds spent in updates."""
    algorithm = ALGORITHMS[config.algorithm]
    key = jax.random.key(config.seed)
    table = algorithm.prepare(data)
    state = algorithm.begin(jax.random.fold_in(key, 0), data.state_size, data.action_size, config)
    done, seconds, score = 0, 0.0, float("nan")
    while done < config.updates:
        goal = min(done + CHUNK, config.updates, (done // config.evaluate_every + 1) * config.evaluate_every)
        updates = max(2, (goal - done) // 2 * 2)
        started = time.perf_counter()
        step_key = jax.random.fold_in(key, done + 1)
        state, losses = jax.block_until_ready(algorithm.run(state, table, step_key, config=config, updates=updates))
        seconds += time.perf_counter() - started
        done += updates
        critic_loss, actor_loss = map(float, losses)
        if not np.isfinite(critic_loss + actor_loss):
            raise PotstillError(f"{config.algorithm} diverged at update {done}: its losses are no longer finite")
        folder.log(update=done, critic_loss=critic_loss, actor_loss=actor_loss, seconds=seconds)
        if done % config.evaluate_every == 0 or done >= config.updates:
            teacher = algorithm.teacher_of(state, data, _metadata(config, data, done))
            teacher.save(folder.path / "teacher.safetensors")
            if config.episodes and data.env_id:
                entry = {"update": done, **_evaluate(teacher, data, config.episodes)}
                score = entry["mean"]
                history.append(entry)
                folder.log(**entry)
        tracker.update(done, critic_loss=critic_loss, actor_loss=actor_loss, score=score)
    return seconds


def _evaluate(teacher: NetworkTeacher, data: Transitions, episodes: int) -> dict[str, Any]:
    assert data.env_id is not None
    return summarise(policy_returns(teacher.policy, data.env_id, episodes, seed=0), data.env_id)


def _metadata(config: TeachConfig, data: Transitions, updates: int) -> dict[str, Any]:
    settings = {k: v for k, v in to_json(config).items() if k not in ("out", "force", "dataset", "updates")}
    return {
        "algorithm": config.algorithm,
        "updates": updates,
        "settings": settings,
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
