"""A Minari dataset, written by Minari's own storage.

An episode of Minari has one observation more than actions. Nothing is known of the state after a distilled
pair, so that its episode holds the state twice, and terminates.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from potstill.data.bounds import ActionBounds
from potstill.distillate import Distillate
from potstill.errors import PotstillError
from potstill.exports.papers import NOTE, papers

DATASET_ID = re.compile(r"[-\w]+-v\d+")


def write(distillate: Distillate, path: Path) -> None:
    """Write one episode a pair; the papers are in the dataset's metadata, under ``potstill``."""
    if not DATASET_ID.fullmatch(path.name):
        raise PotstillError(
            f"'{path.name}' cannot name a Minari dataset: letters, digits, - and _, then -v0, are needed"
        )
    metadata = {
        "algorithm_name": f"potstill: {distillate.metadata['objective']}, {distillate.metadata['solver']}",
        "description": NOTE + " The second observation of an episode repeats the first; rewards are zero.",
        "potstill": papers(distillate),
    }
    episodes = (
        {
            "observations": np.stack([state, state]),
            "actions": action[None],
            "rewards": [0.0],
            "terminations": [True],
            "truncations": [False],
        }
        for state, action in zip(distillate.states, distillate.actions, strict=True)
    )
    import gymnasium

    spec = gymnasium.registry.get(distillate.env_id or "")
    write_dataset(path, episodes, distillate.action_bounds, spec, metadata)


def write_dataset(
    path: Path,
    episodes: Iterable[dict[str, Any]],
    bounds: ActionBounds,
    env_spec: Any,
    metadata: dict[str, Any],
) -> None:
    """Write a Minari dataset, whose id is the last part of ``path``.

    Args:
        path: the folder to make.
        episodes: columns by Minari's names: T + 1 observations, T of the others.
        bounds: of the actions.
        env_spec: of the environment, or ``None``.
        metadata: what else the dataset's metadata hold.
    """
    from gymnasium.spaces import Box
    from minari import __version__
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    path = path.resolve()  # Minari joins a relative one to itself
    path.mkdir()
    rest = iter(episodes)
    first = next(rest)
    storage = MinariStorage.new(
        path / "data",
        observation_space=Box(-np.inf, np.inf, np.shape(first["observations"])[1:], np.float32),
        action_space=Box(bounds.low, bounds.high, dtype=np.float32),
        env_spec=env_spec,
    )
    storage.update_metadata({"dataset_id": path.name, "minari_version": __version__, **metadata})
    storage.update_episodes(EpisodeBuffer(**episode) for episode in itertools.chain([first], rest))
