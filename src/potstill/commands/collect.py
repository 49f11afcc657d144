"""``potstill collect``: make an offline dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from potstill.collection.card import make_card, make_page, reference_of
from potstill.collection.episodes import Recording
from potstill.collection.levels import Plan, plan_of
from potstill.collection.output import require_format, write_recording
from potstill.collection.rollout import Behaviour, RollOut, of_policy, uniform
from potstill.collection.sac import require_sac
from potstill.collection.training import Training, policy_file
from potstill.config import CollectConfig
from potstill.config.settings import configured
from potstill.data.registry import load_dataset
from potstill.environments import registry as environments
from potstill.errors import PotstillError
from potstill.networks.policy import Policy, load_policy
from potstill.runtime import storage
from potstill.runtime.run_folder import RunFolder, check_out, write_atomically


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
    resumed = check_out(config.out, config, force=config.force, resume=config.resume)
    env = environments.make(config.env_id)
    plan = plan_of(config)
    given = None if config.policy is None else _fitting_policy(config, env)
    if plan.training:
        require_sac()
    require_format(config.format)
    folder = RunFolder(config.out, "collect", config, force=config.force, resume=resumed)
    job = Job(config, plan, folder, env, given, reference_of(config))
    stage: Training | RollOut | None = None
    try:
        for stage in job.stages():
            stage.run()
    except KeyboardInterrupt:
        _keep(stage, job)
        raise
    assert stage is not None
    path, card = _write(stage.seen(), job)
    _finish(path, card, folder)
    return folder.path


@dataclass(frozen=True)
class Job:
    """What a run of the command is to do, and with what."""

    config: CollectConfig
    plan: Plan
    folder: RunFolder
    env: Any
    given: Policy | None
    reference: dict[str, Any]

    def stages(self) -> Iterator[Training | RollOut]:
        """SAC's training, where it is asked for and not over, then the roll-outs."""
        taken = all(policy_file(self.folder.path, name).exists() for name in self.plan.goals)
        if self.plan.training and not (self.plan.actors and taken):
            yield Training(self.config, self.plan, self.folder)
        if self.plan.actors:
            yield RollOut(self.config, {name: self._behaviour(name) for name in self.plan.actors}, self.folder)

    def _behaviour(self, name: str) -> Behaviour:
        if name == "random":
            return uniform(self.config.env_id)
        policy = load_policy(policy_file(self.folder.path, name)) if name in self.plan.goals else self.given
        assert policy is not None  # a plan's actors are SAC's policies, the given one, or random
        return of_policy(policy, mean_action=self.config.mean_action)

    def policies(self) -> dict[str, dict[str, Any]]:
        """Of each policy that SAC has given: after how many steps, and what it earned."""
        known: dict[str, dict[str, Any]] = {}
        for path in (policy_file(self.folder.path, name) for name in self.plan.goals):
            if path.exists():
                papers = storage.load(path, "policy")[1]
                known[path.stem] = {key: papers[key] for key in ("steps", "return", "score") if key in papers}
        return known


def _fitting_policy(config: CollectConfig, env: Any) -> Policy:
    """The policy of ``config.policy``, if it is of the environment's sizes."""
    policy = load_policy(str(config.policy))
    for what, own, other in (
        ("acts on", len(policy.normaliser.mean), f"observes {env.observation_space.shape[0]}"),
        ("gives actions of", len(policy.action_bounds), f"takes {env.action_space.shape[0]}"),
    ):
        if own != int(other.split()[1]):
            raise PotstillError(f"{config.policy}: {what} {own} numbers, {config.env_id} {other}")
    return policy


def _keep(stage: Training | RollOut | None, job: Job) -> None:
    """Write what an interrupted run has gathered."""
    again = f"go on with --out {job.folder.path} --resume"
    if stage is None or (isinstance(stage, Training) and job.plan.actors) or not stage.seen().rows:
        print(f"interrupted before anything was recorded: {again}")
        return
    if isinstance(stage, RollOut):
        stage.save()
    _, card = _write(stage.seen(), job)
    print(f"interrupted: keeping the {card['steps']:,} transitions gathered so far; {again}")


def _write(recording: Recording, job: Job) -> tuple[Path, dict[str, Any]]:
    """Write the dataset, its cards and the plot; return its path and the card."""
    from potstill.reports.plots import plot_returns

    config, folder = job.config, job.folder
    card = make_card(recording, config, job.plan, job.policies(), job.reference, job.env)
    path = write_recording(folder.path, recording, config.format, config.mantissa_bits, job.env, card)
    folder.write_json("card.json", card)
    write_atomically(folder.path / "README.md", make_page(card, path.name, config.format).encode())
    plot_returns(folder.path / "returns.png", recording.returns(), config.env_id)
    return path, card


def _finish(path: Path, card: dict[str, Any], folder: RunFolder) -> None:
    """Write the result, drop the checkpoints, and say what there is."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    folder.finish({"dataset": path.name, "bytes": size, **card, "sha256": load_dataset(path).content_hash})
    for name in (Training.checkpoint_name, RollOut.checkpoint_name):
        (folder.path / name).unlink(missing_ok=True)
    print(
        f"{path}: {card['steps']:,} transitions, {card['episodes']:,} episodes, "
        f"mean return {card['returns']['mean']:.0f}, best {card['returns']['best']:.0f}"
    )
    if "expert" not in card["reference"]:
        random = card["reference"]["random"]
        print(f"{card['env_id']} has no reference scores: returns are raw, {random:.0f} is uniformly random actions'")
