"""``potstill collect``: make an offline dataset."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from potstill import environments
from potstill.config import CollectConfig
from potstill.data.collection import Recorder, Watch, require_sac, roll_out, train_sac
from potstill.data.d4rl import round_mantissa, write_d4rl
from potstill.errors import PotstillError
from potstill.policies import load_policy
from potstill.progress import Tracker
from potstill.runs import RunFolder, check_free, to_json
from potstill.settings import command_line, configured

SAVE_INTERVAL = 10_000  # steps between two writes of the file, so that an interruption loses little


@configured(CollectConfig)
def collect(config: CollectConfig) -> Path:
    """Record ``config.steps`` transitions of ``config.env_id`` into a D4RL-style HDF5 file.

    Without ``config.policy``, trains SAC (stable-baselines3, the extra ``collect``) and records every
    transition of the training; with it, rolls the saved policy out. The run folder gets
    ``dataset.hdf5`` (its card inside and as ``card.json``), ``policy.safetensors`` and a plot.

    Returns:
        The run folder.

    Raises:
        PotstillError: an unknown environment, one whose spaces are not supported, a missing extra,
            or a policy of other dimensions.

    Example:
        >>> import potstill, tempfile
        >>> run = potstill.collect("Pendulum-v1", policy=None, steps=300)  # doctest: +SKIP
    """
    check_free(config.out, force=config.force)
    env = environments.make(config.env_id)
    policy = None if config.policy is None else load_policy(config.policy)
    if policy is None:
        require_sac()
    elif len(policy.normaliser.mean) != env.observation_space.shape[0]:
        raise PotstillError(
            f"{config.policy}: acts on {len(policy.normaliser.mean)} numbers, "
            f"{config.env_id} observes {env.observation_space.shape[0]}"
        )
    folder = RunFolder(config.out, "collect", config, force=config.force)
    recorder = Recorder(config.steps, env.observation_space.shape[0], env.action_space.shape[0])
    path = folder.path / "dataset.hdf5"
    with Tracker(f"collect {config.env_id}", config.steps) as tracker:
        watch = _watcher(folder, recorder, tracker, config, path)
        try:
            if policy is None:
                policy = train_sac(env, config, recorder, watch)
            else:
                roll_out(env, policy, config, recorder, watch)
        except KeyboardInterrupt:
            print(f"interrupted: keeping the {recorder.count} transitions gathered so far")
    _save(path, recorder, config)
    if policy is not None and config.policy is None:
        policy.save(folder.path / "policy.safetensors", {"env_id": config.env_id, "algorithm": "sac"})
    _finish(folder, recorder, config, path)
    return folder.path


def _watcher(folder: RunFolder, recorder: Recorder, tracker: Tracker, config: CollectConfig, path: Path) -> Watch:
    """What happens after every row: progress, a metrics line per episode, a save now and then."""
    started = time.perf_counter()

    def watch(ended: bool) -> None:
        if ended:
            score = float(environments.normalised(recorder.returns[-1], config.env_id))
            seconds = time.perf_counter() - started
            folder.log(step=recorder.count, episode_return=recorder.returns[-1], score=score, seconds=seconds)
        if recorder.count % 100 == 0:
            recent = recorder.returns[-10:] or [0.0]
            tracker.update(recorder.count, episodes=len(recorder.returns), recent_return=float(np.mean(recent)))
        if recorder.count % SAVE_INTERVAL == 0:
            _save(path, recorder, config)

    return watch


def _save(path: Path, recorder: Recorder, config: CollectConfig) -> None:
    rows = {key: round_mantissa(column, config.mantissa_bits) for key, column in recorder.rows().items()}
    write_d4rl(path, rows, env_id=config.env_id, card=make_card(recorder, config))


def make_card(recorder: Recorder, config: CollectConfig) -> dict[str, Any]:
    """What a reader of the dataset wants to know: environment, versions, algorithm, seed, returns."""
    returns = np.array(recorder.returns or [0.0])
    scores = environments.normalised(returns, config.env_id)
    packages = ["gymnasium", "mujoco", "numpy"] + ([] if config.policy else ["stable-baselines3", "torch"])
    return {
        "env_id": config.env_id,
        "algorithm": "sac" if config.policy is None else f"policy {Path(config.policy).name}",
        "seed": config.seed,
        "steps": recorder.count,
        "complete": recorder.count == config.steps,
        "episodes": len(recorder.returns),
        "returns": {"mean": float(returns.mean()), "best": float(returns.max()), "last": float(returns[-1])},
        "scores": {"mean": float(scores.mean()), "best": float(scores.max())},
        "command": command_line("collect", config),
        "settings": {k: v for k, v in to_json(config).items() if k not in ("out", "force")},
        "versions": {name: version(name) for name in packages},
    }


def _finish(folder: RunFolder, recorder: Recorder, config: CollectConfig, path: Path) -> None:
    from potstill.reports.plots import plot_returns

    card = make_card(recorder, config)
    folder.write_json("card.json", card)
    plot_returns(folder.path / "returns.png", recorder.returns, config.env_id)
    folder.finish({"dataset": path.name, "bytes": path.stat().st_size, **card})
    print(
        f"{path}: {recorder.count:,} transitions, {len(recorder.returns):,} episodes, "
        f"mean return {card['returns']['mean']:.0f}, best {card['returns']['best']:.0f}"
    )
