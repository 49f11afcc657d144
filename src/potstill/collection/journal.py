"""What a collection tells while it runs: a bar, and a line in the metrics for every episode."""

from __future__ import annotations

import time

import numpy as np

from potstill.collection.episodes import Episode, Recording
from potstill.environments import registry as environments
from potstill.runtime.progress import Tracker
from potstill.runtime.run_folder import RunFolder

SHOW_INTERVAL = 100  # steps between two updates of the bar


class Journal:
    """Notes of one stage, ``training`` or ``roll-out``.

    Args:
        folder: whose metrics get a line for each episode and evaluation; those of this stage that lie behind
            ``done`` are dropped, the stage writes them again.
        env_id: the environment, for its normalised scores.
        stage: the name of the stage.
        total: steps of the whole stage.
        done: steps that an interrupted run has done already.
    """

    def __init__(self, folder: RunFolder, env_id: str, stage: str, total: int, done: int) -> None:
        self.folder, self.env_id, self.stage = folder, env_id, stage
        self.tracker = Tracker(f"{stage} in {env_id}", total, done=done)
        self.started, self.shown = time.perf_counter(), done
        folder.keep_metrics(lambda line: line["stage"] != stage or line["step"] <= done)

    def __enter__(self) -> Journal:
        self.tracker.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.tracker.__exit__(*error)  # type: ignore[arg-type]

    def ended(self, episode: Episode, step: int) -> None:
        """Note an episode that ended with this step."""
        if episode.ended:
            self._log(step, episode_return=episode.total, **self._score(episode.total))

    def evaluated(self, step: int, earned: float) -> None:
        """Note what a policy earned when it was evaluated after this step."""
        self._log(step, evaluated_return=earned, **self._score(earned))

    def stepped(self, done: int, recording: Recording) -> None:
        """Move the bar now and then."""
        if done - self.shown >= SHOW_INTERVAL or done >= self.tracker.total:
            self.shown = done
            recent = [episode.total for episode in recording.episodes[-10:] if episode.ended]
            figures = {"recent_return": float(np.mean(recent))} if recent else {}
            self.tracker.update(done, episodes=len(recording.episodes), **figures)

    def _score(self, total: float) -> dict[str, float]:
        known = environments.has_reference(self.env_id)
        return {"score": float(environments.normalised(total, self.env_id))} if known else {}

    def _log(self, step: int, **figures: float) -> None:
        self.folder.log(stage=self.stage, step=step, **figures, seconds=time.perf_counter() - self.started)
