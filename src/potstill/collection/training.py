"""Train SAC, or DQN for discrete actions, until the policies have reached the goals of a plan."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from potstill.collection.checkpoints import load_training, save_training
from potstill.collection.dqn import make_trainer
from potstill.collection.episodes import Episode, Recording
from potstill.collection.journal import Journal
from potstill.collection.levels import CollectionPlan
from potstill.collection.sac import SacSettings
from potstill.environments.references import has_reference, normalised_return
from potstill.environments.rollouts import play
from potstill.errors import PotstillError, name_option
from potstill.networks.policy import Policy
from potstill.runtime.run_folder import RunFolder

SAVE_INTERVAL = 10_000  # steps between two checkpoints
EPISODES = 10  # episodes in an evaluation
FIRST_SEED = 1_000_000  # first seed of the initial states in an evaluation; `potstill evaluate` uses other seeds


class Training:
    """A training run of SAC or DQN, with the episodes that it has recorded.

    Args:
        env_id: Gymnasium id.
        plan: the number of steps, and the policies to save.
        settings: settings of the training.
        folder: the run folder. The chosen policies, and a checkpoint every 10,000 steps, are saved there. An existing
            checkpoint is resumed.
    """

    checkpoint_name = "training.safetensors"

    def __init__(self, env_id: str, plan: CollectionPlan, settings: SacSettings, folder: RunFolder) -> None:
        self.env_id, self.plan, self.settings, self.path = env_id, plan, settings, folder.path
        self.recording = Recording()
        self.evaluations: list[dict[str, float]] = []
        self.trainer = make_trainer(env_id, settings, self._add)
        self.checkpoint = self.path / self.checkpoint_name
        if self.checkpoint.exists():
            self.recording, metadata = load_training(self.checkpoint, self.trainer)
            self.evaluations = metadata["evaluations"]
        if not plan.actors:  # the recording ends when the last policy is saved; a resumed run saves it again
            for name in plan.goals:
                find_policy_file(self.path, name).unlink(missing_ok=True)
        self.journal = Journal(folder, env_id, "training", plan.training_steps, self.trainer.done)

    def _add(self, episode: Episode) -> None:
        self.recording.add(episode)
        self.journal.log_episode(episode, self.trainer.done + self.settings.environments)

    def run(self) -> None:
        """Train until every policy of the plan has been saved, each as a file with its name.

        Raises:
            PotstillError: training ended before a policy reached its goal.
        """
        trainer, every, saved = self.trainer, self.settings.evaluate_every, self.trainer.done
        with self.journal:
            while trainer.done < self.plan.training_steps and self.open_goals():
                before = trainer.done
                ended = trainer.advance()
                self.journal.show_progress(trainer.done, self.recording)
                if trainer.done // every > before // every:
                    self._evaluate()
                if ended and trainer.done - saved >= SAVE_INTERVAL:
                    save_training(self.checkpoint, trainer, self.recording, {"evaluations": self.evaluations})
                    saved = trainer.done
        self._finish()
        trainer.close()

    def open_goals(self) -> dict[str, float | None]:
        """Return the policies that have not been saved yet, with their goals."""
        return {name: goal for name, goal in self.plan.goals.items() if not find_policy_file(self.path, name).exists()}

    def make_recording(self) -> Recording:
        """Return all recorded episodes. Open episodes come last, cut at the current step."""
        return self.recording.with_episodes(self.trainer.list_running()).take_first(self.plan.training_steps)

    def _evaluate(self) -> None:
        """Evaluate the current policy if a goal is open, and save it for every goal that it reaches."""
        goals = {name: goal for name, goal in self.open_goals().items() if goal is not None}
        if not goals:
            return
        policy, step = self.trainer.copy_policy(), self.trainer.done
        measured = measure_mean_return(policy, self.env_id, self.settings, step)
        self.evaluations.append({"step": step, "return": measured})
        self.journal.log_evaluation(step, measured)
        for name, goal in goals.items():
            if measured >= goal:
                self._save_policy(name, policy, measured)

    def _finish(self) -> None:
        """Save the policies whose goal is the end of training."""
        for name, goal in self.open_goals().items():
            if goal is not None:
                best = max((entry["return"] for entry in self.evaluations), default=-np.inf)
                option = name_option("training_steps" if self.plan.actors else "steps")
                raise PotstillError(
                    f"{self.env_id}: the goal of the {name} policy is {goal:.4g}, but {self.trainer.name}'s "
                    f"best evaluation is {best:.4g} in {self.trainer.done:,} steps: raise {option}, or "
                    f"lower {name_option(f'{name}_score')} or {name_option(f'{name}_return')}"
                )
            policy = self.trainer.copy_policy()
            self._save_policy(name, policy, measure_mean_return(policy, self.env_id, self.settings, self.trainer.done))

    def _save_policy(self, name: str, policy: Policy, measured: float) -> None:
        """Save a policy under ``name``."""
        metadata = {
            "env_id": self.env_id,
            "algorithm": self.trainer.name.lower(),
            "steps": self.trainer.done,
            "return": measured,
        }
        if has_reference(self.env_id):
            metadata["score"] = float(normalised_return(measured, self.env_id))
        policy.save(find_policy_file(self.path, name), metadata)


def find_policy_file(path: Path, name: str) -> Path:
    """Return the path of a policy in a run folder."""
    return path / f"{name}.safetensors"


def measure_mean_return(policy: Policy, env_id: str, settings: SacSettings, step: int) -> float:
    """Measure the mean undiscounted return of ten episodes, with mean or sampled actions as in the rollouts."""
    rng = np.random.default_rng((settings.seed, step))
    act = policy if settings.mean_action else lambda states: policy.sample(states, rng)
    return float(play(act, env_id, FIRST_SEED + np.arange(EPISODES)).mean())
