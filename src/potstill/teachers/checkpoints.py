"""A training that can be interrupted: everything it needs to go on, in one file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from potstill import storage
from potstill.errors import PotstillError
from potstill.runs import RunFolder
from potstill.teachers.training import Learner

NAME = "checkpoint.safetensors"


@dataclass
class Progress:
    """What a training has to show so far, beside its networks."""

    seconds: float = 0.0
    """Spent in updates."""

    history: list[dict[str, Any]] = field(default_factory=list)
    """Evaluations."""


def save_checkpoint(folder: RunFolder, learner: Learner, progress: Progress) -> None:
    """Write the state of ``learner`` and its progress, atomically."""
    leaves = jax.tree_util.tree_flatten_with_path(learner.state)[0]
    arrays = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
    papers = {"done": learner.done, "seconds": progress.seconds, "history": progress.history}
    storage.save(folder.path / NAME, "checkpoint", arrays, papers)


def load_checkpoint(folder: RunFolder, learner: Learner) -> Progress:
    """Set ``learner`` to where it was, drop later metrics, and return the progress.

    A run that was interrupted before its first checkpoint starts again.
    """
    path = folder.path / NAME
    if not path.exists():
        folder.keep_metrics(lambda line: False)
        return Progress()
    arrays, papers = storage.load(path, "checkpoint")
    leaves, tree = jax.tree_util.tree_flatten_with_path(learner.state)
    names = [jax.tree_util.keystr(where) for where, _ in leaves]
    if set(names) != set(arrays) or any(
        arrays[n].shape != leaf.shape for n, (_, leaf) in zip(names, leaves, strict=True)
    ):
        raise PotstillError(f"{path}: a checkpoint of other networks")
    learner.state = jax.tree.unflatten(tree, [jnp.asarray(arrays[name]) for name in names])
    learner.done = papers["done"]
    folder.keep_metrics(lambda line: line["update"] <= learner.done)
    return Progress(papers["seconds"], papers["history"])
