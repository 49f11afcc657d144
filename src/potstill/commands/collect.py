"""``potstill collect``: make an offline dataset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from potstill import environments, storage
from potstill.config import CollectConfig
from potstill.data.collection.card import make_card, make_page
from potstill.data.collection.episodes import Recording
from potstill.data.collection.levels import Plan, plan_of
from potstill.data.collection.output import require_format, write_recording
from potstill.data.collection.rollout import Behaviour, RollOut, of_policy, uniform
from potstill.data.collection.sac import require_sac
from potstill.data.collection.training import Training, policy_file
from potstill.errors import PotstillError
from potstill.policies import Policy, load_policy
from potstill.runs import RunFolder, check_out, write_atomically
from potstill.settings import configured


@configured(CollectConfig)
def collect(config: CollectConfig) -> Path:
    """Record transitions of ``config.env_id`` as an offline dataset of a level as in D4RL.

    ``replay``, the default, trains SAC (stable-baselines3, the extra ``collect``) and records every transition
    of the training; the other levels record a part of it, roll out the policies it gives, or act at random.
    With ``config.policy`` that policy is rolled out. The run folder gets the dataset (``dataset.hdf5``, or a
    Minari dataset), its card inside, as ``card.json`` and as ``README.md``, the policies and a plot. An
    interrupted run keeps what was gathered, and goes on with ``resume=True``.

    Returns:
        The run folder.

    Raises:
        PotstillError: an unknown environment or level, spaces that are not supported, a missing extra, a
            policy of other dimensions, a score that SAC does not reach, or a run that cannot be resumed.

    Example:
        >>> import potstill, tempfile
        >>> run = potstill.collect("Pendulum-v1", level="random", steps=300, out=f"{tempfile.mkdtemp()}/run")
        ... # doctest: +ELLIPSIS
        roll-out in Pendulum-v1 300/300 ...
    """
    resumed = check_out(config)
    env = environments.make(config.env_id)
    plan = plan_of(config)
    given = None if config.policy is None else _fitting_policy(config, env)
    if plan.training:
        require_sac()
    require_format(config.format)
    folder = RunFolder(config.out, "collect", config, force=config.force, resume=resumed)
    stage: Training | RollOut | None = None
    try:
        for stage in _stages(config, plan, folder, given):
            stage.run()
    except KeyboardInterrupt:
        _keep(stage, folder, config, plan, env)
        raise
    assert stage is not None
    path, card = _write(stage.seen(), folder, config, plan, env)
    _finish(stage, folder, path, card)
    return folder.path


def _fitting_policy(config: CollectConfig, env: Any) -> Policy:
    """The policy of ``config.policy``, if it is of the environment's sizes."""
    policy = load_policy(str(config.policy))
    for what, own, other in (
        ("acts on", len(policy.normaliser.mean), f"observes {env.observation_space.shape[0]}"),
        ("gives actions of", len(policy.action_low), f"takes {env.action_space.shape[0]}"),
    ):
        if own != int(other.split()[1]):
            raise PotstillError(f"{config.policy}: {what} {own} numbers, {config.env_id} {other}")
    return policy


def _stages(config: CollectConfig, plan: Plan, folder: RunFolder, given: Policy | None) -> Iterator[Training | RollOut]:
    """What is to be done: SAC's training, where it is asked for and not over, then the roll-outs."""
    taken = all(policy_file(folder.path, name).exists() for name in plan.goals)
    if plan.training and not (plan.actors and taken):
        yield Training(config, plan, folder)
    if plan.actors:
        acting = {name: _behaviour(name, config, plan, folder, given) for name in plan.actors}
        yield RollOut(config, acting, folder)


def _behaviour(name: str, config: CollectConfig, plan: Plan, folder: RunFolder, given: Policy | None) -> Behaviour:
    if name == "random":
        return uniform(config.env_id)
    policy = load_policy(policy_file(folder.path, name)) if name in plan.goals else given
    assert policy is not None  # a plan's actors are SAC's, the given one, or random
    return of_policy(policy, mean_action=config.mean_action)


def _keep(stage: Training | RollOut | None, folder: RunFolder, config: CollectConfig, plan: Plan, env: Any) -> None:
    """Write what an interrupted run has gathered."""
    again = f"go on with --out {folder.path} --resume"
    if stage is None or (isinstance(stage, Training) and plan.actors) or not stage.seen().rows:
        print(f"interrupted before anything was recorded: {again}")
        return
    if isinstance(stage, RollOut):
        stage.save()
    recording = stage.seen()
    _write(recording, folder, config, plan, env)
    print(f"interrupted: keeping the {recording.rows:,} transitions gathered so far; {again}")


def _write(
    recording: Recording, folder: RunFolder, config: CollectConfig, plan: Plan, env: Any
) -> tuple[Path, dict[str, Any]]:
    """Write the dataset, its cards and the plot; return its path and the card."""
    from potstill.reports.plots import plot_returns

    card = make_card(recording, config, plan, _known_policies(config, plan, folder), env)
    path = write_recording(folder.path, recording, config.format, config.mantissa_bits, env, card)
    folder.write_json("card.json", card)
    write_atomically(folder.path / "README.md", make_page(card, path.name, config.format).encode())
    plot_returns(folder.path / "returns.png", recording.returns(), config.env_id)
    return path, card


def _known_policies(config: CollectConfig, plan: Plan, folder: RunFolder) -> dict[str, dict[str, Any]]:
    """Of each policy that SAC has given: after how many steps, and what it earned."""
    known = {}
    for path in (policy_file(folder.path, name) for name in plan.goals):
        if path.exists():
            papers = storage.load(path, "policy")[1]
            known[path.stem] = {"steps": papers["steps"], "return": papers["return"]}
            if environments.has_reference(config.env_id):
                known[path.stem]["score"] = float(environments.normalised(papers["return"], config.env_id))
    return known


def _finish(stage: Training | RollOut, folder: RunFolder, path: Path, card: dict[str, Any]) -> None:
    """Write the result and drop the checkpoints."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    folder.finish({"dataset": path.name, "bytes": sum(file.stat().st_size for file in files), **card})
    for name in (Training.checkpoint_name, RollOut.checkpoint_name):
        (folder.path / name).unlink(missing_ok=True)
    print(
        f"{path}: {card['steps']:,} transitions, {card['episodes']:,} episodes, "
        f"mean return {card['returns']['mean']:.0f}, best {card['returns']['best']:.0f}"
    )
