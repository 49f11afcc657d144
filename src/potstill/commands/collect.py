"""``potstill collect``: record an offline dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from potstill.collection.card import Card, Origin, make_card, make_page, measure_reference
from potstill.collection.episodes import Recording
from potstill.collection.levels import CollectionPlan, Goal, make_plan
from potstill.collection.output import require_format, write_recording
from potstill.collection.rollout import Behaviour, Rollout, make_policy_behaviour, make_uniform_behaviour
from potstill.collection.sac import SacSettings
from potstill.collection.training import Training, find_policy_file
from potstill.config import CollectConfig
from potstill.config.settings import command_line, record_settings, takes_options
from potstill.data.registry import load_dataset
from potstill.data.units import find_bounds
from potstill.environments.making import Environment, HasSpaces, count_actions, make
from potstill.errors import PotstillError, require_package
from potstill.networks.policy import Policy, load_policy
from potstill.runtime import storage
from potstill.runtime.files import StrPath, to_json, write_atomically
from potstill.runtime.run import Run
from potstill.runtime.run_folder import RunFolder, check_out

UNSAVED = ("out", "force", "resume")  # settings that do not change the dataset


@takes_options(CollectConfig)
def collect(config: CollectConfig) -> Run:
    """Record transitions of an environment as an offline dataset, with a level as in D4RL.

    The default level, ``replay``, trains SAC (stable-baselines3, the extra ``collect``), or DQN if actions are
    discrete, and records every transition of the training. Other levels record a part of the training, roll out
    policies from it, or take random actions. If ``policy`` is given, it is rolled out. The run folder gets the dataset
    (``dataset.hdf5``, or a Minari dataset), its card (inside, as ``card.json`` and as ``README.md``), the policies and
    a plot. The recorded transitions of an interrupted run are kept; ``resume=True`` continues it.

    Returns:
        The run.

    Raises:
        PotstillError: the environment or the level is unknown, a space is not supported, an extra is missing, the
            policy does not match the environment, SAC does not reach a goal, or a run cannot be resumed.

    Example:
        >>> import potstill, tempfile
        >>> run = potstill.collect("Pendulum-v1", level="random", steps=300, out=f"{tempfile.mkdtemp()}/run")
        ... # doctest: +ELLIPSIS
        roll-out in Pendulum-v1 300/300 ...
    """
    resumed = check_out(config.out, "collect", record_settings(config), force=config.force, resume=config.resume)
    env = make(config.env_id)
    plan = _make_plan(config)
    policy = None if config.policy is None else _load_matching_policy(config.policy, config.env_id, env)
    if plan.training_steps:
        require_package("stable-baselines3", "collect")
    require_format(config.format)
    with RunFolder(config.out, "collect", record_settings(config), force=config.force, resume=resumed) as folder:
        job = Job(config, plan, folder, env, policy, measure_reference(config.env_id, config.seed))
        stage: Training | Rollout | None = None
        try:
            for stage in job.iterate_stages():
                stage.run()
        except KeyboardInterrupt:
            _keep_interrupted(stage, job)
            raise
        assert stage is not None
        _finish(stage.make_recording(), job)
    return folder.run


def _make_plan(config: CollectConfig) -> CollectionPlan:
    """Make the collection plan for the level of the config."""
    return make_plan(
        config.level,
        config.env_id,
        steps=config.steps,
        training_steps=config.training_steps,
        policy_given=config.policy is not None,
        medium=_make_goal(config.medium_score, config.medium_return),
        expert=_make_goal(config.expert_score, config.expert_return),
    )


def _make_goal(score: float | None, raw_return: float | None) -> Goal | None:
    """Make a goal, or return ``None`` for the level's default."""
    return None if score is None and raw_return is None else Goal(score, raw_return)


@dataclass(frozen=True)
class Job:
    """A run of the command: its settings and the objects made from them."""

    config: CollectConfig
    plan: CollectionPlan
    folder: RunFolder
    env: Environment
    policy: Policy | None
    """The policy of ``--policy``."""
    reference: dict[str, float | str]

    def iterate_stages(self) -> Iterator[Training | Rollout]:
        """Yield SAC's training, if the plan has one and it is unfinished, and then the rollouts."""
        config, plan = self.config, self.plan
        taken = all(find_policy_file(self.folder.path, name).exists() for name in plan.goals)
        if plan.training_steps and not (plan.actors and taken):
            settings = SacSettings(
                environments=config.environments,
                random_steps=config.random_steps,
                evaluate_every=config.evaluate_every,
                mean_action=config.mean_action,
                threads=config.threads,
                seed=config.seed,
            )
            yield Training(config.env_id, plan, settings, self.folder)
        if plan.actors:
            behaviours = {name: self._make_behaviour(name) for name in plan.actors}
            lanes = config.environments
            yield Rollout(config.env_id, behaviours, config.steps, self.folder, seed=config.seed, environments=lanes)

    def _make_behaviour(self, name: str) -> Behaviour:
        if name == "random":
            return make_uniform_behaviour(self.config.env_id)
        policy = load_policy(find_policy_file(self.folder.path, name)) if name in self.plan.goals else self.policy
        assert policy is not None  # a behaviour is a policy of SAC, the given policy, or random
        return make_policy_behaviour(policy, mean_action=self.config.mean_action)

    def read_policies(self) -> dict[str, dict[str, int | float]]:
        """Read training steps and return of each policy that was saved from SAC's training, by name."""
        known: dict[str, dict[str, int | float]] = {}
        for path in (find_policy_file(self.folder.path, name) for name in self.plan.goals):
            if path.exists():
                metadata = storage.load(path, "policy")[1]
                known[path.stem] = {key: metadata[key] for key in ("steps", "return", "score") if key in metadata}
        return known

    def make_origin(self) -> Origin:
        """Describe how the dataset is collected, for its card."""
        config = self.config
        return Origin(
            env_id=config.env_id,
            plan=self.plan,
            steps=config.steps,
            seed=config.seed,
            command=command_line("collect", config),
            settings={key: value for key, value in to_json(config).items() if key not in UNSAVED},
            policy=config.policy,
            learner="sac" if count_actions(cast(HasSpaces, self.env)) is None else "dqn",
        )


def _load_matching_policy(path: StrPath, env_id: str, env: Environment) -> Policy:
    """Load a policy, and check that its sizes are those of the environment."""
    policy = load_policy(str(path))
    bounds = find_bounds(env)
    kinds = ["discrete" if each.discrete else "continuous" for each in (policy.action_bounds, bounds)]
    if kinds[0] != kinds[1]:
        raise PotstillError(f"{path} takes {kinds[0]} actions, but those of {env_id} are {kinds[1]}")
    for name, own, expected in (
        ("state", len(policy.normaliser.mean), env.observation_space.shape[0]),
        ("action", len(policy.action_bounds), len(bounds)),
    ):
        if own != expected:
            raise PotstillError(f"{path} has {own} {name} components, but {env_id} has {expected}")
    return policy


def _keep_interrupted(stage: Training | Rollout | None, job: Job) -> None:
    """Write the transitions that an interrupted run has recorded."""
    hint = f"resume with --out {job.folder.path} --resume"
    if stage is None or (isinstance(stage, Training) and job.plan.actors) or not stage.make_recording().rows:
        print(f"interrupted before anything was recorded: {hint}")
        return
    if isinstance(stage, Rollout):
        stage.save()
    _, card = _write(stage.make_recording(), job)
    print(f"interrupted: {card['steps']:,} recorded transitions are kept; {hint}")


def _write(recording: Recording, job: Job) -> tuple[Path, Card]:
    """Write the dataset and its cards; return the dataset's path and the card."""
    config, folder = job.config, job.folder
    card = make_card(recording, job.make_origin(), policies=job.read_policies(), reference=job.reference, env=job.env)
    path = write_recording(folder.path, recording, config.format, config.mantissa_bits, job.env, card)
    folder.write_json("card.json", card)
    write_atomically(folder.path / "README.md", make_page(card, path.name, config.format).encode())
    return path, card


def _finish(recording: Recording, job: Job) -> None:
    """Write the dataset and the result, delete the checkpoints, print a summary and draw a plot."""
    from potstill.reports.plots import plot_returns

    folder = job.folder
    path, card = _write(recording, job)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    folder.finish({"dataset": path.name, "bytes": size, **card, "sha256": load_dataset(path).content_hash})
    for name in (Training.checkpoint_name, Rollout.checkpoint_name):
        (folder.path / name).unlink(missing_ok=True)
    print(
        f"{folder.path / path.name}: {card['steps']:,} transitions, {card['episodes']:,} episodes, "
        f"mean return {card['returns']['mean']:.0f}, best {card['returns']['best']:.0f}"
    )
    if "expert" not in card["reference"]:
        random = card["reference"]["random"]
        print(f"{card['env_id']} has no reference returns, so returns are raw; a random policy has {random:.0f}")
    plot_returns(folder.path / "returns.png", recording.list_returns(), job.config.env_id)
