"""Checkpoints of a training run: one file with everything that is needed to resume it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from jaxtyping import PyTree

from potstill.runtime import storage
from potstill.runtime.checkpoints import flatten, unflatten
from potstill.runtime.files import JsonObject
from potstill.teachers.evaluation.diagnostics import OfflineScores
from potstill.teachers.training import Learner

IMAGINED = "imagined"  # the scores in a world model
ESTIMATE, OLD_ESTIMATE = "pessimistic_value", "worth"  # its name, and its name in files of version 0.1
Evaluation = JsonObject  # "update", and the scores of the teacher at that update


@dataclass
class Progress:
    """The results of a training run so far, apart from its networks."""

    seconds: float = 0.0
    """Time spent in updates."""

    history: list[Evaluation] = field(default_factory=list)
    """All evaluations, in order."""

    def find_best(self) -> Evaluation:
        """Find the evaluation with the highest :func:`estimate`.

        The first evaluation is skipped if there are others: early estimates are biased upwards, because an early policy
        is far from the data, where the fitted critic extrapolates.
        """
        return max(self.history[1:] or self.history, key=estimate)

    def is_stalled(self, patience: int | None, least_gain: float = 0.0) -> bool:
        """Whether the last ``patience`` evaluations did not exceed the best one before them.

        Args:
            patience: the number of evaluations. ``None``: training never stalls.
            least_gain: the smallest relative increase that counts.
        """
        return patience is not None and self.count_left(patience, least_gain) <= 0

    def count_left(self, patience: int, least_gain: float = 0.0) -> int:
        """Count the evaluations after which training ends at the earliest; it has ended if there are none.

        The estimate of the second evaluation is always a new best one, see :meth:`find_best`.
        """
        if not self.history or not self.history[-1].keys() & {IMAGINED, "action_distance"}:
            return patience + 2
        highest, last = -math.inf, 0
        for number, entry in list(enumerate(self.history))[1:] or [(0, self.history[0])]:
            if not last or estimate(entry) > highest + least_gain * abs(highest):
                highest, last = estimate(entry), number
        return patience - (len(self.history) - 1 - last) + (len(self.history) == 1)


def estimate(entry: Evaluation) -> float:
    """The number by which teachers are compared: the mean return in a world model or else the pessimistic value.

    If returns cannot tell policies apart, it is minus the distance of the teacher's actions from the data's.
    """
    if IMAGINED in entry:
        return float(entry[IMAGINED]["mean"])
    return float(entry[ESTIMATE]) if ESTIMATE in entry else -float(entry["action_distance"])


def save_checkpoint(path: Path, learner: Learner, scores: OfflineScores | None, progress: Progress) -> None:
    """Write the states of the learner and of the fitted critics, and the progress, atomically."""
    metadata = {"done": learner.done, "seconds": progress.seconds, "history": progress.history}
    metadata |= {"restarted": True} if learner.restarted else {}
    storage.save(path, "checkpoint", flatten(_gather_states(learner, scores)), metadata)


def load_checkpoint(path: Path, learner: Learner, scores: OfflineScores | None) -> Progress:
    """Set the learner and the fitted critics to their saved states, and return the progress.

    Raises:
        PotstillError: the checkpoint is damaged, or the shapes of its networks differ.
    """
    arrays, metadata = read_checkpoint(path)
    if metadata.get("restarted") and not learner.restarted:
        learner.restart()
    saved = unflatten(_gather_states(learner, scores), arrays, path)
    learner.state, learner.done = saved["learner"], metadata["done"]
    if scores:
        for name, evaluator in scores.evaluators.items():
            evaluator.state = saved["fitted"][name]
    return Progress(metadata["seconds"], metadata["history"])


def read_checkpoint(path: Path) -> tuple[storage.Arrays, JsonObject]:
    """Read the arrays and the metadata of a checkpoint, with the current names in those of version 0.1."""
    arrays, metadata = storage.load(path, "checkpoint")
    arrays = {name.replace(f"['{OLD_ESTIMATE}']", f"['{ESTIMATE}']"): array for name, array in arrays.items()}
    history = [{ESTIMATE if k == OLD_ESTIMATE else k: v for k, v in entry.items()} for entry in metadata["history"]]
    return arrays, {**metadata, "history": history}


def _gather_states(learner: Learner, scores: OfflineScores | None) -> dict[str, PyTree]:
    fitted = {name: evaluator.state for name, evaluator in scores.evaluators.items()} if scores else {}
    return {"learner": learner.state, "fitted": fitted}
