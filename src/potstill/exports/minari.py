"""A Minari dataset, written by Minari's own storage.

An episode of Minari has one observation more than actions. Nothing is known of the state after a distilled
pair, so that its episode holds the state twice, and terminates.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

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
    import gymnasium
    from gymnasium.spaces import Box
    from minari import __version__
    from minari.data_collector import EpisodeBuffer
    from minari.dataset.minari_storage import MinariStorage

    path.mkdir()
    shape, env_id = distillate.states.shape[1:], distillate.env_id
    storage = MinariStorage.new(
        path / "data",
        observation_space=Box(-np.inf, np.inf, shape, np.float32),
        action_space=Box(distillate.action_low, distillate.action_high, dtype=np.float32),
        env_spec=gymnasium.registry.get(env_id or ""),
    )
    storage.update_metadata(
        {
            "dataset_id": path.name,
            "minari_version": __version__,
            "algorithm_name": f"potstill: {distillate.metadata['objective']}, {distillate.metadata['solver']}",
            "description": NOTE + " The second observation of an episode repeats the first; rewards are zero.",
            "potstill": papers(distillate),
        }
    )
    storage.update_episodes(
        EpisodeBuffer(
            observations=np.stack([state, state]),
            actions=action[None],
            rewards=[0.0],
            terminations=[True],
            truncations=[False],
        )
        for state, action in zip(distillate.states, distillate.actions, strict=True)
    )
