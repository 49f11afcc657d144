"""Training SAC until its policy has reached what a level asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.collection.checkpoints import load_training, save_training
from potstill.collection.episodes import Episode, Recording
from potstill.collection.journal import Journal
from potstill.collection.levels import Plan
from potstill.collection.sac import Trainer
from potstill.config import CollectConfig
from potstill.environments import registry as environments
from potstill.environments.rollouts import play
from potstill.errors import PotstillError
from potstill.networks.policy import Policy
from potstill.runtime.run_folder import RunFolder

SAVE_INTERVAL = 10_000  # steps between two checkpoints, so that an interruption loses little
EPISODES = 10  # of an evaluation
FIRST_SEED = 1_000_000  # of their starts: none is one of those that `potstill evaluate` plays


class Training:
    """A training of SAC as far as it has come, with the episodes it has seen.

    Args:
        config: the settings.
        plan: how long to train, and what for.
        folder: the run folder, which gets the policies that are taken, and a checkpoint now and then.
    """

    checkpoint_name = "training.safetensors"

    def __init__(self, config: CollectConfig, plan: Plan, folder: RunFolder) -> None:
        self.config, self.plan, self.path = config, plan, folder.path
        self.recording = Recording()
        self.evaluations: list[dict[str, float]] = []
        self.trainer = Trainer(config, self._add)
        self.checkpoint = self.path / self.checkpoint_name
        if self.checkpoint.exists():
            self.recording, papers = load_training(self.checkpoint, self.trainer)
            self.evaluations = papers["evaluations"]
        for name in plan.goals if not plan.actors else ():
            policy_file(self.path, name).unlink(missing_ok=True)  # what is recorded ends where it is taken again
        self.journal = Journal(folder, config.env_id, "training", plan.training, self.trainer.done)

    def _add(self, episode: Episode) -> None:
        self.recording.add(episode)
        self.journal.ended(episode, self.trainer.done + self.config.environments)

    def run(self) -> None:
        """Train until every policy of the plan is taken; each is a file of its name.

        Raises:
            PotstillError: the training ended before one of them reached its goal.
        """
        trainer, every, saved = self.trainer, self.config.evaluate_every, self.trainer.done
        with self.journal:
            while trainer.done < self.plan.training and self.awaited():
                before = trainer.done
                ended = trainer.advance()
                self.journal.stepped(trainer.done, self.recording)
                if trainer.done // every > before // every:
                    self._evaluate()
                if ended and trainer.done - saved >= SAVE_INTERVAL:
                    save_training(self.checkpoint, trainer, self.recording, {"evaluations": self.evaluations})
                    saved = trainer.done
        self._end()
        trainer.close()

    def awaited(self) -> dict[str, float | None]:
        """The policies that are not there yet, with their goals."""
        return {name: goal for name, goal in self.plan.goals.items() if not policy_file(self.path, name).exists()}

    def seen(self) -> Recording:
        """All that the training has seen: the episodes that run are the last ones, cut."""
        return self.recording.plus(self.trainer.running()).head(self.plan.training)

    def _evaluate(self) -> None:
        """Let the policy play, if a goal is there to be reached, and take it for every goal it reaches."""
        goals = {name: goal for name, goal in self.awaited().items() if goal is not None}
        if not goals:
            return
        policy, step = self.trainer.policy(), self.trainer.done
        earned = mean_return(policy, self.config, step)
        self.evaluations.append({"step": step, "return": earned})
        self.journal.evaluated(step, earned)
        for name, goal in goals.items():
            if earned >= goal:
                self._take(name, policy, earned)

    def _end(self) -> None:
        for name, goal in self.awaited().items():
            if goal is not None:
                best = max((entry["return"] for entry in self.evaluations), default=-np.inf)
                option = "--training-steps" if self.plan.actors else "--steps"
                raise PotstillError(
                    f"{self.config.env_id}: the {name} policy is to earn {goal:.4g}, SAC's earned {best:.4g} at best "
                    f"in {self.trainer.done:,} steps: raise {option}, or lower --{name}-score or --{name}-return"
                )
            policy = self.trainer.policy()
            self._take(name, policy, mean_return(policy, self.config, self.trainer.done))

    def _take(self, name: str, policy: Policy, earned: float) -> None:
        env_id = self.config.env_id
        papers = {"env_id": env_id, "algorithm": "sac", "steps": self.trainer.done, "return": earned}
        if environments.has_reference(env_id):
            papers["score"] = float(environments.normalised(earned, env_id))
        policy.save(policy_file(self.path, name), papers)


def policy_file(path: Path, name: str) -> Path:
    """Where the policy of that name is kept in a run folder."""
    return path / f"{name}.safetensors"


def mean_return(policy: Policy, config: CollectConfig, step: int) -> float:
    """Mean undiscounted return of a few episodes, acting as the roll-outs do."""
    rng = np.random.default_rng((config.seed, step))
    act = policy if config.mean_action else lambda states: policy.sample(states, rng)
    return float(play(act, config.env_id, FIRST_SEED + np.arange(EPISODES)).mean())
