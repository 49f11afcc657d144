"""Progress of a collection: a bar on the terminal, and a line of metrics for every episode and evaluation."""

from __future__ import annotations

import time
from types import TracebackType

import numpy as np

from potstill.collection.episodes import Episode, Recording
from potstill.environments.references import has_reference, normalised_return
from potstill.runtime.progress import Tracker
from potstill.runtime.run_folder import RunFolder

SHOW_INTERVAL = 100  # steps between two updates of the bar


class Journal:
    """A context manager that writes the metrics of one stage and displays its progress.

    Args:
        folder: the run folder. Metrics of this stage after step ``done`` are dropped, because the resumed stage
            writes them again.
        env_id: Gymnasium id, for normalised scores.
        stage: name of the stage, ``training`` or ``roll-out``.
        total: steps of the whole stage.
        done: steps that an interrupted run has finished.
    """

    def __init__(self, folder: RunFolder, env_id: str, stage: str, total: int, done: int) -> None:
        self.folder, self.env_id, self.stage = folder, env_id, stage
        self.tracker = Tracker(f"{stage} in {env_id}", total, done=done)
        self.started, self.shown = time.perf_counter(), done
        folder.keep_metrics(lambda line: line["stage"] != stage or line["step"] <= done)

    def __enter__(self) -> Journal:
        self.tracker.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.tracker.__exit__(kind, error, trace)

    def log_episode(self, episode: Episode, step: int) -> None:
        """Log the return of an episode that ended at this step. Cut episodes are not logged."""
        if episode.ended:
            self._log(step, episode_return=episode.total, **self._score(episode.total))

    def log_evaluation(self, step: int, mean_return: float) -> None:
        """Log the mean return of a policy that was evaluated after this step."""
        self._log(step, evaluated_return=mean_return, **self._score(mean_return))

    def show_progress(self, done: int, recording: Recording) -> None:
        """Update the bar, every 100 steps."""
        if done - self.shown >= SHOW_INTERVAL or done >= self.tracker.total:
            self.shown = done
            recent = [episode.total for episode in recording.episodes[-10:] if episode.ended]
            metrics = {"recent_return": float(np.mean(recent))} if recent else {}
            self.tracker.update(done, episodes=len(recording.episodes), **metrics)

    def _score(self, episode_return: float) -> dict[str, float]:
        known = has_reference(self.env_id)
        return {"score": float(normalised_return(episode_return, self.env_id))} if known else {}

    def _log(self, step: int, **metrics: float) -> None:
        self.folder.log(stage=self.stage, step=step, **metrics, seconds=time.perf_counter() - self.started)
