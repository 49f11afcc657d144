"""One run of ``potstill teach``: the training loop with its evaluations, checkpoints and metrics."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from potstill.config import TeachConfig
from potstill.environments.references import find_reference_returns
from potstill.evaluation.imagined import TeacherJudge
from potstill.evaluation.scores import measure_policy_returns
from potstill.evaluation.statistics import find_return_label, summarise
from potstill.runtime.interruption import (
    Interrupted,
    Interruption,
    deferred_interruption,
    handling,
    raise_interrupted,
)
from potstill.runtime.progress import Tracker
from potstill.runtime.run_folder import RunFolder
from potstill.teachers.algorithms.base import Algorithm
from potstill.teachers.base import NetworkTeacher
from potstill.teachers.checkpoints import IMAGINED, Evaluation, Progress, save_checkpoint
from potstill.teachers.diagnosis import diagnose_teacher
from potstill.teachers.evaluation.diagnostics import OfflineScores
from potstill.teachers.settings import Training
from potstill.teachers.training import EARLY_UPDATES, Learner

CHECKPOINT = "checkpoint.safetensors"
LEAST_GAIN = 0.01  # of the estimate, if training stops by itself: two fits to one teacher differ by about 1 %


class Stopping(NamedTuple):
    """When a training ends."""

    updates: int
    """The largest number of updates."""
    patience: int | None
    """Evaluations without a higher estimate after which it ends. ``None``: it takes all updates."""
    least_gain: float = 0.0
    """The smallest relative increase of the estimate that counts."""

    @classmethod
    def of(
        cls,
        algorithm: Algorithm[Any],
        updates: int | None = None,
        patience: int | None = None,
        *,
        estimated: bool = True,
    ) -> Stopping:
        """Make the rule from updates and patience or, if neither is given, from the algorithm's own defaults.

        Args:
            algorithm: the algorithm.
            updates: the number of updates, if given.
            patience: evaluations without a higher estimate, if given.
            estimated: whether evaluations estimate the return. If not, training cannot stop early by itself.
        """
        if updates is not None:
            return cls(updates, patience)
        if patience is not None:
            return cls(Training.updates, patience)
        return cls(algorithm.most_updates, algorithm.patience if estimated else None, LEAST_GAIN)


@dataclass
class TeachingJob:
    """A training in progress: its inputs and its results so far."""

    config: TeachConfig
    learner: Learner
    scores: OfflineScores | None
    folder: RunFolder
    stopping: Stopping
    progress: Progress
    judge: TeacherJudge | None = None

    @property
    def finished(self) -> bool:
        """Whether training has ended: all updates are done, or the estimate no longer rises."""
        stalled = self.progress.is_stalled(self.stopping.patience, self.stopping.least_gain)
        return (self.learner.finished or stalled) and not self._due

    @property
    def kept(self) -> Evaluation:
        """The evaluation of the saved teacher."""
        return self.progress.history[-1] if self.stopping.patience is None else self.progress.find_best()

    @property
    def _evaluated(self) -> int:
        """The number of updates at the last evaluation."""
        return int(self.progress.history[-1]["update"]) if self.progress.history else 0

    @property
    def _due(self) -> bool:
        """Whether an evaluation is due: training has ended, or a period is over."""
        done, every = self.learner.done, self.config.evaluate_every
        return done > self._evaluated and (self.learner.finished or done // every > self._evaluated // every)

    def train(self, label: str) -> None:
        """Train until the end, with an evaluation and a checkpoint after each period.

        Raises:
            Interrupted: a signal asked to stop; the checkpoint is written.
        """
        shown = self._select_shown(self.progress.history[-1]) if self.progress.history else {}
        limited = self.stopping.patience is not None
        tracker = Tracker(label, self.stopping.updates, done=self.learner.done, limit=limited)
        with deferred_interruption() as interruption, tracker:
            with handling(raise_interrupted):  # nothing is lost: compilation may take long
                self._warm_up(tracker)
            while not self.finished:
                if self._due:
                    shown = self._select_shown(self._evaluate(tracker, interruption))
                    self._save_checkpoint()
                else:
                    metrics = self._advance(tracker)
                    tracker.update(self.learner.done, **metrics, **shown)
                if interruption.requested and not self.finished:
                    self._save_checkpoint()
                    raise self._make_exception(interruption)

    def _warm_up(self, tracker: Tracker) -> None:
        """Compile, and time some updates, so that the remaining time is known from the start."""
        self._plan(tracker)
        with tracker.phase("compiling"):
            tracker.work.measure("step", 1, self.learner.warm_up())
            if self.scores:
                tracker.work.measure("fit", 1, self.scores.warm_up(self.config.fitted_updates))
        tracker.update(self.learner.done)

    def _plan(self, tracker: Tracker) -> None:
        """Set the remaining work besides the updates."""
        every = self.config.evaluate_every
        count = -(-self.stopping.updates // every) - self._evaluated // every
        fits, usual = 0, len(self.scores.evaluators) * self.config.fitted_updates if self.scores else 0
        if self.scores and count > 0:
            fits = self.scores.count_updates(self.config.fitted_updates) + (count - 1) * usual
        played = {kind: count if tracker.work.knows(kind) else 0 for kind in ("evaluation", "imagined")}
        tracker.work.left = {"fit": fits, **played}
        if self.stopping.patience is not None:
            sooner = max(count - self.progress.count_left(self.stopping.patience, self.stopping.least_gain), 0)
            tracker.work.spare = {
                "step": sooner * every,
                "fit": sooner * usual,
                "evaluation": sooner,
                "imagined": sooner,
            }

    def _advance(self, tracker: Tracker) -> dict[str, float]:
        """Train until the next report; restart if the actor has collapsed early."""
        learner, config, before = self.learner, self.config, self.learner.algorithm
        metrics, seconds = learner.advance()
        early = learner.done <= min(config.evaluate_every, EARLY_UPDATES)
        if early and learner.collapsed and learner.restart():
            changed = asdict(learner.algorithm).items() - asdict(before).items()
            settings = ", ".join(f"{name.replace('_', '-')} {value}" for name, value in sorted(changed))
            print(f"the teacher's actions collapsed to a bound: training restarts with {settings}", flush=True)
            self.folder.keep_metrics(lambda line: False)
            with tracker.phase("compiling"):
                learner.warm_up()
            tracker.done = 0
            return {}
        self.progress.seconds += seconds
        self.folder.log(update=learner.done, **metrics, seconds=self.progress.seconds)
        return metrics

    def _evaluate(self, tracker: Tracker, interruption: Interruption) -> Evaluation:
        """Evaluate the current teacher, and save it. If training can stop early, save it only if it is the best."""
        config, learner, data = self.config, self.learner, self.learner.data
        teacher = learner.make_teacher()
        entry: Evaluation = {"update": learner.done}
        last, fitted = time.perf_counter(), 0
        total = self.scores.count_updates(config.fitted_updates) if self.scores else 0

        def report(count: int) -> None:
            nonlocal last, fitted
            now, fitted = time.perf_counter(), fitted + count
            fitting.steps = fitted, total
            tracker.work.measure("fit", count, now - last)
            tracker.work.left["fit"] -= count
            last = tracker.changed = now
            if interruption.requested:
                raise self._make_exception(interruption)

        if self.scores:
            try:
                with tracker.phase("fitting critics to the teacher") as fitting:
                    entry.update(self.scores(teacher, config.fitted_updates, report))
            except Interrupted:
                self._save_checkpoint()
                raise
        if self.judge:
            cold = len(self.progress.history) == 0
            with tracker.phase("episodes in the world model", cold=cold, imagined=1):
                entry[IMAGINED] = self.judge(teacher)
        if config.episodes and data.env_id:
            with tracker.phase(f"{config.episodes} episodes in {data.env_id}", evaluation=1):
                returns = measure_policy_returns(teacher.policy, data.env_id, config.episodes, 0, data.rule)
            entry.update(summarise(returns, find_reference_returns(data.env_id, data.card)))
        self.folder.log(**entry)
        entry = dict(sorted(entry.items()))  # as a checkpoint restores it: a resumed run writes the same result
        self.progress.history.append(entry)
        if self.kept is entry:
            self._save(teacher, entry)
        self._plan(tracker)
        return entry

    def _save(self, teacher: NetworkTeacher, entry: Evaluation) -> None:
        """Save the teacher, with warnings about it."""
        found = diagnose_teacher(teacher, self.learner.data, entry)
        if found:
            teacher = replace(teacher, metadata=teacher.metadata | {"warnings": found})
        teacher.save(self.folder.path / "teacher.safetensors")

    def _save_checkpoint(self) -> None:
        save_checkpoint(self.folder.path / CHECKPOINT, self.learner, self.scores, self.progress)

    def _make_exception(self, interruption: Interruption) -> Interrupted:
        return interruption.make_exception(f"stopped after {self.learner.done:,} updates, which are kept")

    def _select_shown(self, entry: Evaluation) -> dict[str, float]:
        """Select the scores of an evaluation to show beside the progress, with a raw return called a return."""
        data = self.learner.data
        score = find_return_label({"reference": find_reference_returns(data.env_id, data.card)._asdict()})
        kept = ("fitted_value", "pessimistic_value")
        labels = {**dict(zip(kept, kept, strict=True)), "mean": score.replace(" ", "_")}
        shown = {label: entry[name] for name, label in labels.items() if name in entry}
        return shown | ({"in_the_model": entry[IMAGINED]["mean"]} if IMAGINED in entry else {})
