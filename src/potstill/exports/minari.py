"""Minari datasets, written by Minari's own storage.

An episode in Minari has one more observation than actions. The state after a distilled pair is unknown, so the
episode of a pair holds its state twice and terminates.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from potstill.data.bounds import ActionBounds
from potstill.distillate import Distillate
from potstill.errors import PotstillError
from potstill.exports.base import ExportFormat
from potstill.exports.metadata import NOTE, export_metadata

DATASET_ID = re.compile(r"[-\w]+-v\d+")


def write(distillate: Distillate, path: Path) -> None:
    """Write each pair as an episode, and the distillate's metadata under ``potstill`` in the dataset's metadata."""
    if not DATASET_ID.fullmatch(path.name):
        raise PotstillError(
            f"'{path.name}' is not the id of a Minari dataset: use letters, digits, - and _, and end it in -v0"
        )
    metadata = {
        "algorithm_name": f"potstill: {distillate.metadata['objective']}, {distillate.metadata['solver']}",
        "description": NOTE + " The second observation of an episode repeats the first; rewards are zero.",
        "potstill": export_metadata(distillate),
    }
    discrete = distillate.action_bounds.discrete
    actions = distillate.action_numbers if discrete else distillate.actions
    episodes = (
        {
            "observations": np.stack([state, state]),
            "actions": action[None],
            "rewards": [0.0],
            "terminations": [True],
            "truncations": [False],
        }
        for state, action in zip(distillate.states, actions, strict=True)
    )
    import gymnasium

    spec = gymnasium.registry.get(distillate.env_id or "")
    write_dataset(path, episodes, distillate.action_bounds, spec, metadata)


def write_dataset(
    path: Path,
    episodes: Iterable[Mapping[str, ArrayLike]],
    bounds: ActionBounds,
    env_spec: object,
    metadata: Mapping[str, object],
) -> None:
    """Write a Minari dataset. Its id is the last part of ``path``.

    Args:
        path: the folder to make.
        episodes: the columns of each episode, by Minari's names: T + 1 observations, and T of every other column.
        bounds: the action bounds.
        env_spec: Gymnasium's specification of the environment, or ``None``.
        metadata: further metadata of the dataset.
    """
    from gymnasium.spaces import Box, Discrete
    from minari import __version__
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    path = path.resolve()  # Minari joins a relative path to itself
    path.mkdir()
    rest = iter(episodes)
    first = next(rest)
    storage = MinariStorage.new(
        path / "data",
        observation_space=Box(-np.inf, np.inf, np.shape(first["observations"])[1:], np.float32),
        action_space=Discrete(len(bounds)) if bounds.discrete else Box(bounds.low, bounds.high, dtype=np.float32),
        env_spec=env_spec,
    )
    storage.update_metadata({"dataset_id": path.name, "minari_version": __version__, **metadata})
    storage.update_episodes(EpisodeBuffer(**episode) for episode in itertools.chain([first], rest))


FORMAT = ExportFormat(write, package="minari", extra="minari", steps_only=True)
