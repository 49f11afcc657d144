"""Checkpoints: trees of arrays and JSON metadata in one file, from which an interrupted run is resumed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from potstill.errors import PotstillError
from potstill.runtime import storage
from potstill.runtime.files import JsonObject, StrPath
from potstill.runtime.storage import Arrays

INTERVAL = 5.0  # seconds of work that a killed process can lose
Tree = TypeVar("Tree")


class CheckpointFile:
    """The checkpoint of a long loop.

    Args:
        path: the file.
        interval: seconds between two checkpoints.
    """

    def __init__(self, path: Path, interval: float = INTERVAL) -> None:
        self.path, self.interval = path, interval
        self.saved_at = time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether the last checkpoint is at least one interval old."""
        return time.monotonic() - self.saved_at >= self.interval

    def save(self, arrays: Arrays, **metadata: object) -> None:
        """Replace the checkpoint."""
        storage.save(self.path, "checkpoint", arrays, metadata)
        self.saved_at = time.monotonic()

    def load(self) -> tuple[Arrays, JsonObject] | None:
        """Return the arrays and the metadata of the checkpoint; ``None`` if there is none.

        Raises:
            PotstillError: the file is damaged.
        """
        return storage.load(self.path, "checkpoint") if self.path.exists() else None

    def delete(self) -> None:
        """Delete the checkpoint of a finished loop."""
        self.path.unlink(missing_ok=True)


def flatten(tree: object, name: str = "") -> Arrays:
    """Return the arrays of a tree, in its order, each named ``name`` followed by its path in the tree.

    >>> flatten({"mean": np.zeros(2)}, "pairs")
    {"pairs['mean']": array([0., 0.])}
    """
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {name + jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def unflatten(like: Tree, arrays: Arrays, path: StrPath, name: str = "") -> Tree:
    """Rebuild a tree from the arrays of :func:`flatten`.

    Args:
        like: a tree with the same structure and shapes.
        arrays: the arrays of the tree, and possibly others.
        path: the file that they come from, for the error message.
        name: the ``name`` that was passed to :func:`flatten`.

    Raises:
        PotstillError: an array is missing, or has another shape or type.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    found = []
    for place, leaf in leaves:
        array = arrays.get(name + jax.tree_util.keystr(place))
        if array is None or array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise PotstillError(f"{path}: the checkpoint was written with other settings: expected those of this run")
        found.append(jnp.array(array))  # a copy: loops donate their state
    tree: Tree = jax.tree.unflatten(structure, found)
    return tree
