"""A recording on disk: a file in D4RL's layout, or the folder of a Minari dataset."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from potstill.collection.episodes import Recording
from potstill.data.bounds import ActionBounds
from potstill.data.formats.d4rl import round_mantissa, write_d4rl
from potstill.environments import registry as environments
from potstill.errors import missing_extra
from potstill.exports.minari import write_dataset


def require_format(form: str) -> None:
    """Raise, with the line that mends it, if the format's library is missing."""
    if form == "minari" and find_spec("minari") is None:
        raise missing_extra("minari", "minari")


def write_recording(folder: Path, recording: Recording, form: str, bits: int, env: Any, card: dict[str, Any]) -> Path:
    """Write the dataset into ``folder``, whole or not at all; return the file or the folder it became.

    Args:
        folder: a run folder.
        recording: at least one step.
        form: ``d4rl`` or ``minari``.
        bits: kept of the mantissas.
        env: the environment as :func:`~potstill.environments.registry.make` makes it.
        card: kept inside.
    """
    if form == "d4rl":
        path = folder / "dataset.hdf5"
        columns = {key: round_mantissa(column, bits) for key, column in recording.columns().items()}
        write_d4rl(path, columns, env_id=card["env_id"], card=card)
        return path
    path = folder / dataset_id(card["env_id"], card["level"])
    bounds = ActionBounds(env.action_space.low, env.action_space.high)
    with tempfile.TemporaryDirectory(prefix=".dataset-", dir=folder) as place:
        fresh = Path(place) / path.name
        write_dataset(fresh, _episodes(recording, bits), bounds, _spec(env), _metadata(card))
        shutil.rmtree(path, ignore_errors=True)
        os.replace(fresh, path)
    return path


def dataset_id(env_id: str, level: str) -> str:
    """What a Minari dataset is called.

    >>> dataset_id("Hopper-v5", "medium-replay")
    'hopper-medium-replay-v0'
    """
    name = environments.family(re.split("[:/]", env_id)[-1]).lower()
    return re.sub(r"[^-\w]", "_", f"{name}-{level}-v0")


def _episodes(recording: Recording, bits: int) -> Iterator[dict[str, Any]]:
    """Episodes as Minari has them; one that was cut counts as truncated."""
    for episode in recording.episodes:
        last = np.arange(len(episode)) == len(episode) - 1
        yield {
            "observations": round_mantissa(episode.observations, bits),
            "actions": round_mantissa(episode.actions, bits),
            "rewards": round_mantissa(episode.rewards, bits),
            "terminations": last & episode.terminated,
            "truncations": last & (not episode.terminated),
        }


def _spec(env: Any) -> Any:
    """The environment's specification, if it can be written as JSON."""
    try:
        env.spec.to_json()
    except (TypeError, ValueError):
        return None
    return env.spec


def _metadata(card: dict[str, Any]) -> dict[str, Any]:
    low, high = (card["reference"].get(name) for name in ("random", "expert"))
    scores = {} if high is None else {"ref_min_score": low, "ref_max_score": high}
    return {
        "algorithm_name": card["algorithm"],
        "description": f"{card['env_id']}, level {card['level']} as in D4RL, recorded by: {card['command']}",
        **scores,
        "potstill": card,
    }
