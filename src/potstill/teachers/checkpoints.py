"""A training that can be interrupted: everything it needs to go on, in one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from potstill.errors import PotstillError
from potstill.runtime import storage
from potstill.runtime.run_folder import RunFolder
from potstill.teachers.evaluation.diagnostics import OfflineScores
from potstill.teachers.training import Learner

NAME = "checkpoint.safetensors"


@dataclass
class Progress:
    """What a training has to show so far, beside its networks."""

    seconds: float = 0.0
    """Spent in updates."""

    history: list[dict[str, Any]] = field(default_factory=list)
    """Evaluations."""

    def best(self) -> dict[str, Any]:
        """The evaluation of the highest worth; the first does not count where there are others.

        What is said of a policy so young may be too good: it lies far from the data, where the fit extrapolates.
        """
        return max(self.history[1:] or self.history, key=lambda entry: float(entry["worth"]))

    def stale(self, patience: int | None) -> bool:
        """Whether the last ``patience`` evaluations are all no better than one before them."""
        if patience is None or not self.history:
            return False
        return len(self.history) - 1 - self.history.index(self.best()) >= patience


def save_checkpoint(folder: RunFolder, learner: Learner, scores: OfflineScores | None, progress: Progress) -> None:
    """Write the states of ``learner`` and of the fitted critics, and the progress, atomically."""
    arrays = {name: np.asarray(leaf) for name, leaf in _named(learner, scores).items()}
    papers = {"done": learner.done, "seconds": progress.seconds, "history": progress.history}
    storage.save(folder.path / NAME, "checkpoint", arrays, papers)


def load_checkpoint(folder: RunFolder, learner: Learner, scores: OfflineScores | None) -> Progress:
    """Set ``learner`` and the fitted critics to where they were, drop later metrics, return the progress.

    A run that was interrupted before its first checkpoint starts again.
    """
    path = folder.path / NAME
    if not path.exists():
        folder.keep_metrics(lambda line: False)
        return Progress()
    arrays, papers = storage.load(path, "checkpoint")
    wanted = _named(learner, scores)
    if set(wanted) != set(arrays) or any(arrays[name].shape != leaf.shape for name, leaf in wanted.items()):
        raise PotstillError(f"{path}: a checkpoint of other networks")
    found = jax.tree.unflatten(jax.tree.structure(_states(learner, scores)), [jnp.asarray(arrays[n]) for n in wanted])
    learner.state, learner.done = found["learner"], papers["done"]
    if scores:
        for name, evaluator in scores.evaluators.items():
            evaluator.state = found["fitted"][name]
    folder.keep_metrics(lambda line: line["update"] <= learner.done)
    return Progress(papers["seconds"], papers["history"])


def _states(learner: Learner, scores: OfflineScores | None) -> dict[str, Any]:
    fitted = {name: evaluator.state for name, evaluator in scores.evaluators.items()} if scores else {}
    return {"learner": learner.state, "fitted": fitted}


def _named(learner: Learner, scores: OfflineScores | None) -> dict[str, Any]:
    """Every array by its place in the states, in the order of the tree."""
    leaves = jax.tree_util.tree_flatten_with_path(_states(learner, scores))[0]
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
