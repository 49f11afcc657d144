"""A fine-tuning in progress: training, evaluations, the newest policy, and what an interruption leaves."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass, field

import numpy as np

from potstill.config import FinetuneConfig
from potstill.config.settings import command_line
from potstill.data.scaling import Scaling
from potstill.environments.observations.rule import ObservationRule
from potstill.environments.references import Reference
from potstill.errors import Diverged, name_option
from potstill.evaluation.scores import measure_policy_returns
from potstill.evaluation.statistics import summarise
from potstill.finetuning.agent import copy_policy
from potstill.finetuning.networks import Agent
from potstill.finetuning.settings import FineTuning
from potstill.networks.policy import Policy
from potstill.runtime.files import JsonObject
from potstill.runtime.interruption import Interrupted, Interruption, deferred_interruption
from potstill.runtime.progress import Tracker
from potstill.runtime.run_folder import RunFolder

POLICY = "policy.safetensors"
SHOWN_EVERY = 10  # environment steps between two updates of the progress


@dataclass
class FineTuningJob:
    """A fine-tuning in progress: its inputs, and its evaluations so far."""

    config: FinetuneConfig
    settings: FineTuning
    agent: Agent
    scaling: Scaling
    env_id: str
    rule: ObservationRule | None
    """How observations become vectors, if they are none."""
    reference: Reference
    origin: JsonObject
    """What the saved policy's metadata say besides its steps and return."""
    folder: RunFolder
    history: list[JsonObject] = field(default_factory=list)
    seconds: float = 0.0
    """Seconds of environment steps and updates."""

    @property
    def done(self) -> int:
        """The number of environment steps so far."""
        return int(self.agent.num_timesteps)

    def run(self) -> None:
        """Fine-tune to the end, with an evaluation at the start and after each period.

        Raises:
            Interrupted: a signal asked to stop; the newest policy is saved.
            Diverged: a weight of the actor is not finite.
        """
        every = self.config.evaluate_every or max(self.settings.steps // 20, 1)
        tracker = Tracker(f"finetune {self.env_id}", self.settings.steps)
        tracker.work.left = {"evaluation": 1 + -(-self.settings.steps // every)}
        with deferred_interruption() as interruption, tracker:
            self._evaluate(tracker)
            while self.done < self.settings.steps and not interruption.requested:
                until = min((self.done // every + 1) * every, self.settings.steps)
                self._advance(until, tracker, interruption)
                if not interruption.requested:
                    self._evaluate(tracker)
            if self.done < self.settings.steps:
                self._save(self._copy_policy(), {})
                raise self._make_exception(interruption)

    def _advance(self, until: int, tracker: Tracker, interruption: Interruption) -> None:
        """Take environment steps and updates, until a number of steps is done or a signal asks to stop.

        stable-baselines3 ends with an update. If the steps are no multiple of those between updates, the last ones
        have none.
        """
        started, shown = time.perf_counter(), {"return": self.history[-1]["mean"]}
        rest = (until - self.done) % self.settings.update_every

        def report(_locals: object, _globals: object) -> bool:
            if self.done % SHOWN_EVERY == 0 and self.done < self.settings.steps:
                tracker.update(self.done, **shown, constraint=self.settings.compute_constraint(self.done))
            return not interruption.requested and not (rest and self.done >= until)

        self.agent.learn(until - self.done, callback=report, reset_num_timesteps=False, log_interval=None)
        self.seconds += time.perf_counter() - started

    def _evaluate(self, tracker: Tracker) -> None:
        """Measure the return of the current policy without noise, and save the policy."""
        policy, episodes = self._copy_policy(), self.config.episodes
        with tracker.phase(f"{episodes} episodes", evaluation=1):
            returns = measure_policy_returns(policy, self.env_id, episodes, seed=0, rule=self.rule)
            scores = summarise(returns, self.reference)
        entry: JsonObject = {
            "steps": self.done,
            **{name: scores[name] for name in ("mean", "std", "raw_mean")},
            "constraint": self.settings.compute_constraint(self.done),
            "distance": float(self.agent.compute_distance().detach()),
            **self.agent.metrics,
        }
        self.history.append(entry)
        self.folder.log(**entry)
        self._save(policy, {"return": entry["raw_mean"]})
        tracker.update(self.done, **{"return": entry["mean"]})

    def _copy_policy(self) -> Policy:
        policy = copy_policy(self.agent, self.scaling)
        if not all(np.isfinite(array).all() for layer in policy.layers for array in layer.values()):
            raise Diverged(f"fine-tuning diverged before step {self.done:,}: lower {name_option('learning_rate')}")
        return policy

    def _save(self, policy: Policy, measured: JsonObject) -> None:
        policy.save(self.folder.path / POLICY, {**self.origin, "steps": self.done, **measured})

    def _make_exception(self, interruption: Interruption) -> Interrupted:
        out, path = shlex.quote(str(self.folder.target)), shlex.quote(str(self.folder.path / POLICY))
        again = command_line("finetune", self.config)
        return interruption.make_exception(
            f"stopped after {self.done:,} of {self.settings.steps:,} steps; the curve and the newest policy are in "
            f"{self.folder.path}; repeat with: {again} --out {out} --force; or start from the policy: --start {path}"
        )
